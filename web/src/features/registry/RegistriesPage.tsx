import { Button, Group, PasswordInput, Stack, TextInput } from '@mantine/core';
import { IconAlertTriangle, IconCircleCheck, IconKey, IconPlus } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { call, keys, once, useCan, type View } from '@/api';
import { t } from '@/text';
import { ConfirmByName, DataTable, Dialog, EmptyState, ErrorNotice, Form, FormEnd, notifyDone, PageHeader, RelativeTime, Section, useCommands, useSubmit } from '@/ui';
import css from './registry.module.css';

type Registry = View<'RegistryView'>;

/** The logins with which nodes pull container images. */
export default function RegistriesPage() {
  const [open, setOpen] = useState<Registry | 'new'>();
  const [checking, setChecking] = useState<Registry>();
  const [removing, setRemoving] = useState<Registry>();
  const client = useQueryClient();
  const may = useCan()('settings.write');
  const found = useQuery({ queryKey: keys.registries('list'), queryFn: ({ signal }) => call('get', '/api/v1/registries', { signal }) });
  const fresh = () => client.invalidateQueries({ queryKey: keys.registries() });
  useCommands(may ? [{ id: 'registry.add', label: t('registry.add'), icon: IconPlus, run: () => setOpen('new') }] : []);
  const add = may && (
    <Button variant="filled" leftSection={<IconPlus size={16} aria-hidden />} onClick={() => setOpen('new')}>
      {t('registry.add')}
    </Button>
  );
  const buttons = (row: Registry) => (
    <Group gap={4} justify="flex-end">
      <Button aria-label={t('registry.checkOf', { host: row.host })} onClick={() => setChecking(row)}>
        {t('registry.check')}
      </Button>
      <Button variant="subtle" aria-label={t('registry.editOf', { host: row.host })} onClick={() => setOpen(row)}>
        {t('common.edit')}
      </Button>
      <Button variant="subtle" color="red" aria-label={t('registry.removeOf', { host: row.host })} onClick={() => setRemoving(row)}>
        {t('common.remove')}
      </Button>
    </Group>
  );
  return (
    <>
      <PageHeader title={t('registry.title')} actions={(found.data ?? []).length > 0 && add} />
      <p className="quiet">{t('registry.hint')}</p>
      <Section flush>
        <DataTable<Registry>
          label={t('registry.title')}
          rows={found.data ?? undefined}
          error={found.error}
          retry={() => void found.refetch()}
          rowKey={(row) => row.id}
          empty={
            <EmptyState icon={IconKey} title={t('registry.empty')} action={add}>
              {t('registry.emptyHint')}
            </EmptyState>
          }
          columns={[
            { key: 'host', title: t('registry.host'), cell: (row) => <Host of={row} /> },
            { key: 'user', title: t('registry.username'), wide: true, cell: (row) => row.username },
            { key: 'changed', title: t('common.changed'), wide: true, cell: (row) => <RelativeTime at={row.updated_at} /> },
            { key: 'actions', title: '', end: true, cell: (row) => may && buttons(row) },
          ]}
        />
      </Section>
      <Dialog of={open} onClose={() => setOpen(undefined)} title={(one) => (one === 'new' ? t('registry.add') : t('registry.editOf', { host: one.host }))}>
        {(one) => (
          <LoginForm
            held={one === 'new' ? undefined : one}
            close={() => setOpen(undefined)}
            done={() => {
              setOpen(undefined);
              notifyDone(t('common.saved'));
              void fresh();
            }}
          />
        )}
      </Dialog>
      <Dialog of={checking} onClose={() => setChecking(undefined)} title={(one) => t('registry.checkOf', { host: one.host })}>
        {(one) => <Check of={one} />}
      </Dialog>
      <ConfirmByName
        opened={!!removing}
        onClose={() => setRemoving(undefined)}
        title={t('registry.removeTitle', { host: removing?.host ?? '' })}
        name={removing?.host ?? ''}
        confirm={t('common.remove')}
        run={async () => {
          if (removing) await call('delete', '/api/v1/registries/{id}', { path: { id: removing.id } });
          notifyDone(t('registry.removed'));
          await fresh();
        }}
      >
        {t('registry.removeText')}
      </ConfirmByName>
    </>
  );
}

