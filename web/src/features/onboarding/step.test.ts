import { expect, it } from 'vitest';
import { stepOf } from './step';

it('stands where what there is leads to', () => {
  expect(stepOf({ online: false, image: false, job: false })).toBe(0);
  expect(stepOf({ online: true, image: false, job: false })).toBe(1);
  expect(stepOf({ online: true, image: true, job: false })).toBe(2);
  expect(stepOf({ online: false, image: true, job: false })).toBe(0);
  expect(stepOf({ online: false, image: false, job: true })).toBe(3);
});
