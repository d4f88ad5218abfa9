import { expect, it } from 'vitest';
import { activity } from '@/text/en/activity';
import { isoOfLocal, tellsOf, things } from './activity';

it('tells what an event holds, in a line', () => {
  expect(tellsOf({ name: 'x', scopes: ['read', 'write'], deep: { a: 1 } })).toBe('name: x, scopes: read write, deep: {"a":1}');
  expect(tellsOf(undefined)).toBe('');
  expect(tellsOf({ text: 'y'.repeat(500) }).length).toBeLessThan(210);
});

it('offers everything that there is a sentence about', () => {
  const told = Object.keys(activity).flatMap((key) => /^type_([a-z_]+)\./.exec(key)?.[1] ?? []);
  expect(new Set<string>(things)).toEqual(new Set(told));
});

it('reads local times, and nothing of what is none', () => {
  expect(isoOfLocal('')).toBeUndefined();
  expect(isoOfLocal('2026-13-45T99:00')).toBeUndefined();
  expect(isoOfLocal('2026-01-02T03:04')).toBe(new Date(2026, 0, 2, 3, 4).toISOString());
});
