// What the charts draw: the columns of a history, with gaps where nothing ran,
// thinned out to what a screen can show, and the newest seconds behind them.
import type { View } from '@/api';

export type HistoryColumns = View<'StatsHistoryView'>;

export const figures = ['cpu', 'memory_bytes', 'net_in_rate', 'net_out_rate', 'disk_read_rate', 'disk_write_rate', 'disk_used_bytes', 'pids'] as const;
export type Figure = (typeof figures)[number];

export interface Columns {
  /** Unix seconds, rising. */
  at: number[];
  of: Record<Figure, (number | null)[]>;
}

export interface Range {
  name: '15m' | '6h' | '24h' | '7d';
  seconds: number;
  resolution: '10s' | '1m';
  step: number;
}

/** As far as the agents keep them. */
export const ranges: readonly Range[] = [
  { name: '15m', seconds: 900, resolution: '10s', step: 10 },
  { name: '6h', seconds: 21_600, resolution: '10s', step: 10 },
  { name: '24h', seconds: 86_400, resolution: '1m', step: 60 },
  { name: '7d', seconds: 604_800, resolution: '1m', step: 60 },
];

const most = 1200;

function empty(): Columns {
  return { at: [], of: { cpu: [], memory_bytes: [], net_in_rate: [], net_out_rate: [], disk_read_rate: [], disk_write_rate: [], disk_used_bytes: [], pids: [] } };
}

/** The history's columns; a moment without figures stands where more than three steps are missing. */
export function columns(history: HistoryColumns, step: number): Columns {
  const out = empty();
  const at = history.at ?? [];
  at.forEach((moment, n) => {
    const before = out.at.at(-1);
    if (before !== undefined && moment - before > 3 * step) {
      out.at.push(before + step);
      for (const figure of figures) out.of[figure].push(null);
    }
    out.at.push(moment);
    for (const figure of figures) {
      const value = history[figure]?.[n];
      out.of[figure].push(value === undefined || (figure === 'disk_used_bytes' && value < 0) ? null : value);
    }
  });
  return thin(out);
}

/** At most so many points: of each bundle the highest, so that peaks stay. */
export function thin(all: Columns, limit: number = most): Columns {
  const size = Math.ceil(all.at.length / limit);
  if (size <= 1) return all;
  const out = empty();
  for (let from = 0; from < all.at.length; from += size) {
    out.at.push(all.at[from] ?? 0);
    for (const figure of figures) {
      const part = all.of[figure].slice(from, from + size).filter((each) => each !== null);
      out.of[figure].push(part.length > 0 ? Math.max(...part) : null);
    }
  }
  return out;
}

export interface Sample {
  at: number;
  values: Record<Figure, number | null>;
}

/** One second as the live socket tells it; none while nothing runs. */
export function sampleOf(stats: View<'StatsView'>): Sample | undefined {
  if (!stats.running) return undefined;
  const { cpu, memory_bytes, net_in_rate, net_out_rate, disk_read_rate, disk_write_rate, pids } = stats;
  const disk_used_bytes = stats.disk_used_bytes < 0 ? null : stats.disk_used_bytes;
  return { at: Math.floor(Date.parse(stats.at) / 1000), values: { cpu, memory_bytes, net_in_rate, net_out_rate, disk_read_rate, disk_write_rate, disk_used_bytes, pids } };
}

/** The history with the newest samples behind it. */
export function withTail(all: Columns, tail: readonly Sample[], since: number): Columns {
  const last = all.at.at(-1) ?? 0;
  const fresh = tail.filter((each) => each.at > last);
  const out = empty();
  const from = Math.max(0, all.at.findIndex((each) => each >= since));
  out.at = [...(all.at.length > 0 && last < since ? [] : all.at.slice(from)), ...fresh.map((each) => each.at)];
  for (const figure of figures) {
    const held = all.at.length > 0 && last < since ? [] : all.of[figure].slice(from);
    out.of[figure] = [...held, ...fresh.map((each) => each.values[figure])];
  }
  return out;
}

/** For who doesn't see the charts. */
export function summary(values: readonly (number | null)[]): { least: number; mean: number; most: number } | undefined {
  const known = values.filter((each) => each !== null);
  if (known.length === 0) return undefined;
  return { least: Math.min(...known), mean: known.reduce((sum, each) => sum + each, 0) / known.length, most: Math.max(...known) };
}
