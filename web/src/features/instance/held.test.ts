import { beforeAll, expect, it } from 'vitest';
import { speak } from '@/text';
import { heldBy } from './held';

beforeAll(() => speak('en'));

it('says why nothing runs, with the reason that was given', () => {
  expect(heldBy({ status: 'running', suspended: false })).toBeUndefined();
  expect(heldBy({ status: 'suspended', suspended: true, suspend_reason: 'unpaid' })).toBe('This instance is suspended. Reason: unpaid');
  expect(heldBy({ status: 'suspended', suspended: true })).toBe('This instance is suspended.');
  expect(heldBy({ status: 'deleting', suspended: true, suspend_reason: 'unpaid' })).toBe('This instance is being deleted.');
  expect(heldBy({ status: 'installing', suspended: false })).toContain('installed');
  expect(heldBy({ status: 'failed', suspended: false })).toContain('failed');
});
