import { expect, it } from 'vitest';
import { speak } from '@/text';
import { fieldErrors, requestId, sentence } from './problem';

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

it('says in German what the controller said in English, or of what kind it was', async () => {
  await speak('de');
  const conflict = (message: string) => sentence({ status: 409, code: 'CONFLICT', message });
  expect(sentence({ status: 401, code: 'UNAUTHORIZED', message: 'the name or the password is wrong' })).toBe('Der Name oder das Passwort ist falsch.');
  expect(conflict('instance 0190 is suspended (the invoice of May); unsuspend it first')).toBe('Die Instanz ist gesperrt (the invoice of May). Erst wenn die Sperre aufgehoben ist, geht das wieder.');
  expect(conflict('nobody wrote this down')).toBe('So, wie es gerade steht, geht das nicht. (nobody wrote this down)');
  expect(sentence({ status: 429, code: 'RATE_LIMITED', message: 'too many tries to log in; wait 12s' })).toBe('Zu viele Versuche, sich anzumelden. Warten Sie 12s.');
  const invalid = { status: 422, code: 'VALIDATION_ERROR', message: 'name: is missing', fields: { name: 'is missing' }, details: [{ field: 'name', message: 'is missing' }] };
  expect(sentence(invalid)).toBe('Daran stimmt noch etwas nicht. name: fehlt');
  expect(fieldErrors(invalid)).toEqual({ name: 'fehlt' });
  expect(sentence({ status: 0, code: 'UNREACHABLE', message: '' })).toMatch(/^Der Controller antwortet nicht/);
  await speak('en');
  expect(conflict('nobody wrote this down')).toBe('nobody wrote this down');
  expect(sentence(invalid)).toBe('name: is missing');
});
