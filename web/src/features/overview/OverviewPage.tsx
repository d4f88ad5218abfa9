import { Button } from '@mantine/core';
import { IconCircleCheck, IconRocket } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Link, Redirect } from 'wouter';
import { call, keys, list, useCan, type View } from '@/api';
import { number, t, tAny } from '@/text';
import { DataTable, EmptyState, ErrorNotice, PageHeader, RowSkeletons, Section, StateBadge, useNow } from '@/ui';
import { NodeTile } from './NodeTile';
import { problemsOf, recentFailures } from './problems';
import css from './overview.module.css';

const none: never[] = [];

/** The fleet at a glance: what needs somebody first. */
export default function OverviewPage() {
  const can = useCan();
  const sees = can('instances.read');
  const nodes = useQuery({ queryKey: keys.nodes('list', 'overview'), queryFn: () => list('/api/v1/nodes', { query: { limit: 100, sort: 'name' } }) });
  const all = useQuery({ queryKey: keys.instances('list', 'count'), queryFn: () => list('/api/v1/instances', { query: { limit: 1 } }), enabled: sees });
  const empty = sees && all.data?.total === 0;
  if (empty && can('instances.write') && can('nodes.write') && localStorage.getItem('berth.welcome') !== 'left') return <Redirect to="/welcome" replace />;
  return (
    <>
      <PageHeader
        title={t('nav.overview')}
        actions={
          can('instances.write') && (
            <Button component={Link} href={empty ? '/welcome' : '/instances/new'} variant="filled" leftSection={<IconRocket size={16} aria-hidden />}>
              {t(empty ? 'overview.welcome' : 'deploy.title')}
            </Button>
          )
        }
      />
      {sees && <Counts />}
      <Problems nodes={nodes.data?.items} />
      <Section title={t('nav.nodes')}>
        {nodes.error && !nodes.data ? (
          <ErrorNotice error={nodes.error} retry={() => void nodes.refetch()} />
        ) : !nodes.data ? (
          <RowSkeletons />
        ) : nodes.data.total === 0 ? (
          <EmptyState
            title={t('node.empty')}
            action={
              can('nodes.write') && (
                <Button component={Link} href="/nodes/new" variant="filled">
                  {t('node.add')}
                </Button>
              )
            }
          >
            {t('node.emptyHint')}
          </EmptyState>
        ) : (
          <div className={css.tiles}>
            {nodes.data.items.map((node) => (
              <NodeTile key={node.id} node={node} />
            ))}
          </div>
        )}
      </Section>
    </>
  );
}

const counted = ['running', 'stopped', 'installing', 'suspended', 'crashed', 'failed'] as const;

function Counts() {
  return (
    <ul className={css.counts} aria-label={t('nav.instances')}>
      {counted.map((status) => (
        <Count key={status} status={status} />
      ))}
    </ul>
  );
}

function Count({ status }: { status: string }) {
  const query = { status: status as 'running', limit: 1 };
  const found = useQuery({ queryKey: keys.instances('list', 'count', status), queryFn: () => list('/api/v1/instances', { query }) });
  return (
    <li>
      <Link href={`/instances?status=${status}`} className={css.count} data-none={found.data?.total === 0 || undefined}>
        <span className={css.figure}>{found.data ? number(found.data.total) : '–'}</span>
        <StateBadge state={status} />
      </Link>
    </li>
  );
}

function Problems({ nodes }: { nodes: View<'NodeView'>[] | undefined }) {
  const can = useCan();
  const now = useNow();
  const sees = can('instances.read');
  const bad = (status: 'crashed' | 'failed') => ({ queryKey: keys.instances('list', 'bad', status), queryFn: () => list('/api/v1/instances', { query: { status, limit: 10 } }), enabled: sees });
  const crashed = useQuery(bad('crashed'));
  const failed = useQuery(bad('failed'));
  const jobs = useQuery({ queryKey: keys.jobs('list', 'failed'), queryFn: () => list('/api/v1/jobs', { query: { limit: 50 } }), enabled: sees });
  const release = useQuery({ queryKey: keys.system('status'), queryFn: () => call('get', '/api/v1/status') });
  const found = nodes && problemsOf({ nodes, instances: [...(crashed.data?.items ?? none), ...(failed.data?.items ?? none)], jobs: recentFailures(jobs.data?.items ?? none, now).slice(0, 5) });
  return (
    <Section title={t('overview.problems')} flush={!!found && found.length > 0}>
      {!found ? (
        <RowSkeletons rows={1} />
      ) : found.length === 0 ? (
        <p className={css.well}>
          <IconCircleCheck size={20} aria-hidden /> {t('overview.well')} <span className="quiet">{release.data && t('overview.version', { version: release.data.version })}</span>
        </p>
      ) : (
        <DataTable
          label={t('overview.problems')}
          rows={found}
          rowKey={(each) => each.key}
          columns={[
            { key: 'state', title: t('job.state'), cell: (each) => <StateBadge state={each.state} label={tAny(`overview.${each.kind}`, each.kind)} /> },
            {
              key: 'do',
              title: t('overview.todo'), width: '100%',
              cell: (each) => (
                <>
                  <Link href={each.to}>{each.kind === 'jobFailed' ? tAny(`job.kind_${each.name}`, each.name) : each.name}</Link>
                  {each.detail && <div className={css.detail}>{each.detail}</div>}
                  <div className="quiet">{tAny(`overview.${each.kind}Do`, '')}</div>
                </>
              ),
            },
          ]}
        />
      )}
    </Section>
  );
}
