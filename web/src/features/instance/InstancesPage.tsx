import { Button } from '@mantine/core';
import { IconBox, IconPlus } from '@tabler/icons-react';
import { keepPreviousData, useQueries, useQuery } from '@tanstack/react-query';
import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useMemo, useRef, useState } from 'react';
import { Link, useLocation } from 'wouter';
import { keys, list, useCan } from '@/api';
import { number, t, tAny } from '@/text';
import { Choice, EmptyState, ErrorNotice, PageHeader, RowSkeletons, SearchField, useCommands, useFilters } from '@/ui';
import { useFollowed } from './figures';
import { InstanceRow } from './InstanceRow';
import { statuses, type ListedInstance } from './model';
import css from './instance.module.css';

const limit = 100;
const rowHeight = 68;
// So many rows before they come in sight their page is asked for: when it comes late,
// all of them are drawn at once, and the scrolling stops for it.
const before = 30;

type Sort = 'name' | '-name' | 'created_at' | '-created_at' | 'memory' | '-memory' | 'cpu' | '-cpu';

/** All that the caller may see: his own, what is shared with him, or everything. */
export default function InstancesPage() {
  const filter = useFilters('search', 'status', 'sort');
  const deploys = useCan()('instances.write');
  const [, go] = useLocation();
  const query = {
    limit,
    sort: (filter.values.sort || 'name') as Sort,
    ...(filter.values.search ? { search: filter.values.search } : {}),
    ...(filter.values.status ? { status: filter.values.status as 'running' } : {}),
  };
  const first = useQuery(pageQuery(query, 1));
  const total = first.data?.total ?? 0;
  useCommands(deploys ? [{ id: 'deploy', label: t('instance.deploy'), icon: IconPlus, run: () => go('/instances/new') }] : []);
  const deploy = deploys && (
    <Button component={Link} href="/instances/new" variant="filled" leftSection={<IconPlus size={16} aria-hidden />}>
      {t('instance.deploy')}
    </Button>
  );
  return (
    <>
      <PageHeader title={t('instance.title')} beside={first.data && <span className="quiet nums">{number(total)}</span>} actions={deploy} />
      <div className={css.filters} role="search">
        <SearchField value={filter.values.search} onChange={(to) => filter.set('search', to)} placeholder={t('instance.searchHint')} />
        <Choice
          name={t('instance.state')}
          value={filter.values.status}
          onChange={(to) => filter.set('status', to)}
          data={[{ value: '', label: t('instance.anyState') }, ...statuses.map((each) => ({ value: each, label: tAny(`state.${each}`, each) }))]}
        />
        <Choice
          name={t('instance.sort')}
          value={filter.values.sort || 'name'}
          onChange={(to) => filter.set('sort', to === 'name' ? '' : to)}
          data={[
            { value: 'name', label: t('instance.sortName') },
            { value: '-created_at', label: t('instance.sortNewest') },
            { value: '-memory', label: t('instance.sortMemory') },
            { value: '-cpu', label: t('instance.sortCpu') },
          ]}
        />
      </div>
      {first.error && !first.data && <ErrorNotice error={first.error} retry={() => void first.refetch()} />}
      {first.isPending && <RowSkeletons rows={5} />}
      {first.data && total === 0 && <Nothing narrowed={filter.any} clear={filter.clear} action={deploy} />}
      {total > 0 && <Rows query={query} total={total} first={first.data?.items ?? []} />}
    </>
  );
}

type Query = { limit: number; sort: Sort; search?: string; status?: 'running' };

function pageQuery(query: Query, page: number) {
  return {
    queryKey: keys.instances('list', query, page),
    queryFn: ({ signal }: { signal: AbortSignal }) => list('/api/v1/instances', { query: { ...query, page }, signal }),
    placeholderData: keepPreviousData,
  };
}

function Nothing({ narrowed, clear, action }: { narrowed: boolean; clear: () => void; action: React.ReactNode }) {
  if (narrowed) {
    return (
      <EmptyState title={t('common.nothingFound')} action={<Button onClick={clear}>{t('common.clear')}</Button>}>
        {t('common.nothingFoundHint')}
      </EmptyState>
    );
  }
  return (
    <EmptyState icon={IconBox} title={t('instance.none')} action={action}>
      {action ? t('instance.noneStaff') : t('instance.noneCustomer')}
    </EmptyState>
  );
}

// Only rows in sight exist, and only pages of the list that they are on are asked for.
function Rows({ query, total, first }: { query: Query; total: number; first: ListedInstance[] }) {
  const box = useRef<HTMLDivElement>(null);
  const [margin, setMargin] = useState(0);
  useEffect(() => setMargin(box.current?.offsetTop ?? 0), []);
  const virtual = useWindowVirtualizer({ count: total, estimateSize: () => rowHeight, overscan: 6, scrollMargin: margin, useFlushSync: false });
  const shown = virtual.getVirtualItems();
  const pageOf = (index: number) => Math.floor(Math.min(Math.max(index, 0), total - 1) / limit) + 1;
  const from = pageOf((shown[0]?.index ?? 0) - before);
  const to = pageOf((shown.at(-1)?.index ?? 0) + before);
  const wanted = useMemo(() => Array.from({ length: to - from + 1 }, (_, n) => from + n).filter((page) => page > 1), [from, to]);
  const pages = useQueries({ queries: wanted.map((page) => ({ ...pageQuery(query, page), placeholderData: undefined })) });
  const row = (index: number): ListedInstance | undefined => {
    const page = pageOf(index);
    const items = page === 1 ? first : pages[wanted.indexOf(page)]?.data?.items;
    return items?.[index % limit];
  };
  useFollowed(shown.map((item) => row(item.index)?.id ?? '').filter((id) => id !== ''));
  return (
    <div ref={box} className={css.list} role="list" aria-label={t('instance.title')} style={{ height: virtual.getTotalSize() }}>
      {shown.map((item) => {
        const instance = row(item.index);
        return (
          <div
            key={instance?.id ?? item.index}
            role="listitem"
            aria-setsize={total}
            aria-posinset={item.index + 1}
            className={css.slot}
            style={{ top: item.start - margin, height: rowHeight }}
          >
            {instance ? <InstanceRow instance={instance} /> : <div className={css.rowWait} aria-busy="true" />}
          </div>
        );
      })}
    </div>
  );
}
