import { beforeEach, expect, it } from 'vitest';
import type { View } from '@/api';
import { speak } from '@/text';
import { changed, codesOf, needOf, startOf, told, variablesOf } from './variables';

beforeEach(() => speak('en'));

const schema = {
  properties: {
    B: { type: 'string', title: 'The B', default: 'x', 'x-rules': ['max:3'] },
    A: { type: 'string', title: 'A', writeOnly: true },
    C: { type: 'string', readOnly: true },
  },
  required: ['A'],
  additionalProperties: true,
  'x-order': ['A', 'B', 'C', 'GONE'],
} as unknown as View<'ImageSchemaView'>;
const image = { variables: [{ name: 'B', type: 'number' }] };

it('is the form as the caller may fill it in, in the image’s order', () => {
  const all = variablesOf(schema, image, { B: '7', OTHER: 'o' });
  expect(all).toEqual([
    { name: 'A', rules: [], required: true, secret: true, locked: false },
    { name: 'B', label: 'The B', default: 'x', type: 'number', rules: ['max:3'], required: false, secret: false, locked: false },
    { name: 'C', rules: [], required: false, secret: false, locked: true },
    { name: 'OTHER', locked: false },
  ]);
  expect(startOf(all, { A: 'never shown', B: '7', OTHER: 'o' })).toEqual({ A: '', B: '7', C: '', OTHER: 'o' });
  expect(variablesOf({ ...schema, additionalProperties: false }, image, { OTHER: 'o' }).at(-1)).toEqual({ name: 'OTHER', locked: true });
});

it('sends what was changed and nothing else', () => {
  expect(changed({ a: '1', b: '2' }, { a: '1', b: '3', c: '' })).toEqual({ b: '3', c: '' });
});

it('says what a change needs', () => {
  expect(needOf({ actual: 'running' }, ['variables'])).toBe('needed');
  expect(needOf({ actual: 'running' }, ['pull', 'reference'])).toBe('needed');
  expect(needOf({ actual: 'running' }, ['pull'])).toBe('next_start');
  expect(needOf({ actual: 'stopped' }, ['variables'])).toBe('next_start');
  expect(told('live')).toBe('Saved. It takes effect while it runs.');
  expect(told(undefined)).toBe('Saved');
});

it('reads exit codes', () => {
  expect(codesOf('1, 143')).toEqual([1, 143]);
  expect(codesOf('')).toEqual([]);
  expect(codesOf('300')).toBeUndefined();
  expect(codesOf('x')).toBeUndefined();
});
