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

it('says what changed and how much, not how it is kept', async () => {
  await speak('en');
  expect(described({ type: 'user.updated', data: { changed: ['email', 'role', 'something_new'] } })).toBe('e-mail address, role, something new');
  expect(described({ type: 'user.created', data: { username: 'anna', admin: true } })).toBe('anna · as an administrator');
  expect(described({ type: 'user.created', data: { username: 'anna', admin: false } })).toBe('anna');
  expect(described({ type: 'role.updated', data: { name: 'Support', before: ['a.b'], permissions: ['a.b', 'c.d'] } })).toBe('Support · 2 permissions');
  expect(described({ type: 'file.written', data: { path: 'a.txt', size: 2048 } })).toBe('a.txt · 2 KiB');
  expect(described({ type: 'instance.created', data: { name: 'web', image: 'berth/demo:1', job: '0190' } })).toBe('web · berth/demo:1');
  expect(described({ type: 'session.started', data: { means: 'password', browser: 'Mozilla/5.0' } })).toBe('by password');
  expect(described({ type: 'user.invited', data: { by: 'link' } })).toBe('by a link');
  const deeds = [{ what: 'written', path: 'a.txt' }, { what: 'renamed', path: 'a.txt', to: 'b.txt' }, { what: 'removed', path: 'c' }, { what: 'made', path: 'd' }];
  expect(described({ type: 'sftp.session_ended', data: { began_at: '', deeds: deeds.slice(0, 2), more: 0 } })).toBe('written: a.txt, renamed: a.txt → b.txt');
  expect(described({ type: 'sftp.session_ended', data: { deeds } })).toBe('written: a.txt, renamed: a.txt → b.txt, removed: c …');
  expect(described({ type: 'sftp.session_ended', data: { deeds: null } })).toBe('');
  expect(described({ type: 'x.y', data: { path: 'z'.repeat(500) } }).length).toBeLessThan(210);
});
