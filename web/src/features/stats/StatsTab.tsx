import { SegmentedControl } from '@mantine/core';
import { IconChartLine } from '@tabler/icons-react';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { lazy, Suspense, useCallback, useEffect, useMemo, useState } from 'react';
import { call, keys, useLiveStats, type LiveStats, type View } from '@/api';
import { bytes, cores, number, t } from '@/text';
import { EmptyState, ErrorNotice, PageSkeleton, Section } from '@/ui';
import { columns, ranges, sampleOf, summary, withTail, type Columns, type Figure, type Range, type Sample } from './series';
import css from './stats.module.css';

const TimeChart = lazy(() => import('@/ui/TimeChart'));

interface Props {
  instance: { id: string; cpu: number; memory: number; disk: number };
}

interface Chart {
  title: string;
  format: (value: number) => string;
  steps?: 'bytes' | 'whole';
  top?: number;
  lines: { figure: Figure; name: string; colour: 1 | 2 }[];
}

/** What an instance used over time, and uses now. */
export default function StatsTab({ instance }: Props) {
  const [name, setName] = useState<Range['name']>('15m');
  const range = ranges.find((each) => each.name === name) ?? (ranges[0] as Range);
  const found = useQuery({
    queryKey: keys.instances(instance.id, 'history', range.name),
    queryFn: ({ signal }) =>
      call('get', '/api/v1/instances/{id}/stats/history', {
        path: { id: instance.id },
        query: { resolution: range.resolution, since: Math.floor(Date.now() / 1000) - range.seconds },
        signal,
      }),
    placeholderData: keepPreviousData,
    staleTime: range.step * 1000,
  });
  const tail = useTail(instance.id);
  const shown = useMemo(() => {
    const held = columns(found.data ?? ({ at: [] } as unknown as View<'StatsHistoryView'>), range.step);
    const newest = tail.at(-1)?.at ?? held.at.at(-1) ?? 0;
    return withTail(held, tail, newest - range.seconds);
  }, [found.data, tail, range]);
  return (
    <>
      <div className={css.bar}>
        <SegmentedControl
          size="xs"
          aria-label={t('stats.range')}
          value={name}
          onChange={(to) => setName(to as Range['name'])}
          data={ranges.map((each) => ({ value: each.name, label: t(`stats.range_${each.name}`) }))}
        />
      </div>
      {found.error && !found.data ? (
        <ErrorNotice error={found.error} retry={() => void found.refetch()} />
      ) : found.isPending ? (
        <PageSkeleton />
      ) : shown.at.length === 0 ? (
        <EmptyState icon={IconChartLine} title={t('stats.none')}>
          {t('stats.noneHint')}
        </EmptyState>
      ) : (
        <Charts instance={instance} shown={shown} />
      )}
    </>
  );
}

// The last minutes, a second each.
function useTail(id: string): Sample[] {
  const [held, setHeld] = useState<{ id: string; tail: Sample[] }>({ id, tail: [] });
  const sink = useCallback(
    (stats: LiveStats) => {
      const sample = sampleOf(stats as unknown as View<'StatsView'>);
      if (!sample) return;
      setHeld((before) => {
        const tail = before.id === id ? before.tail : [];
        return sample.at <= (tail.at(-1)?.at ?? 0) ? before : { id, tail: [...tail, sample].slice(-900) };
      });
    },
    [id],
  );
  useLiveStats('instances', id, sink);
  return held.id === id ? held.tail : [];
}

function charts(instance: Props['instance']): Chart[] {
  const rate = (value: number) => t('stats.rate', { size: bytes(value) });
  return [
    { title: t('common.cpu'), format: (value) => t('stats.cores', { count: cores(value) }), top: instance.cpu, lines: [{ figure: 'cpu', name: t('common.cpu'), colour: 1 }] },
    { title: t('common.memory'), format: bytes, steps: 'bytes', top: instance.memory * 1_048_576, lines: [{ figure: 'memory_bytes', name: t('common.memory'), colour: 1 }] },
    {
      title: t('stats.network'),
      format: rate,
      steps: 'bytes',
      lines: [
        { figure: 'net_in_rate', name: t('stats.netIn'), colour: 1 },
        { figure: 'net_out_rate', name: t('stats.netOut'), colour: 2 },
      ],
    },
    {
      title: t('stats.io'),
      format: rate,
      steps: 'bytes',
      lines: [
        { figure: 'disk_read_rate', name: t('stats.read'), colour: 1 },
        { figure: 'disk_write_rate', name: t('stats.write'), colour: 2 },
      ],
    },
    { title: t('common.disk'), format: bytes, steps: 'bytes', lines: [{ figure: 'disk_used_bytes', name: t('stats.used'), colour: 1 }] },
    { title: t('stats.pids'), format: (value) => number(Math.round(value)), steps: 'whole', lines: [{ figure: 'pids', name: t('stats.pids'), colour: 1 }] },
  ];
}

function Charts({ instance, shown }: Props & { shown: Columns }) {
  const all = charts(instance);
  return (
    <>
      <div className={css.grid}>
        <Suspense fallback={<PageSkeleton />}>
          {all.map((chart) => (
            <Section key={chart.title}>
              <TimeChart
                label={chart.title}
                at={shown.at}
                format={chart.format}
                series={chart.lines.map(({ figure, name, colour }) => ({ name, colour, values: shown.of[figure] }))}
                {...(chart.top ? { top: chart.top } : {})}
                {...(chart.steps ? { steps: chart.steps } : {})}
              />
            </Section>
          ))}
        </Suspense>
      </div>
      <Table all={all} shown={shown} />
    </>
  );
}

// Read once when it is opened: a table that changes each second can't be read.
function Table({ all, shown }: { all: Chart[]; shown: Columns }) {
  const [open, setOpen] = useState(false);
  const [still, setStill] = useState(shown);
  useEffect(() => {
    if (!open) setStill(shown); // eslint-disable-line react-hooks/set-state-in-effect -- it stands still while it is read
  }, [open, shown]);
  return (
    <details className={css.details} onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary>{t('stats.asTable')}</summary>
      {open && (
        <table className={css.table}>
          <thead>
            <tr>
              <th scope="col">{t('stats.figure')}</th>
              <th scope="col">{t('stats.least')}</th>
              <th scope="col">{t('stats.mean')}</th>
              <th scope="col">{t('stats.most')}</th>
            </tr>
          </thead>
          <tbody>
            {all.flatMap((chart) =>
              chart.lines.map((line) => {
                const sum = summary(still.of[line.figure]);
                const text = (value: number | undefined) => (value === undefined ? '–' : chart.format(value));
                return (
                  <tr key={line.figure}>
                    <th scope="row">{chart.lines.length > 1 ? `${chart.title}: ${line.name}` : chart.title}</th>
                    <td>{text(sum?.least)}</td>
                    <td>{text(sum?.mean)}</td>
                    <td>{text(sum?.most)}</td>
                  </tr>
                );
              }),
            )}
          </tbody>
        </table>
      )}
    </details>
  );
}
