import { SegmentedControl, SimpleGrid } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { lazy, Suspense, useCallback, useState } from 'react';
import { call, keys, useLiveStats, type LiveStats, type View } from '@/api';
import { bytes, cores, dateTime, number, t, tAny } from '@/text';
import { EmptyState, Facts, Meter, RelativeTime, RowSkeletons, Section } from '@/ui';
import { Given } from './Given';
import { spans, type Node, type Resolution } from './node';

const TimeChart = lazy(() => import('@/ui/TimeChart'));
type Stats = View<'NodeStatsView'>;

/** How a node does: now, over time, and what it is. */
export default function NodeFigures({ node }: { node: Node }) {
  const [stats, setStats] = useState<Stats>();
  useLiveStats('nodes', node.id, useCallback((each: LiveStats) => setStats(each as unknown as Stats), []));
  const first = useQuery({
    queryKey: keys.nodes(node.id, 'stats'),
    queryFn: () => call('get', '/api/v1/nodes/{id}/stats', { path: { id: node.id } }),
    enabled: node.state === 'online' && !stats,
  });
  const now = stats ?? first.data;
  return (
    <>
      <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="md">
        <Section title={t('node.given')}>
          <SimpleGrid cols={1} spacing="sm">
            <Given node={node} of="memory" named />
            <Given node={node} of="disk" named />
            <Given node={node} of="cpu" named />
          </SimpleGrid>
        </Section>
        <Section title={t('node.usedNow')}>{node.state === 'online' && now ? <Now stats={now} /> : first.isLoading ? <RowSkeletons rows={5} /> : <p className="quiet">{t('node.noStats')}</p>}</Section>
      </SimpleGrid>
      <History node={node} />
      <Section title={t('common.details')}>
        <Details node={node} />
      </Section>
    </>
  );
}

function Now({ stats }: { stats: Stats }) {
  return (
    <SimpleGrid cols={1} spacing="sm">
      <Meter label={t('node.liveCpu')} value={stats.cpu} max={stats.cores} text={`${t('common.cpu')} ${t('common.ofTotal', { used: cores(stats.cpu), total: t('common.cores', { count: stats.cores }) })}`} />
      <Meter
        label={t('node.liveMemory')}
        value={stats.memory_used_bytes}
        max={stats.memory_total_bytes}
        text={`${t('common.memory')} ${t('common.ofTotal', { used: bytes(stats.memory_used_bytes), total: bytes(stats.memory_total_bytes) })}`}
      />
      <Meter
        label={t('node.liveDisk')}
        value={stats.disk_used_bytes}
        max={stats.disk_total_bytes}
        text={`${t('common.disk')} ${t('common.ofTotal', { used: bytes(stats.disk_used_bytes), total: bytes(stats.disk_total_bytes) })}`}
      />
      <Facts
        of={[
          [t('node.load'), <span key="load" className="nums">{number(stats.load1, { maximumFractionDigits: 2 })}</span>],
          [t('node.traffic'), <span key="net" className="nums">{t('node.trafficText', { in: bytes(stats.net_in_rate), out: bytes(stats.net_out_rate) })}</span>],
          [t('node.running'), number(stats.running)],
        ]}
      />
    </SimpleGrid>
  );
}

function History({ node }: { node: Node }) {
  const [resolution, setResolution] = useState<Resolution>('10s');
  const online = node.state === 'online';
  const history = useQuery({
    queryKey: keys.nodes(node.id, 'history', resolution),
    queryFn: ({ signal }) => call('get', '/api/v1/nodes/{id}/stats/history', { path: { id: node.id }, query: { resolution }, signal }),
    enabled: online,
    refetchInterval: resolution === '1m' ? 60_000 : 10_000,
    placeholderData: (before) => before,
  });
  return (
    <Section
      title={t('node.overTime')}
      actions={
        <SegmentedControl
          size="xs"
          aria-label={t('node.overTime')}
          value={resolution}
          onChange={(to) => setResolution(to as Resolution)}
          data={Object.keys(spans).map((value) => ({ value, label: tAny(`node.span_${value}`, value) }))}
        />
      }
    >
      {!online && !history.data ? (
        <p className="quiet">{t('node.noStats')}</p>
      ) : history.data && history.data.at.length === 0 ? <EmptyState title={t('node.noHistory')} /> : history.data ? <Charts history={history.data} node={node} /> : <RowSkeletons rows={8} />}
    </Section>
  );
}

function Charts({ history, node }: { history: View<'StatsHistoryView'>; node: Node }) {
  const { at } = history;
  return (
    <Suspense fallback={<RowSkeletons rows={8} />}>
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
        <TimeChart label={t('common.cpu')} at={at} format={cores} top={node.engine.cores ?? 1} series={[{ name: t('node.liveCpu'), values: history.cpu, colour: 1 }]} />
        <TimeChart label={t('common.memory')} at={at} format={bytes} steps="bytes" series={[{ name: t('node.liveMemory'), values: history.memory_bytes, colour: 3 }]} />
        <TimeChart
          label={t('node.traffic')}
          at={at}
          format={(value) => `${bytes(value)}/s`}
          steps="bytes"
          series={[
            { name: '↓', values: history.net_in_rate, colour: 1 },
            { name: '↑', values: history.net_out_rate, colour: 2 },
          ]}
        />
        <TimeChart label={t('node.load')} at={at} format={(value) => number(value, { maximumFractionDigits: 2 })} series={[{ name: t('node.load'), values: history.load1 ?? [], colour: 4 }]} />
      </SimpleGrid>
    </Suspense>
  );
}

function Details({ node }: { node: Node }) {
  const { engine, volumes } = node;
  return (
    <Facts
      of={[
        [t('node.address'), <span key="a" className="mono">{`${node.address}:${node.port}`}</span>],
        [t('node.publicHost'), <span key="p" className="mono">{node.public_host}</span>],
        [t('node.connection'), tAny(`node.connection_${node.connection}`, node.connection)],
        [t('node.release'), node.release],
        [t('node.engine'), engine.version && `${engine.name ?? ''} ${engine.version}`],
        [t('node.system'), engine.os && `${engine.os}, ${engine.kernel ?? ''}, ${engine.arch ?? ''}`],
        [t('node.volumes'), volumes && t(volumes.hard ? 'node.volumesHard' : 'node.volumesSoft', { driver: volumes.driver, message: volumes.message ?? '' })],
        [t('node.tags'), node.tags.join(', ')],
        [t('node.since'), node.since && <RelativeTime at={node.since} />],
        [t('node.lastSeen'), <RelativeTime key="l" at={node.last_seen_at} />],
        [t('node.certificate'), node.certificate_ends_at && dateTime(node.certificate_ends_at, { dateStyle: 'medium' })],
        [t('node.enrolled'), node.enrolled_at && dateTime(node.enrolled_at)],
      ]}
    />
  );
}
