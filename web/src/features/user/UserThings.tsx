import { Button, SimpleGrid } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { Link, useLocation } from 'wouter';
import { call, keys, list, useCan, type View } from '@/api';
import { coresOf, mebibytes, number, t } from '@/text';
import { ConfirmByName, DataTable, EmptyState, Meter, notifyDone, RelativeTime, Section, StateBadge } from '@/ui';
import { useCovers } from './roles';

interface Props {
  user: View<'UserDetailView'>;
}

/** His instances. */
export function UserInstances({ user }: Props) {
  const [, go] = useLocation();
  const can = useCan();
  const query = { owner_id: user.id, limit: 100 };
  const found = useQuery({ queryKey: keys.instances('list', query), queryFn: ({ signal }) => list('/api/v1/instances', { query, signal }), enabled: can('instances.read') });
  if (!can('instances.read')) return null;
  return (
    <Section
      title={t('nav.instances')}
      flush
      actions={
        can('instances.write') && (
          <Button component={Link} href={`/instances/new?owner=${encodeURIComponent(user.id)}`}>
            {t('deploy.submit')}
          </Button>
        )
      }
    >
      <DataTable
        label={t('nav.instances')}
        rows={found.data?.items}
        error={found.error}
        rowKey={(each) => each.id}
        onRow={(each) => go(`/instances/${each.id}`)}
        empty={<EmptyState title={t('user.noInstances')} />}
        columns={[
          { key: 'name', title: t('common.name'), cell: (each) => <Link href={`/instances/${each.id}`}>{each.name}</Link> },
          { key: 'state', title: t('job.state'), cell: (each) => <StateBadge state={each.status} /> },
          { key: 'memory', title: t('common.memory'), end: true, wide: true, cell: (each) => mebibytes(each.memory) },
          { key: 'cpu', title: t('common.cpu'), end: true, wide: true, cell: (each) => coresOf(each.cpu) },
          { key: 'disk', title: t('common.disk'), end: true, wide: true, cell: (each) => mebibytes(each.disk) },
        ]}
      />
    </Section>
  );
}

/** What his instances have of his quota. */
export function UserUse({ user }: Props) {
  const { used, quota } = user;
  if (!used) return null;
  const of = (text: string, max: number | null | undefined, show: (value: number) => string) => (max === null || max === undefined ? text : t('common.ofTotal', { used: text, total: show(max) }));
  return (
    <SimpleGrid cols={{ base: 2, sm: 4 }} spacing="md">
      <Meter label={t('nav.instances')} value={used.instances} max={quota.instances ?? 0} text={`${t('nav.instances')} ${of(number(used.instances), quota.instances, number)}`} />
      <Meter label={t('common.memory')} value={used.memory} max={quota.memory ?? 0} text={`${t('common.memory')} ${of(mebibytes(used.memory), quota.memory, mebibytes)}`} />
      <Meter label={t('common.cpu')} value={used.cpu} max={quota.cpu ?? 0} text={`${t('common.cpu')} ${of(coresOf(used.cpu), quota.cpu, coresOf)}`} />
      <Meter label={t('common.disk')} value={used.disk} max={quota.disk ?? 0} text={`${t('common.disk')} ${of(mebibytes(used.disk), quota.disk, mebibytes)}`} />
    </SimpleGrid>
  );
}

export function UserKeys({ user }: Props) {
  const may = useCovers(user);
  const client = useQueryClient();
  const found = useQuery({ queryKey: keys.keys('of', user.id), queryFn: () => list('/api/v1/keys', { query: { user_id: user.id, limit: 100 } }) });
  const [revoking, setRevoking] = useState<View<'KeyView'>>();
  return (
    <Section title={t('user.keys')} flush>
      <DataTable
        label={t('user.keys')}
        rows={found.data?.items}
        error={found.error}
        rowKey={(each) => each.id}
        empty={<EmptyState title={t('user.noKeys')} />}
        columns={[
          { key: 'name', title: t('common.name'), cell: (each) => each.name },
          { key: 'hint', title: t('user.keyHint'), wide: true, cell: (each) => <span className="mono">{each.hint}…</span> },
          { key: 'scopes', title: t('user.keyScopes'), wide: true, cell: (each) => (each.scopes ?? []).join(', ') },
          { key: 'used', title: t('user.keyUsed'), cell: (each) => <RelativeTime at={each.last_used_at} never={t('common.never')} /> },
          { key: 'ends', title: t('user.keyEnds'), wide: true, cell: (each) => <RelativeTime at={each.expires_at} never={t('common.never')} /> },
          { key: 'do', title: '', end: true, cell: (each) => may && <Button onClick={() => setRevoking(each)}>{t('user.revoke')}</Button> },
        ]}
      />
      <ConfirmByName
        opened={!!revoking}
        onClose={() => setRevoking(undefined)}
        title={t('account.keyRemoveTitle', { name: revoking?.name ?? '' })}
        name={revoking?.name ?? ''}
        confirm={t('user.revoke')}
        run={async () => {
          if (revoking) await call('delete', '/api/v1/keys/{id}', { path: { id: revoking.id } });
          await client.invalidateQueries({ queryKey: keys.keys() });
          notifyDone(t('account.keyRemoved'));
        }}
      >
        {t('account.keyRemoveText')}
      </ConfirmByName>
    </Section>
  );
}

export function UserSSHKeys({ user }: Props) {
  const may = useCovers(user);
  const client = useQueryClient();
  const key = keys.users(user.id, 'ssh-keys');
  const found = useQuery({ queryKey: key, queryFn: () => list('/api/v1/users/{id}/ssh-keys', { path: { id: user.id }, query: { limit: 100 } }) });
  const [removing, setRemoving] = useState<View<'SSHKeyView'>>();
  return (
    <Section title={t('user.sshKeys')} flush>
      <DataTable
        label={t('user.sshKeys')}
        rows={found.data?.items}
        error={found.error}
        rowKey={(each) => each.id}
        empty={<EmptyState title={t('user.noSshKeys')} />}
        columns={[
          { key: 'name', title: t('common.name'), cell: (each) => each.name },
          { key: 'print', title: t('user.fingerprint'), wide: true, cell: (each) => <span className="mono">{each.fingerprint}</span> },
          { key: 'at', title: t('common.created'), cell: (each) => <RelativeTime at={each.created_at} /> },
          { key: 'do', title: '', end: true, cell: (each) => may && <Button onClick={() => setRemoving(each)}>{t('common.remove')}</Button> },
        ]}
      />
      <ConfirmByName
        opened={!!removing}
        onClose={() => setRemoving(undefined)}
        title={t('account.sshRemoveTitle', { name: removing?.name ?? '' })}
        confirm={t('common.remove')}
        run={async () => {
          if (removing) await call('delete', '/api/v1/users/{id}/ssh-keys/{key}', { path: { id: user.id, key: removing.id } });
          await client.invalidateQueries({ queryKey: key });
          notifyDone(t('account.sshRemoved'));
        }}
      >
        {t('account.sshRemoveText')}
      </ConfirmByName>
    </Section>
  );
}
