import { Button } from '@mantine/core';
import { IconPlus, IconServer2 } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Link, useLocation } from 'wouter';
import { call, keys, list, useCan } from '@/api';
import { number, t } from '@/text';
import { DataTable, EmptyState, Filters, notifyDone, notifyError, PageHeader, Pager, SearchField, Section, StateBadge, useCommands, useFilters, type Column } from '@/ui';
import { Given } from './Given';
import { Moves } from './Moves';
import { nodeState, type Node } from './node';

export default function NodesPage() {
  const [, go] = useLocation();
  const can = useCan();
  const filters = useFilters('search');
  const query = { page: filters.page, limit: 50, search: filters.values.search };
  const nodes = useQuery({
    queryKey: keys.nodes('list', query),
    queryFn: ({ signal }) => list('/api/v1/nodes', { query, signal }),
    placeholderData: (before) => before,
  });
  const add = () => go('/nodes/new');
  useCommands(can('nodes.write') ? [{ id: 'node.add', label: t('node.add'), icon: IconPlus, run: add }] : []);
  const none = nodes.data?.total === 0 && !filters.any;
  return (
    <>
      <PageHeader
        title={t('node.title')}
        actions={
          <>
            {can('system.write') && nodes.data?.items.some((each) => each.outdated) && <UpdateAll />}
            {can('nodes.write') && !none && (
              <Button component={Link} href="/nodes/new" variant="filled" leftSection={<IconPlus size={16} />}>
                {t('node.add')}
              </Button>
            )}
          </>
        }
      />
      <Section flush>
        {!none && (
          <Filters>
            <SearchField value={filters.values.search} onChange={(to) => filters.set('search', to)} placeholder={t('node.search')} />
          </Filters>
        )}
        <DataTable
          label={t('node.title')}
          columns={columns()}
          rows={nodes.data?.items}
          rowKey={(node) => node.id}
          error={nodes.error}
          retry={() => void nodes.refetch()}
          onRow={(node) => go(`/nodes/${node.id}`)}
          empty={none ? <NoNodes /> : undefined}
        />
        {nodes.data && <Pager {...nodes.data} onPage={filters.toPage} />}
      </Section>
      {can('nodes.read') && <Moves />}
    </>
  );
}

function NoNodes() {
  const may = useCan()('nodes.write');
  return (
    <EmptyState
      icon={IconServer2}
      title={t('node.empty')}
      action={
        may && (
          <Button component={Link} href="/nodes/new" variant="filled">
            {t('node.add')}
          </Button>
        )
      }
    >
      {t('node.emptyHint')}
    </EmptyState>
  );
}

function UpdateAll() {
  const run = () =>
    call('post', '/api/v1/nodes/update')
      .then(() => notifyDone(t('node.straysJob')))
      .catch(notifyError);
  return <Button onClick={() => void run()}>{t('node.updateAll')}</Button>;
}

const columns = (): Column<Node>[] => [
  { key: 'name', title: t('node.name'), cell: (node) => <Link href={`/nodes/${node.id}`}>{node.name}</Link> },
  { key: 'state', title: t('node.state'), cell: (node) => <StateBadge state={nodeState(node)} /> },
  { key: 'instances', title: t('node.instances'), end: true, cell: (node) => <span className="nums">{number(node.instances)}</span> },
  { key: 'memory', title: t('common.memory'), wide: true, cell: (node) => <Given node={node} of="memory" /> },
  { key: 'disk', title: t('common.disk'), wide: true, cell: (node) => <Given node={node} of="disk" /> },
  { key: 'cpu', title: t('common.cpu'), wide: true, cell: (node) => <Given node={node} of="cpu" /> },
  {
    key: 'release',
    title: t('node.release'),
    wide: true,
    cell: (node) => (
      <>
        <span className="mono">{node.release ?? '–'}</span> {node.outdated && <StateBadge state="waiting" label={t('node.outdated')} />}
      </>
    ),
  },
];
