import { useQuery } from '@tanstack/react-query';
import { Link, useLocation } from 'wouter';
import { keys, list } from '@/api';
import { UserName } from '@/parts';
import { cores, mebibytes, t } from '@/text';
import { DataTable, EmptyState, Pager, Section, StateBadge, useFilters } from '@/ui';
import type { Node } from './node';

export function NodeInstances({ node }: { node: Node }) {
  const [, go] = useLocation();
  const filters = useFilters('tab');
  const query = { node_id: node.id, page: filters.page, limit: 50 };
  const found = useQuery({ queryKey: keys.instances('list', query), queryFn: ({ signal }) => list('/api/v1/instances', { query, signal }), placeholderData: (before) => before });
  return (
    <Section flush>
      <DataTable
        label={t('node.instances')}
        rows={found.data?.items}
        error={found.error}
        retry={() => void found.refetch()}
        rowKey={(each) => each.id}
        onRow={(each) => go(`/instances/${each.id}`)}
        empty={<EmptyState title={t('node.instanceNone')} />}
        columns={[
          { key: 'name', title: t('common.name'), cell: (each) => <Link href={`/instances/${each.id}`}>{each.name}</Link> },
          { key: 'state', title: t('node.state'), cell: (each) => <StateBadge state={each.status} /> },
          { key: 'owner', title: t('node.straysOwner'), wide: true, cell: (each) => <UserName id={each.owner_id} /> },
          { key: 'memory', title: t('common.memory'), end: true, wide: true, cell: (each) => mebibytes(each.memory) },
          { key: 'cpu', title: t('common.cpu'), end: true, wide: true, cell: (each) => cores(each.cpu) },
          { key: 'disk', title: t('common.disk'), end: true, wide: true, cell: (each) => mebibytes(each.disk) },
        ]}
      />
      {found.data && <Pager {...found.data} onPage={filters.toPage} />}
    </Section>
  );
}
