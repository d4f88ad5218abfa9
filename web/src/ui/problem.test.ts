import { expect, it } from 'vitest';
import { speak } from '@/text';
import { fieldErrors, requestId } from './problem';

it('names the request where the controller failed, and nowhere else', () => {
  expect(requestId({ status: 500, code: 'INTERNAL_ERROR', message: '', requestId: 'r1' })).toBe('r1');
  expect(requestId({ status: 503, code: 'NODE_OFFLINE', message: '', requestId: 'r1' })).toBe('r1');
  expect(requestId({ status: 422, code: 'VALIDATION_ERROR', message: '', requestId: 'r1' })).toBe('');
  expect(requestId({ status: 401, code: 'UNAUTHORIZED', message: '', requestId: 'r1' })).toBe('');
  expect(requestId({ status: 0, code: 'UNREACHABLE', message: '' })).toBe('');
  expect(requestId(new Error('x'))).toBe('');
  expect(requestId(undefined)).toBe('');
});

it('says a broken rule in the language that is spoken, and the rest as the controller does', async () => {
  await speak('de');
  const error = {
    status: 422,
    code: 'VALIDATION_ERROR',
    message: '',
    fields: { 'variables.A': 'at most 3 characters', 'variables.B': 'odd', name: 'too long' },
    details: [
      { field: 'body.variables.A', message: 'at most 3 characters', rule: 'max_text', params: { than: '3' } },
      { field: 'variables.B', message: 'odd', rule: 'never_heard_of' },
      { field: 'name', message: 'too long' },
      { field: 'name', message: 'a second one', rule: 'required' },
    ],
  };
  expect(fieldErrors(error)).toEqual({ 'variables.A': 'Höchstens 3 Zeichen', 'variables.B': 'odd', name: 'too long' });
  expect(fieldErrors(new Error('x'))).toEqual({});
});
