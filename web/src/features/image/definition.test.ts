import { expect, it } from 'vitest';
import { codesOf, definitionOf, linesOf, trimmed } from './definition';
import type { View } from '@/api';

it('takes the definition out of an image', () => {
  const image = { id: '1', name: 'n', created_at: '', updated_at: '', references: ['a:1'], volume: '/d' } as View<'ImageView'>;
  expect(definitionOf(image)).toEqual({ references: ['a:1'], volume: '/d' });
});

it('leaves out what is empty, and keeps what is zero', () => {
  expect(trimmed({ references: ['a'], ready_line: '', env: [], stop_grace_seconds: 0 })).toEqual({ references: ['a'], stop_grace_seconds: 0 });
});

it('reads lines and codes', () => {
  expect(linesOf(' a \n\n b')).toEqual(['a', 'b']);
  expect(codesOf('1, 2 x 143')).toEqual([1, 2, 143]);
});
