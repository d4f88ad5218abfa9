import { describe, expect, it } from 'vitest';
import { columns, sampleOf, summary, thin, withTail, type HistoryColumns } from './series';

function history(at: number[], cpu: number[]): HistoryColumns {
  const zero = at.map(() => 0);
  return { resolution: '10s', at, cpu, memory_bytes: zero, net_in_rate: zero, net_out_rate: zero, disk_used_bytes: at.map(() => -1) };
}

describe('series', () => {
  it('have a gap where nothing ran', () => {
    const out = columns(history([10, 20, 100], [1, 2, 3]), 10);
    expect(out.at).toEqual([10, 20, 30, 100]);
    expect(out.of.cpu).toEqual([1, 2, null, 3]);
    expect(out.of.disk_used_bytes).toEqual([null, null, null, null]);
    expect(out.of.pids).toEqual([null, null, null, null]);
  });

  it('keep their peaks when they are thinned out', () => {
    const at = Array.from({ length: 100 }, (_, n) => n * 10);
    const out = thin(columns(history(at, at.map((each) => (each === 550 ? 9 : 1))), 10), 10);
    expect(out.at).toHaveLength(10);
    expect(Math.max(...out.of.cpu.map((each) => each ?? 0))).toBe(9);
  });

  it('go on with what is live, each second once', () => {
    const all = columns(history([10, 20], [1, 2]), 10);
    const values = { cpu: 5, memory_bytes: 0, net_in_rate: 0, net_out_rate: 0, disk_read_rate: 0, disk_write_rate: 0, disk_used_bytes: null, pids: 1 };
    const out = withTail(all, [{ at: 20, values }, { at: 21, values }], 15);
    expect(out.at).toEqual([20, 21]);
    expect(out.of.cpu).toEqual([2, 5]);
    expect(withTail(all, [], 50).at).toEqual([]);
  });

  it('are summed up for who does not see them', () => {
    expect(summary([1, null, 3])).toEqual({ least: 1, mean: 2, most: 3 });
    expect(summary([null])).toBeUndefined();
  });

  it('have no live figures while nothing runs', () => {
    expect(sampleOf({ running: false } as never)).toBeUndefined();
  });
});
