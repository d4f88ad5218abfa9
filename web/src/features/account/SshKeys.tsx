import { Button, Stack, Textarea, TextInput } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { IconTerminal2 } from '@tabler/icons-react';
import { useState } from 'react';
import { call, keys, list, useMe, type View } from '@/api';
import { t } from '@/text';
import { ConfirmByName, DataTable, Dialog, EmptyState, Form, FormEnd, notifyDone, RelativeTime, Section, useSubmit } from '@/ui';
import { useProof, type Guard } from '@/parts';

type SshKey = View<'SSHKeyView'>;

/** The keys that open SFTP. */
export function SshKeys() {
  const { id } = useMe().user;
  const client = useQueryClient();
  const { guard, dialog } = useProof();
  const [adding, setAdding] = useState(false);
  const [removing, setRemoving] = useState<SshKey>();
  const found = useQuery({
    queryKey: keys.me('ssh-keys'),
    queryFn: () => list('/api/v1/users/{id}/ssh-keys', { path: { id }, query: { limit: 100 } }),
  });
  const fresh = () => client.invalidateQueries({ queryKey: keys.me('ssh-keys') });
  return (
    <Section
      title={t('account.sshKeys')}
      hint={t('account.sshHint')}
      flush
      actions={
        <Button variant="filled" onClick={() => setAdding(true)}>
          {t('account.sshAdd')}
        </Button>
      }
    >
      <DataTable<SshKey>
        label={t('account.sshKeys')}
        rows={found.data?.items}
        error={found.error}
        retry={() => void found.refetch()}
        rowKey={(row) => row.id}
        empty={
          <EmptyState icon={IconTerminal2} title={t('account.sshNone')}>
            {t('account.sshNoneHint')}
          </EmptyState>
        }
        columns={[
          { key: 'name', title: t('common.name'), cell: (row) => row.name },
          { key: 'fingerprint', title: t('account.sshFingerprint'), wide: true, cell: (row) => <span className="mono">{row.fingerprint}</span> },
          { key: 'created', title: t('common.created'), cell: (row) => <RelativeTime at={row.created_at} /> },
          {
            key: 'actions',
            title: '',
            end: true,
            cell: (row) => (
              <Button variant="subtle" color="red" onClick={() => setRemoving(row)}>
                {t('common.delete')}
              </Button>
            ),
          },
        ]}
      />
      <Dialog of={adding || undefined} onClose={() => setAdding(false)} title={() => t('account.sshAdd')}>
        {() => (
          <SshForm
            guard={guard}
            user={id}
            onClose={() => {
              setAdding(false);
              void fresh();
            }}
          />
        )}
      </Dialog>
      {dialog}
      <ConfirmByName
        opened={!!removing}
        onClose={() => setRemoving(undefined)}
        title={t('account.sshRemoveTitle', { name: removing?.name ?? '' })}
        confirm={t('common.delete')}
        run={async () => {
          if (removing) await call('delete', '/api/v1/users/{id}/ssh-keys/{key}', { path: { id, key: removing.id } });
          await fresh();
          notifyDone(t('account.sshRemoved'));
        }}
      >
        {t('account.sshRemoveText')}
      </ConfirmByName>
    </Section>
  );
}

function SshForm({ user, guard, onClose }: { user: string; guard: Guard; onClose: () => void }) {
  const [form, setForm] = useState({ name: '', key: '' });
  const send = useSubmit(async () => {
    const name = form.name.trim();
    const body = { public_key: form.key.trim(), ...(name ? { name } : {}) };
    await guard(() => call('post', '/api/v1/users/{id}/ssh-keys', { path: { id: user }, body }));
    onClose();
  }, ['name', 'public_key']);
  return (
    <Form run={send.run}>
      <Stack gap="md">
        <Textarea
          data-autofocus
          label={t('account.sshPublic')}
          description={t('account.sshPublicHint')}
          required
          withAsterisk={false}
          autosize
          minRows={3}
          maxRows={8}
          spellCheck={false}
          value={form.key}
          error={send.of('public_key')}
          onChange={(e) => setForm({ ...form, key: e.currentTarget.value })}
        />
        <TextInput
          label={t('common.name')}
          description={t('account.sshNameHint')}
          maxLength={100}
          value={form.name}
          error={send.of('name')}
          onChange={(e) => setForm({ ...form, name: e.currentTarget.value })}
        />
        <FormEnd submit={send} cancel={onClose}>
          {t('common.add')}
        </FormEnd>
      </Stack>
    </Form>
  );
}
