import { expect, it } from 'vitest';
import type { View } from '@/api';
import { bodyOf, emptyForm, referenceChoices, usualPort, withImage, withPreset, type Preset } from './deploy';

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

it('is filled in from a preset, and sends what differs from it', () => {
  const preset = { id: 'p1', memory: 2048, cpu: 0, ports: [{ container: 25565 }, { container: 25566, primary: true }], variables: { A: 'of the preset' } } as unknown as Preset;
  const before = withImage(emptyForm('u1'), image);
  const form = withPreset(before, image, preset);
  expect(form).toMatchObject({ memory: 2048, cpu: before.cpu, primary: 2, variables: { A: 'of the preset', B: '' }, reference: 'nginx:stable' });
  expect(bodyOf(form, image)).toMatchObject({ preset: 'p1', memory: 2048, ports: [{ container: 25565 }, { container: 25566, primary: true }] });
  expect(bodyOf(form, image).variables).toBeUndefined();
  expect(bodyOf({ ...form, variables: { A: 'x', B: '' } }, image).variables).toEqual({ A: 'x' });
  expect(bodyOf(withPreset(form, image, undefined), image)).not.toHaveProperty('preset');
});

it('sends a value that was emptied', () => {
  const form = { ...withImage(emptyForm('u1'), image), variables: { A: '', B: 'y' } };
  expect(bodyOf(form, image).variables).toEqual({ A: '', B: 'y' });
});

it('names container images by their labels', () => {
  expect(referenceChoices({ references: ['a:1', 'b:1', 'a:1'], labels: ['One'] }, 'c:1')).toEqual([
    { value: 'a:1', label: 'One' },
    { value: 'b:1', label: 'b:1' },
    { value: 'c:1', label: 'c:1' },
  ]);
});
