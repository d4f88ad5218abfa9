import { expect, it } from 'vitest';
import { usedOf } from './used';

it('adds up what instances have', () => {
  expect(usedOf([])).toEqual({ instances: 0, memory: 0, cpu: 0, disk: 0 });
  expect(usedOf([{ memory: 64, cpu: 0.5, disk: 10 }, { memory: 1, cpu: 1, disk: 2 }])).toEqual({ instances: 2, memory: 65, cpu: 1.5, disk: 12 });
});
