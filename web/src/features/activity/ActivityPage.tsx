import { Select, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { keys, list, useCan, type View } from '@/api';
import { InstanceLink, NodeName, UserSelect, withNames, type Names } from '@/parts';
import { described, eventText } from '@/parts/deeds';
import { t, tAny } from '@/text';
import { Choice, DataTable, EmptyState, Filters, PageHeader, Pager, RelativeTime, SearchField, Section, useFilters, type Column } from '@/ui';
import { doors, isoOfLocal, tellsOf, things } from './activity';
import { Link } from 'wouter';
import css from './activity.module.css';

type Event = View<'EventView'>;

export default function ActivityPage() {
  const can = useCan();
  const filters = useFilters('search', 'actor', 'type', 'via', 'instance', 'since', 'until');
  const { search, actor, type, via, instance, since, until } = filters.values;
  const query = {
    page: filters.page,
    limit: 50,
    search,
    actor,
    type,
    instance_id: instance,
    since: isoOfLocal(since),
    until: isoOfLocal(until),
    ...(via ? { via: via as 'key' } : {}),
  };
  const found = useQuery({ queryKey: keys.activity('list', query), queryFn: async ({ signal }) => withNames(await list('/api/v1/activity', { query, signal }), signal), placeholderData: (before) => before });
  return (
    <>
      <PageHeader title={t('activity.title')} />
      <Section flush>
        <Filters>
          <SearchField value={search} onChange={(to) => filters.set('search', to)} placeholder={t('activity.search')} />
          {can('users.read') && <UserSelect label={t('activity.actor')} value={actor} onChange={(to) => filters.set('actor', to)} clearable placeholder={t('activity.anybody')} />}
          <Select
            label={t('activity.type')}
            value={type}
            searchable
            onChange={(to) => filters.set('type', to ?? '')}
            data={[{ value: '', label: t('activity.anyType') }, ...things.map((each) => ({ value: each, label: tAny(`activity.thing_${each}`, each) }))]}
          />
          <Choice
            label={t('activity.via')}
            value={via}
            onChange={(to) => filters.set('via', to)}
            data={[{ value: '', label: t('activity.anyVia') }, ...doors.map((each) => ({ value: each, label: tAny(`activity.via_${each}`, each) }))]}
          />
          <TextInput label={t('activity.instance')} value={instance} onChange={(e) => filters.set('instance', e.currentTarget.value.trim())} />
          <TextInput type="datetime-local" label={t('activity.since')} value={since} onChange={(e) => filters.set('since', e.currentTarget.value)} />
          <TextInput type="datetime-local" label={t('activity.until')} value={until} onChange={(e) => filters.set('until', e.currentTarget.value)} />
        </Filters>
        <DataTable
          label={t('activity.title')}
          columns={columns(found.data?.names)}
          rows={found.data?.items}
          rowKey={(event) => String(event.id)}
          error={found.error}
          retry={() => void found.refetch()}
          empty={filters.any ? undefined : <EmptyState title={t('activity.empty')}>{t('activity.emptyHint')}</EmptyState>}
        />
        {found.data && <Pager {...found.data} onPage={filters.toPage} />}
      </Section>
    </>
  );
}

const columns = (names: Names = new Map()): Column<Event>[] => [
  {
    key: 'what',
    title: t('activity.what'), width: '50%',
    cell: (event) => (
      <>
        <div>{eventText(event.type)}</div>
        <div className={css.told} title={tellsOf(event.data)}>
          {described(event)}
        </div>
      </>
    ),
  },
  {
    key: 'who',
    title: t('activity.actor'),
    cell: (event) => (
      <>
        <div>{event.actor.user ? <Link href={`/users/${event.actor.user}`}>{event.actor.username ?? event.actor.user}</Link> : tAny(`activity.via_${event.actor.via}`, event.actor.via)}</div>
        <div className="quiet mono">{event.actor.address}</div>
      </>
    ),
  },
  { key: 'via', title: t('activity.via'), wide: true, cell: (event) => tAny(`activity.via_${event.actor.via}`, event.actor.via) },
  { key: 'about', title: t('activity.about'), wide: true, cell: (event) => <About event={event} names={names} /> },
  { key: 'at', title: t('activity.when'), end: true, cell: (event) => <RelativeTime at={event.at} /> },
];

function About({ event, names }: { event: Event; names: Names }) {
  if (event.instance_id) return <InstanceLink id={event.instance_id} names={names} />;
  if (event.node_id) return <NodeName id={event.node_id} />;
  if (event.job_id) return <Link href={`/jobs/${event.job_id}`}>{t('job.one')}</Link>;
  return <span className="quiet">{event.type.startsWith('user.') && event.subject_id ? <Link href={`/users/${event.subject_id}`}>{t('user.one')}</Link> : '–'}</span>;
}

