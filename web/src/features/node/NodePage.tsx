import { Anchor, Tabs } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { lazy, Suspense } from 'react';
import { Link, useParams, useSearchParams } from 'wouter';
import { call, keys, useCan } from '@/api';
import { t } from '@/text';
import { ErrorPage, PageHeader, PageSkeleton, RowSkeletons, StateBadge, TabList } from '@/ui';
import { NodeActions } from './NodeActions';
import { NodeInstances } from './NodeInstances';
import { NodeNotices } from './NodeNotices';
import { nodeState } from './node';
import { Ports } from './Ports';
import { NodeSettings } from './NodeSettings';
import { Strays } from './Strays';

const NodeFigures = lazy(() => import('./NodeFigures'));

export default function NodePage() {
  const { id } = useParams<{ id: string }>();
  const [params, setParams] = useSearchParams();
  const open = params.get('tab') ?? 'overview';
  const may = useCan()('nodes.write');
  const node = useQuery({ queryKey: keys.nodes(id), queryFn: () => call('get', '/api/v1/nodes/{id}', { path: { id } }) });
  if (node.error && !node.data) return <ErrorPage error={node.error} retry={() => void node.refetch()} />;
  if (!node.data) return <PageSkeleton />;
  return (
    <>
      <PageHeader
        title={node.data.name}
        beside={<StateBadge state={nodeState(node.data)} />}
        crumb={
          <Anchor component={Link} href="/nodes">
            {t('node.title')}
          </Anchor>
        }
        actions={<NodeActions node={node.data} />}
      />
      <NodeNotices node={node.data} />
      <Tabs value={open} onChange={(tab) => setParams(tab && tab !== 'overview' ? { tab } : {}, { replace: true })}>
        <TabList open={open}>
          <Tabs.Tab value="overview">{t('node.tabOverview')}</Tabs.Tab>
          <Tabs.Tab value="instances">{t('node.tabInstances')}</Tabs.Tab>
          <Tabs.Tab value="ports">{t('node.tabPorts')}</Tabs.Tab>
          {may && <Tabs.Tab value="strays">{t('node.tabStrays')}</Tabs.Tab>}
          {may && <Tabs.Tab value="settings">{t('node.tabSettings')}</Tabs.Tab>}
        </TabList>
        <Tabs.Panel value="overview">
          <Suspense fallback={<RowSkeletons />}>
            <NodeFigures node={node.data} />
          </Suspense>
        </Tabs.Panel>
        <Tabs.Panel value="instances">
          <NodeInstances node={node.data} />
        </Tabs.Panel>
        <Tabs.Panel value="ports">
          <Ports node={node.data} />
        </Tabs.Panel>
        {may && (
          <Tabs.Panel value="strays">
            <Strays node={node.data} />
          </Tabs.Panel>
        )}
        {may && (
          <Tabs.Panel value="settings">
            <NodeSettings node={node.data} />
          </Tabs.Panel>
        )}
      </Tabs>
    </>
  );
}