function Host({ of }: { of: Registry }) {
  return (
    <>
      <span className="mono">{of.host}</span>
      {of.broken && <div className={css.bad}>{t('registry.passwordBroken')}</div>}
    </>
  );
}

function LoginForm({ held, close, done }: { held: Registry | undefined; close: () => void; done: () => void }) {
  const [form, setForm] = useState({ host: held?.host ?? '', username: held?.username ?? '', password: '' });
  const [create] = useState(once);
  const submit = useSubmit(async () => {
    const { host, username, password } = form;
    if (held) await call('patch', '/api/v1/registries/{id}', { path: { id: held.id }, body: { ...(username === held.username ? {} : { username }), ...(password ? { password } : {}) } });
    else await create((key) => call('post', '/api/v1/registries', { body: { host: host.trim(), username, password }, idempotencyKey: key }));
    done();
  }, ['host', 'username', 'password']);
  return (
    <Form noValidate run={submit.run}>
      <Stack gap="md">
        <TextInput
          data-autofocus={!held || undefined}
          label={t('registry.host')}
          description={t(held ? 'registry.hostFixed' : 'registry.hostHint')}
          required={!held}
          readOnly={!!held}
          classNames={{ input: 'mono' }}
          autoComplete="off"
          spellCheck={false}
          value={form.host}
          error={submit.of('host')}
          onChange={(e) => setForm({ ...form, host: e.currentTarget.value })}
        />
        <TextInput data-autofocus={held ? true : undefined} label={t('registry.username')} required autoComplete="off" spellCheck={false} value={form.username} error={submit.of('username')} onChange={(e) => setForm({ ...form, username: e.currentTarget.value })} />
        <PasswordInput
          label={t('registry.password')}
          required={!held || !!held.broken}
          placeholder={held && !held.broken ? t('registry.passwordKept') : ''}
          autoComplete="new-password"
          value={form.password}
          error={submit.of('password')}
          onChange={(e) => setForm({ ...form, password: e.currentTarget.value })}
        />
        <FormEnd submit={submit} cancel={close} disabled={!form.host.trim() || !form.username || (!held && !form.password)}>
          {t('common.save')}
        </FormEnd>
      </Stack>
    </Form>
  );
}

// A node tries it, as soon as this is opened.
function Check({ of }: { of: Registry }) {
  const tried = useQuery({
    queryKey: keys.registries(of.id, 'check', of.updated_at),
    queryFn: ({ signal }) => call('post', '/api/v1/registries/{id}/check', { path: { id: of.id }, body: {}, signal }),
    retry: false,
    staleTime: 0,
    gcTime: 0,
    refetchOnWindowFocus: false,
  });
  const good = tried.data?.status === 'ok';
  const Shape = good ? IconCircleCheck : IconAlertTriangle;
  return (
    <Stack gap="md">
      <ErrorNotice error={tried.isFetching ? undefined : tried.error} />
      {tried.isFetching && (
        <p className="quiet" role="status">
          {t('registry.checking')}
        </p>
      )}
      {tried.data && !tried.isFetching && (
        <div className={css.checked} data-good={good || undefined} role="status">
          <Shape size={18} aria-hidden />
          <div>
            <strong>{t(`registry.status_${tried.data.status}`)}</strong>
            <p>{tried.data.message}</p>
            <p className="quiet">{t('registry.checkedBy', { node: tried.data.node_name })}</p>
          </div>
        </div>
      )}
      <Group justify="flex-end">
        <Button loading={tried.isFetching} onClick={() => void tried.refetch()}>
          {t('common.retry')}
        </Button>
      </Group>
    </Stack>
  );
}
