import { Button, SimpleGrid } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useLocation } from 'wouter';
import { call, keys, list, useCan, type View } from '@/api';
import { cores, mebibytes, t } from '@/text';
import { DataTable, EmptyState, Meter, notifyError, RelativeTime, Section, StateBadge } from '@/ui';
import { useCovers } from './roles';
import { usedOf } from './used';

interface Props {
  user: View<'UserView'>;
}

/** His instances, and what they have of his quota. */
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
      {found.data && found.data.total <= found.data.items.length && <Used user={user} instances={found.data.items} />}
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
          { key: 'cpu', title: t('common.cpu'), end: true, wide: true, cell: (each) => cores(each.cpu) },
          { key: 'disk', title: t('common.disk'), end: true, wide: true, cell: (each) => mebibytes(each.disk) },
        ]}
      />
    </Section>
  );
}

function Used({ user, instances }: Props & { instances: View<'InstanceView'>[] }) {
  const used = usedOf(instances);
  const of = (text: string, max: number | null | undefined, show: (value: number) => string) => (max === null || max === undefined ? text : t('common.ofTotal', { used: text, total: show(max) }));
  const { quota } = user;
  return (
    <SimpleGrid cols={{ base: 2, sm: 4 }} spacing="md" p="md">
      <Meter label={t('nav.instances')} value={used.instances} max={quota.instances ?? 0} text={`${t('nav.instances')} ${of(String(used.instances), quota.instances, String)}`} />
      <Meter label={t('common.memory')} value={used.memory} max={quota.memory ?? 0} text={`${t('common.memory')} ${of(mebibytes(used.memory), quota.memory, mebibytes)}`} />
      <Meter label={t('common.cpu')} value={used.cpu} max={quota.cpu ?? 0} text={`${t('common.cpu')} ${of(cores(used.cpu), quota.cpu, cores)}`} />
      <Meter label={t('common.disk')} value={used.disk} max={quota.disk ?? 0} text={`${t('common.disk')} ${of(mebibytes(used.disk), quota.disk, mebibytes)}`} />
    </SimpleGrid>
  );
}

export function UserKeys({ user }: Props) {
  const may = useCovers(user);
  const client = useQueryClient();
  const found = useQuery({ queryKey: keys.keys('of', user.id), queryFn: () => list('/api/v1/keys', { query: { user_id: user.id, limit: 100 } }) });
  const revoke = (id: string) =>
    call('delete', '/api/v1/keys/{id}', { path: { id } })
      .then(() => client.invalidateQueries({ queryKey: keys.keys() }))
      .catch(notifyError);
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
          { key: 'do', title: '', end: true, cell: (each) => may && <Button onClick={() => void revoke(each.id)}>{t('user.revoke')}</Button> },
        ]}
      />
    </Section>
  );
}

export function UserSSHKeys({ user }: Props) {
  const may = useCovers(user);
  const client = useQueryClient();
  const key = keys.users(user.id, 'ssh-keys');
  const found = useQuery({ queryKey: key, queryFn: () => list('/api/v1/users/{id}/ssh-keys', { path: { id: user.id }, query: { limit: 100 } }) });
  const remove = (id: string) =>
    call('delete', '/api/v1/users/{id}/ssh-keys/{key}', { path: { id: user.id, key: id } })
      .then(() => client.invalidateQueries({ queryKey: key }))
      .catch(notifyError);
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
          { key: 'do', title: '', end: true, cell: (each) => may && <Button onClick={() => void remove(each.id)}>{t('common.remove')}</Button> },
        ]}
      />
    </Section>
  );
}
