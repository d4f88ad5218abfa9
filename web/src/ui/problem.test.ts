import { expect, it } from 'vitest';
import { requestId } from './problem';

it('names the request where the controller failed, and nowhere else', () => {
  expect(requestId({ status: 500, code: 'INTERNAL_ERROR', message: '', requestId: 'r1' })).toBe('r1');
  expect(requestId({ status: 503, code: 'NODE_OFFLINE', message: '', requestId: 'r1' })).toBe('r1');
  expect(requestId({ status: 422, code: 'VALIDATION_ERROR', message: '', requestId: 'r1' })).toBe('');
  expect(requestId({ status: 401, code: 'UNAUTHORIZED', message: '', requestId: 'r1' })).toBe('');
  expect(requestId({ status: 0, code: 'UNREACHABLE', message: '' })).toBe('');
  expect(requestId(new Error('x'))).toBe('');
  expect(requestId(undefined)).toBe('');
});
