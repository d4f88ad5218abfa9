import { expect, it } from 'vitest';
import type { View } from '@/api';
import { bodyOf, emptyForm, usualPort, withImage } from './deploy';

const image = {
  id: 'i1', name: 'My Image!', references: ['nginx:stable', 'nginx:1'], created_at: '', updated_at: '',
  variables: [{ name: 'A', default: 'x' }, { name: 'B', required: true }],
} as unknown as View<'ImageView'>;

it('takes over what an image brings', () => {
  const form = withImage(emptyForm('u1'), image);
  expect(form).toMatchObject({ name: 'my-image', reference: 'nginx:stable', variables: { A: 'x', B: '' }, ports: [{ container: 80, host: '' }] });
});

it('sends what differs, and no rows that are empty', () => {
  const form = { ...withImage(emptyForm('u1'), image), variables: { A: 'x', B: 'y' }, primary: 2 };
  form.ports = [{ id: 1, container: '', host: '' }, { id: 2, container: 80, host: 8080 }];
  const body = bodyOf(form, image);
  expect(body.variables).toEqual({ B: 'y' });
  expect(body.ports).toEqual([{ container: 80, host: 8080, primary: true }]);
  expect(body.node_id).toBeUndefined();
});

it('knows the ports of what is in the catalogue', () => {
  expect(usualPort('berth/demo:1')).toBe(8080);
  expect(usualPort('itzg/minecraft-server:latest')).toBe(25565);
  expect(usualPort('something/else')).toBe('');
});
