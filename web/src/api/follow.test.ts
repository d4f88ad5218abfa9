import { expect, it } from 'vitest';
import { ended, linesMost, withLine } from './follow';

const line = (seq: number) => ({ seq, at: '2026-01-01T00:00:00Z', text: `line ${seq}` });

it('takes each line once', () => {
  const two = withLine(withLine([], line(1)), line(2));
  expect(two.map((l) => l.seq)).toEqual([1, 2]);
  expect(withLine(two, line(2))).toBe(two);
  expect(withLine(two, line(1))).toBe(two);
});

it('keeps the newest lines of a long log', () => {
  let lines: ReturnType<typeof line>[] = [];
  for (let n = 1; n <= linesMost + 5; n++) lines = withLine(lines, line(n));
  expect(lines).toHaveLength(linesMost);
  expect(lines[0]?.seq).toBe(6);
});

it('knows the last states', () => {
  expect(['queued', 'waiting', 'running'].some(ended)).toBe(false);
  expect(['succeeded', 'failed', 'cancelled'].every(ended)).toBe(true);
});
