import { IconActivity } from '@tabler/icons-react';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { keys, list, type View } from '@/api';
import { described, eventText } from '@/parts/deeds';
import { t, tAny } from '@/text';
import { Choice, EmptyState, ErrorNotice, Filters, Pager, RelativeTime, RowSkeletons, SearchField, Section, useFilters } from '@/ui';
import type { Instance } from './model';
import css from './instance.module.css';

const vias = ['session', 'key', 'sftp', 'schedule', 'system', 'local'] as const;

/** Who did what with the instance, when, from where and through what. */
export default function ActivityTab({ instance }: { instance: Instance }) {
  const filter = useFilters('search', 'via');
  const query = {
    page: filter.page,
    limit: 50,
    ...(filter.values.search ? { search: filter.values.search } : {}),
    ...(filter.values.via ? { via: filter.values.via as 'key' } : {}),
  };
  const found = useQuery({
    queryKey: keys.activity(instance.id, query),
    queryFn: ({ signal }) => list('/api/v1/instances/{id}/activity', { path: { id: instance.id }, query, signal }),
    placeholderData: keepPreviousData,
  });
  const items = found.data?.items;
  return (
    <>
      <Section flush title={t('instance.tabActivity')} hint={t('instance.activityHint')}>
        <Filters>
          <SearchField value={filter.values.search} onChange={(to) => filter.set('search', to)} placeholder={t('instance.activitySearch')} />
          <Choice name={t('instance.via')} value={filter.values.via} onChange={(to) => filter.set('via', to)} data={[{ value: '', label: t('instance.anyVia') }, ...vias.map((each) => ({ value: each, label: t(`instance.via_${each}`) }))]} />
        </Filters>
        {found.error && !items ? (
          <ErrorNotice error={found.error} retry={() => void found.refetch()} />
        ) : !items ? (
          <RowSkeletons />
        ) : items.length === 0 ? (
          <EmptyState icon={IconActivity} title={filter.any ? t('common.nothingFound') : t('instance.activityNone')} />
        ) : (
          <ol className={css.deeds}>
            {items.map((event) => (
              <Deed key={event.id} event={event} />
            ))}
          </ol>
        )}
      </Section>
      {found.data && <Pager page={found.data.page} pages={found.data.pages} total={found.data.total} onPage={filter.toPage} />}
    </>
  );
}

function Deed({ event }: { event: View<'EventView'> }) {
  const { actor } = event;
  const about = described(event);
  return (
    <li className={css.deed}>
      <div>
        <strong>{eventText(event.type)}</strong>
        {about && <span className="mono"> {about}</span>}
        <div className="quiet">
          {actor.username || actor.user || tAny(`instance.via_${actor.via}`, actor.via)}
          {(actor.username || actor.user) && <> · {tAny(`instance.via_${actor.via}`, actor.via)}</>}
          {actor.address && (
            <>
              {' '}
              · <span className="mono">{actor.address}</span>
            </>
          )}
        </div>
      </div>
      <div className="quiet">
        <RelativeTime at={event.at} />
      </div>
    </li>
  );
}
