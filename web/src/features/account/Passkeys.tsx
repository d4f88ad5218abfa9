import { Button, Group, Stack, TextInput } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { ApiError, call, keys, makePasskey, passkeysSupported, usePanel, type View } from '@/api';
import { t } from '@/text';
import { ConfirmByName, DataTable, Dialog, EmptyState, Form, FormEnd, notifyDone, RelativeTime, Section, useSubmit } from '@/ui';
import { browserName } from './browser';
import { Codes } from './Codes';
import { useProof } from '@/parts';

type Passkey = View<'PasskeyView'>;

/** Passkeys: made, named, removed. */
export function Passkeys() {
  const client = useQueryClient();
  const { guard, dialog } = useProof();
  const [naming, setNaming] = useState<Passkey | 'new'>();
  const [removing, setRemoving] = useState<Passkey>();
  const [codes, setCodes] = useState<string[]>();
  const list = useQuery({ queryKey: keys.me('passkeys'), queryFn: () => call('get', '/api/v1/me/passkeys') });
  const panel = usePanel();
  const possible = passkeysSupported() && panel?.passkeys !== false;
  const fresh = async () => {
    await Promise.all([client.invalidateQueries({ queryKey: keys.me('passkeys') }), client.invalidateQueries({ queryKey: keys.session })]);
  };
  return (
    <Section
      title={t('account.passkeys')}
      hint={possible ? t('account.passkeysHint') : t('account.passkeyUnsupported')}
      flush
      actions={
        <Button disabled={!possible} onClick={() => setNaming('new')}>
          {t('account.passkeyAdd')}
        </Button>
      }
    >
      <DataTable
        label={t('account.passkeys')}
        rows={list.data}
        error={list.error}
        retry={() => void list.refetch()}
        rowKey={(row) => row.id}
        empty={<EmptyState title={t('account.passkeysNone')}>{t('account.passkeysHint')}</EmptyState>}
        columns={[
          { key: 'name', title: t('common.name'), cell: (row) => row.name },
          { key: 'created', title: t('common.created'), wide: true, cell: (row) => <RelativeTime at={row.created_at} /> },
          { key: 'used', title: t('account.used'), cell: (row) => <RelativeTime at={row.last_used_at} never={t('common.never')} /> },
          {
            key: 'actions',
            title: '',
            end: true,
            cell: (row) => (
              <Group gap="xs" justify="flex-end" wrap="nowrap">
                <Button variant="subtle" onClick={() => setNaming(row)}>
                  {t('common.rename')}
                </Button>
                <Button variant="subtle" color="red" onClick={() => setRemoving(row)}>
                  {t('common.remove')}
                </Button>
              </Group>
            ),
          },
        ]}
      />
      <Dialog of={naming} onClose={() => setNaming(undefined)} title={(one) => t(one === 'new' ? 'account.passkeyAdd' : 'common.rename')}>
        {(one) => (
          <Naming
            of={one}
            onClose={() => setNaming(undefined)}
            save={async (name) => {
              if (one === 'new') {
                setCodes(await guard(() => add(name)));
                notifyDone(t('account.passkeyAdded'));
              } else {
                await guard(() => call('patch', '/api/v1/me/passkeys/{id}', { path: { id: one.id }, body: { name } }));
              }
              await fresh();
              setNaming(undefined);
            }}
          />
        )}
      </Dialog>
      <ConfirmByName
        opened={!!removing}
        onClose={() => setRemoving(undefined)}
        title={t('account.passkeyRemoveTitle', { name: removing?.name ?? '' })}
        confirm={t('common.remove')}
        run={async () => {
          if (removing) await guard(() => call('delete', '/api/v1/me/passkeys/{id}', { path: { id: removing.id } }));
          await fresh();
        }}
      >
        {t('account.passkeyRemoveText')}
      </ConfirmByName>
      <Codes codes={codes} onClose={() => setCodes(undefined)} />
      {dialog}
    </Section>
  );
}

// The proof is asked for at the first call, before the browser's dialog.
async function add(name: string): Promise<string[]> {
  const { ceremony, options } = await call('post', '/api/v1/me/passkeys/begin');
  let response: unknown;
  try {
    response = await makePasskey(options);
  } catch {
    throw new ApiError(400, 'PASSKEY', t('account.passkeyFailed'));
  }
  return (await call('post', '/api/v1/me/passkeys/finish', { body: { name, ceremony, response } })).recovery_codes;
}

function Naming({ of, save, onClose }: { of: Passkey | 'new'; save: (name: string) => Promise<void>; onClose: () => void }) {
  const [name, setName] = useState(() => (of === 'new' ? browserName(navigator.userAgent) : of.name));
  const send = useSubmit(() => save(name), ['name']);
  return (
    <Form run={send.run}>
      <Stack gap="md">
        <TextInput
          data-autofocus
          label={t('account.passkeyName')}
          description={t('account.passkeyNameHint')}
          required
          withAsterisk={false}
          maxLength={100}
          value={name}
          error={send.of('name')}
          onChange={(e) => setName(e.currentTarget.value)}
        />
        <FormEnd submit={send} cancel={onClose}>
          {of === 'new' ? t('common.continue') : t('common.save')}
        </FormEnd>
      </Stack>
    </Form>
  );
}
