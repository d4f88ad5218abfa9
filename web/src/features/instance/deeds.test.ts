import { expect, it } from 'vitest';
import { speak } from '@/text';
import { described, eventText } from './deeds';

it('tells in words what an instance was, and leaves names alone', async () => {
  await speak('de');
  expect(eventText('instance.running')).toBe('Instanz läuft');
  expect(described({ type: 'instance.running', data: { from: 'starting' } })).toBe('zuvor: Startet');
  expect(described({ type: 'instance.crashed', data: { from: 'running', code: 137 } })).toBe('zuvor: Läuft → 137');
  expect(described({ type: 'instance.moved', data: { from: 'n1', to: 'n2' } })).toBe('n1 → n2');
  expect(described({ type: 'file.pulled', data: { from: 'running', to: '/stopped' } })).toBe('running → /stopped');
  expect(described({ type: 'instance.running', data: undefined })).toBe('');
});
