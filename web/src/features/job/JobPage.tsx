import { Anchor } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link, useLocation, useParams } from 'wouter';
import { call, keys } from '@/api';
import { InstanceLink, JobLive, namesOf, NodeName } from '@/parts';
import { dateTime, t, tAny } from '@/text';
import { ErrorPage, Facts, notifyDone, PageHeader, PageSkeleton, RelativeTime, Section } from '@/ui';

export default function JobPage() {
  const { id } = useParams<{ id: string }>();
  const [, go] = useLocation();
  const job = useQuery({
    queryKey: keys.jobs(id),
    queryFn: async ({ signal }) => {
      const found = await call('get', '/api/v1/jobs/{id}', { path: { id }, signal });
      return { ...found, names: await namesOf([found], signal) };
    },
  });
  if (job.error && !job.data) return <ErrorPage error={job.error} retry={() => void job.refetch()} />;
  if (!job.data) return <PageSkeleton />;
  const { data } = job;
  return (
    <>
      <PageHeader
        title={tAny(`job.kind_${data.kind}`, data.kind)}
        crumb={
          <Anchor component={Link} href="/jobs">
            {t('job.title')}
          </Anchor>
        }
      />
      <Section title={t('job.progress')}>
        <JobLive
          key={id}
          id={id}
          onEnd={() => void job.refetch()}
          onRetry={(made) => {
            notifyDone(t('job.retried'));
            go(`/jobs/${made}`);
          }}
        />
      </Section>
      <Section title={t('common.details')}>
        <Facts
          of={[
            [t('job.instance'), data.instance_id && <InstanceLink id={data.instance_id} names={data.names} />],
            [t('job.node'), data.node_id && <NodeName id={data.node_id} />],
            [t('job.by'), `${data.actor.username ?? ''} (${tAny(`activity.via_${data.actor.via}`, data.actor.via)})`],
            [t('common.created'), dateTime(data.created_at)],
            [t('job.started'), data.started_at && <RelativeTime at={data.started_at} />],
            [t('job.finished'), data.finished_at && <RelativeTime at={data.finished_at} />],
            [t('job.waits'), data.waiting_since && <RelativeTime at={data.waiting_since} />],
            [t('job.deadline'), !data.finished_at && dateTime(data.deadline)],
            [t('job.attempt'), String(data.attempt)],
            [t('job.retryOf'), data.retry_of && <Link href={`/jobs/${data.retry_of}`}>{data.retry_of}</Link>],
          ]}
        />
      </Section>
    </>
  );
}
