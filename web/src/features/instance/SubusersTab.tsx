import { ActionIcon, Button, Checkbox, Group, Stack, TextInput } from '@mantine/core';
import { IconEdit, IconTrash, IconUserPlus, IconUsers } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { call, keys, type View } from '@/api';
import { t } from '@/text';
import { ConfirmByName, DataTable, Dialog, EmptyState, Form, FormEnd, notifyDone, RelativeTime, Section, useSubmit } from '@/ui';
import type { Instance, Right } from './model';
import { always, groups, normal, presets } from './rights';
import css from './instance.module.css';

type Subuser = View<'SubuserView'>;

/** Who else may use the instance. */
export default function SubusersTab({ instance }: { instance: Instance }) {
  const client = useQueryClient();
  const [adding, setAdding] = useState(false);
  const [editing, setEditing] = useState<Subuser>();
  const [removing, setRemoving] = useState<Subuser>();
  const key = keys.instances(instance.id, 'subusers');
  const found = useQuery({ queryKey: key, queryFn: ({ signal }) => call('get', '/api/v1/instances/{id}/subusers', { path: { id: instance.id }, signal }) });
  const done = () => client.invalidateQueries({ queryKey: key });
  const add = (
    <Button variant="filled" leftSection={<IconUserPlus size={14} aria-hidden />} onClick={() => setAdding(true)}>
      {t('instance.subuserAdd')}
    </Button>
  );
  return (
    <>
      <Section flush title={t('instance.tabSubusers')} hint={t('instance.subusersHint')} actions={add}>
        <DataTable<Subuser>
          label={t('instance.tabSubusers')}
          rows={found.data ?? undefined}
          error={found.error}
          retry={() => void found.refetch()}
          rowKey={(each) => each.user_id}
          empty={
            <EmptyState icon={IconUsers} title={t('instance.subusersNone')}>
              {t('instance.subusersNoneHint')}
            </EmptyState>
          }
          columns={[
            { key: 'name', title: t('common.name'), cell: (each) => each.username },
            {
              key: 'rights',
              title: t('instance.rights'),
              cell: (each) => (
                <div className={css.chips}>
                  {(each.rights ?? []).map((right) => (
                    <span key={right} className={css.chip}>
                      {t(`instance.right_${right as Right}`)}
                    </span>
                  ))}
                </div>
              ),
            },
            { key: 'since', title: t('common.changed'), cell: (each) => <RelativeTime at={each.updated_at} />, wide: true },
            {
              key: 'actions',
              title: '',
              end: true,
              cell: (each) => (
                <Group gap={4} wrap="nowrap" justify="flex-end">
                  <ActionIcon aria-label={t('instance.subuserRights', { name: each.username })} onClick={() => setEditing(each)}>
                    <IconEdit size={16} />
                  </ActionIcon>
                  <ActionIcon aria-label={t('instance.subuserRemove', { name: each.username })} onClick={() => setRemoving(each)}>
                    <IconTrash size={16} />
                  </ActionIcon>
                </Group>
              ),
            },
          ]}
        />
      </Section>
      <Dialog of={adding || undefined} onClose={() => setAdding(false)} title={() => t('instance.subuserAdd')} size="lg">
        {() => (
          <RightsForm
            held={instance.rights ?? []}
            rights={presets.Console}
            asks
            submit={t('common.add')}
            close={() => setAdding(false)}
            send={async (who, rights) => {
              const one = await call('post', '/api/v1/instances/{id}/subusers', { path: { id: instance.id }, body: { rights, ...(who.includes('@') ? { email: who } : { username: who }) } });
              await done();
              notifyDone(t('instance.subuserAdded', { name: one.username }));
            }}
          />
        )}
      </Dialog>
      <Dialog of={editing} onClose={() => setEditing(undefined)} title={(one) => t('instance.subuserRights', { name: one.username })} size="lg">
        {(one) => (
          <RightsForm
            held={instance.rights ?? []}
            rights={(one.rights ?? []) as Right[]}
            submit={t('common.save')}
            close={() => setEditing(undefined)}
            send={async (_, rights) => {
              await call('put', '/api/v1/instances/{id}/subusers/{user_id}', { path: { id: instance.id, user_id: one.user_id }, body: { rights } });
              await done();
              notifyDone(t('instance.subuserChanged', { name: one.username }));
            }}
          />
        )}
      </Dialog>
      <ConfirmByName
        opened={!!removing}
        onClose={() => setRemoving(undefined)}
        title={t('instance.subuserRemoveTitle', { name: removing?.username ?? '' })}
        confirm={t('common.remove')}
        run={async () => {
          if (!removing) return;
          await call('delete', '/api/v1/instances/{id}/subusers/{user_id}', { path: { id: instance.id, user_id: removing.user_id } });
          await done();
        }}
      >
        {t('instance.subuserRemoveHint')}
      </ConfirmByName>
    </>
  );
}

interface FormProps {
  held: readonly string[];
  rights: readonly Right[];
  /** Asks whom, too. */
  asks?: boolean;
  submit: string;
  send: (who: string, rights: Right[]) => Promise<void>;
  close: () => void;
}

function RightsForm({ held, rights: first, asks, submit, send, close }: FormProps) {
  const [who, setWho] = useState('');
  const [rights, setRights] = useState<readonly Right[]>(() => normal(first, held));
  const sending = useSubmit(() => send(who.trim(), [...rights]), ['username', 'email']);
  const flip = (right: Right) => setRights((before) => normal(before.includes(right) ? without(before, right) : [...before, right], held));
  return (
    <Form run={() => sending.run().then((worked) => worked && close())}>
      <Stack gap="md">
        {asks && (
          <TextInput
            data-autofocus
            required
            withAsterisk={false}
            label={t('instance.subuserWho')}
            description={t('instance.subuserWhoHint')}
            value={who}
            onChange={(e) => setWho(e.currentTarget.value)}
            error={sending.of('username') ?? sending.of('email')}
            autoCapitalize="none"
            autoComplete="off"
            spellCheck={false}
          />
        )}
        <Group gap="xs" role="group" aria-label={t('instance.preset')}>
          {(['Console', 'Files', 'All'] as const).map((each) => (
            <Button key={each} onClick={() => setRights(normal(presets[each], held))}>
              {t(`instance.preset${each}`)}
            </Button>
          ))}
        </Group>
        {groups.map((group) => (
          <fieldset key={group.name} className={css.rightGroup}>
            <legend>{t(`instance.rights_${group.name}`)}</legend>
            <Stack gap="xs" mt="xs">
              {group.rights.map((right) => {
                const mine = held.includes(right);
                return (
                  <Checkbox
                    key={right}
                    label={t(`instance.right_${right}`)}
                    description={mine ? t(`instance.about_${right}`) : t('instance.notHeld')}
                    checked={rights.includes(right)}
                    disabled={!mine || right === always}
                    onChange={() => flip(right)}
                  />
                );
              })}
            </Stack>
          </fieldset>
        ))}
        <FormEnd submit={sending} cancel={close}>
          {submit}
        </FormEnd>
      </Stack>
    </Form>
  );
}

// What needs the right goes with it.
function without(rights: readonly Right[], right: Right): Right[] {
  const needing: Partial<Record<Right, Right>> = { 'console.read': 'console.write', 'files.read': 'files.write' };
  return rights.filter((each) => each !== right && each !== needing[right]);
}
