import { expect, it } from 'vitest';
import { giveable, nodeState } from './node';

it('says maintenance only of a node that answers', () => {
  expect(nodeState({ state: 'online', maintenance: true })).toBe('maintenance');
  expect(nodeState({ state: 'offline', maintenance: true })).toBe('offline');
  expect(nodeState({ state: 'unconfigured', maintenance: false })).toBe('pending');
  expect(nodeState({ state: 'online', maintenance: false })).toBe('online');
});

it('counts what can be given away', () => {
  expect(giveable(1000, 1.5, 100)).toBe(1400);
  expect(giveable(100, 1, 200)).toBe(0);
});
