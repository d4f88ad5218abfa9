import { expect, it } from 'vitest';
import type { View } from '@/api';
import { asKind, codesOf, definitionOf, kindOfValue, linesOf, moved, partOf, references, trimmed, withReferences, wrongAt, wrongBeneath } from './definition';

it('takes the definition out of an image', () => {
  const image = { id: '1', name: 'n', created_at: '', updated_at: '', icon: true, references: ['a:1'], volume: '/d' } as unknown as View<'ImageView'>;
  expect(definitionOf(image)).toEqual({ references: ['a:1'], volume: '/d' });
});

it('leaves out what is empty, and keeps what is zero', () => {
  expect(trimmed({ references: ['a', ' '], ready_line: '', env: [], stop_grace_seconds: 0, no_tty: false })).toEqual({ references: ['a'], stop_grace_seconds: 0, no_tty: false });
  expect(trimmed({ references: ['a'], variables: [{ name: 'X', default: '', rules: [], hidden: false, secret: true }], script: { image: '', text: ' ' } })).toEqual({ references: ['a'], variables: [{ name: 'X', secret: true }] });
});

it('keeps labels beside their references', () => {
  const rows = references({ references: ['a:1', 'b:1'], labels: ['A'] });
  expect(rows).toEqual([{ reference: 'a:1', label: 'A' }, { reference: 'b:1', label: '' }]);
  expect(withReferences(moved(rows, 0, 1))).toEqual({ references: ['b:1', 'a:1'], labels: ['', 'A'] });
  expect(withReferences([{ reference: 'a', label: ' ' }])).toEqual({ references: ['a'], labels: [] });
  expect(moved(rows, 1, 1)).toEqual(rows);
});

it('reads lines and codes', () => {
  expect(linesOf(' a \n\n b')).toEqual(['a', 'b']);
  expect(codesOf('1, 2 x 143')).toEqual([1, 2, 143]);
});

it('knows the kinds of a patched value', () => {
  expect([1, true, null, 'x', undefined].map(kindOfValue)).toEqual(['number', 'boolean', 'null', 'text', 'text']);
  expect(asKind('25', 'number')).toBe(25);
  expect(asKind('x', 'number')).toBe(0);
  expect(asKind('true', 'boolean')).toBe(true);
  expect(asKind(false, 'text')).toBe('false');
  expect(asKind('x', 'null')).toBeNull();
});

it('finds the place of what is wrong', () => {
  const fields = { 'definition.variables[2].name': 'no name', patches: 'no path', 'variables.2.rules.0': 'unknown' };
  expect(partOf('definition.variables[2].name')).toBe('variables');
  expect(partOf('patches')).toBe('files');
  expect(partOf('owner_id')).toBeUndefined();
  expect(wrongAt(fields, 'variables.2.name')).toBe('no name');
  expect(wrongAt(fields, 'x', 'patches')).toBe('no path');
  expect(wrongAt(fields, 'variables')).toBeUndefined();
  expect(wrongBeneath(fields, 'variables', /^variables\.\d+\.name$/)).toEqual(['variables.2.rules.0: unknown']);
});
