import { Select } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link, useLocation } from 'wouter';
import { keys, list, type View } from '@/api';
import { InstanceLink, NodeName, withNames, type Names } from '@/parts';
import { t, tAny } from '@/text';
import { Choice, DataTable, EmptyState, Filters, PageHeader, Pager, reason, RelativeTime, Section, StateBadge, useFilters, type Column } from '@/ui';
import { kinds, states } from './job';

type Job = View<'JobView'>;

export default function JobsPage() {
  const [, go] = useLocation();
  const filters = useFilters('state', 'kind', 'instance_id', 'node_id');
  const { state, kind, instance_id, node_id } = filters.values;
  const query = { page: filters.page, limit: 50, kind, instance_id, node_id, ...(state ? { state: state as Job['state'] } : {}) };
  const jobs = useQuery({ queryKey: keys.jobs('list', query), queryFn: async ({ signal }) => withNames(await list('/api/v1/jobs', { query, signal }), signal), placeholderData: (before) => before });
  return (
    <>
      <PageHeader title={t('job.title')} />
      <Section flush>
        <Filters>
          <Choice
            name={t('job.state')}
            value={state}
            onChange={(to) => filters.set('state', to)}
            data={[{ value: '', label: t('job.anyState') }, ...states.map((each) => ({ value: each, label: tAny(`state.${each}`, each) }))]}
          />
          <Select
            aria-label={t('job.kind')}
            searchable
            value={kind}
            onChange={(to) => filters.set('kind', to ?? '')}
            data={[{ value: '', label: t('job.anyKind') }, ...kinds.map((each) => ({ value: each, label: tAny(`job.kind_${each}`, each) }))]}
          />
        </Filters>
        <DataTable
          label={t('job.title')}
          columns={columns(jobs.data?.names)}
          rows={jobs.data?.items}
          rowKey={(job) => job.id}
          error={jobs.error}
          retry={() => void jobs.refetch()}
          onRow={(job) => go(`/jobs/${job.id}`)}
          empty={filters.any ? undefined : <EmptyState title={t('job.empty')}>{t('job.emptyHint')}</EmptyState>}
        />
        {jobs.data && <Pager {...jobs.data} onPage={filters.toPage} />}
      </Section>
    </>
  );
}

const columns = (names: Names = new Map()): Column<Job>[] => [
  { key: 'kind', title: t('job.kind'), cell: (job) => <Link href={`/jobs/${job.id}`}>{tAny(`job.kind_${job.kind}`, job.kind)}</Link> },
  { key: 'state', title: t('job.state'), cell: (job) => <StateBadge state={job.state} /> },
  {
    key: 'of',
    title: t('job.of'),
    wide: true,
    cell: (job) => (job.instance_id ? <InstanceLink id={job.instance_id} names={names} /> : job.node_id ? <NodeName id={job.node_id} /> : '–'),
  },
  { key: 'message', title: t('job.progress'), wide: true, cell: (job) => <span className="quiet">{job.failure ? reason(job.failure) : (job.message ?? '')}</span> },
  { key: 'by', title: t('job.by'), wide: true, cell: (job) => job.actor.username ?? tAny(`activity.via_${job.actor.via}`, job.actor.via) },
  { key: 'at', title: t('job.started'), end: true, cell: (job) => <RelativeTime at={job.started_at ?? job.created_at} /> },
];
