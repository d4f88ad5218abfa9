import { Button } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { IconKey } from '@tabler/icons-react';
import { useState } from 'react';
import { call, keys, list as listOf, useMe, type View } from '@/api';
import { t } from '@/text';
import { ConfirmByName, DataTable, Dialog, EmptyState, notifyDone, RelativeTime, Section, useCommands } from '@/ui';
import { KeyForm, KeyIssued } from './KeyForm';
import { useProof } from '@/parts';

type Key = View<'KeyView'>;

/** API keys: what programs come with. */
export function Keys() {
  const me = useMe();
  const { guard, dialog } = useProof();
  const client = useQueryClient();
  const [making, setMaking] = useState(false);
  const [issued, setIssued] = useState<string>();
  const [removing, setRemoving] = useState<Key>();
  const found = useQuery({
    queryKey: keys.keys(me.user.id),
    queryFn: () => listOf('/api/v1/keys', { query: { user_id: me.user.id, limit: 100 } }),
  });
  useCommands([{ id: 'key.add', label: t('account.keyAdd'), icon: IconKey, run: () => setMaking(true) }]);
  const fresh = () => client.invalidateQueries({ queryKey: keys.keys() });
  const add = (
    <Button variant="filled" onClick={() => setMaking(true)}>
      {t('account.keyAdd')}
    </Button>
  );
  return (
    <Section title={t('account.keys')} hint={t('account.keysHint')} flush actions={add}>
      <DataTable<Key>
        label={t('account.keys')}
        rows={found.data?.items}
        error={found.error}
        retry={() => void found.refetch()}
        rowKey={(row) => row.id}
        empty={
          <EmptyState icon={IconKey} title={t('account.keysNone')}>
            {t('account.keysNoneHint')}
          </EmptyState>
        }
        columns={[
          {
            key: 'name',
            title: t('common.name'),
            cell: (row) => (
              <>
                {row.name} <span className="mono quiet">{row.hint}…</span>
              </>
            ),
          },
          { key: 'scope', title: t('account.keyScope'), wide: true, cell: (row) => scopeText(row.scopes) },
          { key: 'from', title: t('account.keyFrom'), wide: true, cell: (row) => row.addresses.join(', ') || t('account.keyEverywhere') },
          { key: 'ends', title: t('account.keyExpires'), cell: (row) => <RelativeTime at={row.expires_at} never={t('common.never')} /> },
          { key: 'used', title: t('account.keyUsed'), wide: true, cell: (row) => <RelativeTime at={row.last_used_at} never={t('common.never')} /> },
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
      <Dialog of={making || undefined} onClose={() => setMaking(false)} title={() => t('account.keyAdd')}>
        {() => (
          <KeyForm
            guard={guard}
            onClose={() => setMaking(false)}
            onIssued={(key) => {
              setMaking(false);
              setIssued(key);
              void fresh();
            }}
          />
        )}
      </Dialog>
      {dialog}
      <KeyIssued value={issued} onClose={() => setIssued(undefined)} />
      <ConfirmByName
        opened={!!removing}
        onClose={() => setRemoving(undefined)}
        title={t('account.keyRemoveTitle', { name: removing?.name ?? '' })}
        name={removing?.name ?? ''}
        confirm={t('common.delete')}
        run={async () => {
          if (removing) await call('delete', '/api/v1/keys/{id}', { path: { id: removing.id } });
          await fresh();
          notifyDone(t('account.keyRemoved'));
        }}
      >
        {t('account.keyRemoveText')}
      </ConfirmByName>
    </Section>
  );
}

// Each scope includes the ones below it: the highest says all.
function scopeText(scopes: Key['scopes']): string {
  if (scopes.includes('admin')) return t('account.scope_admin');
  return scopes.includes('write') ? t('account.scope_write') : t('account.scope_read');
}
