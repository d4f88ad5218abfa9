import { Anchor } from '@mantine/core';
import { IconAlertTriangle, IconInfoCircle, IconLock, type Icon } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Suspense, type ComponentType, type ReactNode } from 'react';
import { Link, Redirect, useLocation } from 'wouter';
import { call, ended, keys, list, useJob, type View } from '@/api';
import { t, tAny, type TextKey } from '@/text';
import { ErrorPage, intoView, isGone, JobProgress, PageHeader, PageSkeleton, reason, RelativeTime, StateBadge } from '@/ui';
import { may, type Instance, type Right } from './model';
import { PowerButtons } from './PowerButtons';
import css from './instance.module.css';

export interface InstanceTab {
  /** In the address behind the instance's id; '' is the first. */
  slug: string;
  label: TextKey;
  icon: Icon;
  /** Without it the tab isn't shown. */
  right: Right;
  page: ComponentType<{ instance: Instance }>;
}

interface Props {
  id: string;
  tabs: readonly InstanceTab[];
  /** More that can be done, beside power. */
  actions?: (instance: Instance) => ReactNode;
}

export function useInstance(id: string) {
  return useQuery({ queryKey: keys.instances(id), queryFn: ({ signal }) => call('get', '/api/v1/instances/{id}', { path: { id }, signal }) });
}

/** Around all pages of an instance: what it is, how it stands, power, and the way between them. */
export function InstanceFrame({ id, tabs, actions }: Props) {
  const { data: instance, error, refetch } = useInstance(id);
  const [path] = useLocation();
  // What was shared and is taken back is gone, whatever was read of it before.
  if (error && (!instance || isGone(error))) return <ErrorPage error={error} retry={() => void refetch()} />;
  if (!instance) return <PageSkeleton />;
  const mine = tabs.filter((tab) => may(instance, tab.right));
  const slug = path.split('/')[3] ?? '';
  const open = mine.find((tab) => tab.slug === slug);
  if (!open) return <Redirect to={`/instances/${id}`} replace />;
  const Page = open.page;
  return (
    <>
      <PageHeader
        title={instance.name}
        crumb={
          <Anchor component={Link} href="/instances" size="sm">
            {t('instance.title')}
          </Anchor>
        }
        beside={<StateBadge state={instance.status} />}
        actions={
          <>
            <PowerButtons instance={instance} />
            {actions?.(instance)}
          </>
        }
      />
      <Notices instance={instance} />
      <UnderWay id={id} />
      <nav className={css.tabs} aria-label={t('instance.pages')}>
        {mine.map(({ slug: to, label, icon: Shape }) => (
          <Link key={to} ref={to === slug ? intoView : undefined} href={`/instances/${id}${to && `/${to}`}`} className={css.tab} aria-current={to === slug ? 'page' : undefined}>
            <Shape size={16} stroke={1.6} aria-hidden />
            {t(label)}
          </Link>
        ))}
      </nav>
      <Suspense key={slug} fallback={<PageSkeleton />}>
        <Page instance={instance} />
      </Suspense>
    </>
  );
}

function Told({ tone, icon: Shape = IconAlertTriangle, title, children }: { tone: 'warn' | 'bad' | 'busy'; icon?: Icon; title: string; children?: ReactNode }) {
  return (
    <div className={css.told} data-tone={tone} role="status">
      <Shape size={18} aria-hidden />
      <div>
        <p>
          <strong>{title}</strong>
        </p>
        {children}
      </div>
    </div>
  );
}

// Why it isn't as it should be, and what to do.
function Notices({ instance }: { instance: Instance }) {
  const told: ReactNode[] = [];
  if (instance.suspended) {
    told.push(
      <Told key="suspended" tone="warn" icon={IconLock} title={t('instance.suspendedTitle')}>
        {instance.suspend_reason && <p>{t('instance.reason', { reason: instance.suspend_reason })}</p>}
        <p>{t('instance.suspendedHint')}</p>
      </Told>,
    );
  }
  if (instance.failure) {
    told.push(
      <Told key="failure" tone="bad" title={t('instance.failedTitle')}>
        <p>{reason(instance.failure)}</p>
        <p>{instance.status === 'failed' ? t('instance.failedHint') : t('instance.failedOrderHint')}</p>
      </Told>,
    );
  }
  if (instance.status === 'crashed') told.push(<Crashed key="crashed" instance={instance} />);
  if (instance.disk_state?.full) {
    told.push(
      <Told key="disk" tone="bad" title={t('instance.diskFullTitle')}>
        <p>{t('instance.diskFullHint')}</p>
      </Told>,
    );
  }
  if (instance.overdue) {
    told.push(
      <Told key="overdue" tone="warn" title={t('instance.overdueTitle')}>
        <p>{t('instance.overdueHint')}</p>
      </Told>,
    );
  }
  if (instance.health === 'unhealthy') told.push(<Told key="health" tone="warn" title={t('instance.unhealthyTitle')} />);
  if (instance.drift) {
    told.push(
      <Told key="drift" tone="warn" icon={IconInfoCircle} title={t('instance.driftTitle')}>
        <p>{instance.drift}</p>
      </Told>,
    );
  }
  return <>{told}</>;
}

function Crashed({ instance }: { instance: Instance }) {
  const how = instance.oom ? t('instance.crashedOom') : t('instance.crashedCode', { code: String(instance.exit_code ?? '?') });
  return (
    <Told tone="bad" title={how}>
      <p>
        {instance.gave_up ? t('instance.gaveUpHint', { count: instance.crashes ?? 0 }) : instance.oom ? t('instance.oomHint') : t('instance.crashedHint')}
        {instance.retry_at && (
          <>
            {' '}
            {t('instance.retryAt')} <RelativeTime at={instance.retry_at} />
          </>
        )}
      </p>
    </Told>
  );
}

// The jobs that change it now.
function UnderWay({ id }: { id: string }) {
  const found = useQuery({
    queryKey: keys.jobs('list', { instance: id }),
    queryFn: ({ signal }) => list('/api/v1/jobs', { query: { instance_id: id, limit: 20 }, signal }),
  });
  const open = (found.data?.items ?? []).filter((job) => !ended(job.state) && job.kind.startsWith('instance.'));
  return (
    <>
      {open.slice(0, 3).map((job) => (
        <OpenJob key={job.id} first={job} />
      ))}
    </>
  );
}

function OpenJob({ first }: { first: View<'JobView'> }) {
  const job = useJob(first.id).job ?? first;
  if (ended(job.state)) return null;
  return (
    <Told tone="busy" icon={IconInfoCircle} title={tAny(`job.kind_${job.kind}`, job.kind)}>
      <JobProgress job={job} />
    </Told>
  );
}
