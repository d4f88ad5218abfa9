import { expect, it } from 'vitest';
import { grouped, toggled } from './role';

const all = ['users.read', 'users.write', 'roles.write', 'jobs.write'];

it('ticks what writing needs, and unticks what needs reading', () => {
  expect(toggled([], 'users.write', true, all)).toEqual(['users.read', 'users.write']);
  expect(toggled(['users.read', 'users.write'], 'users.read', false, all)).toEqual([]);
  expect(toggled(['jobs.write'], 'roles.write', true, all)).toEqual(['roles.write', 'jobs.write']);
});

it('puts together what is about the same', () => {
  const views = all.map((permission) => ({ permission, text: '', scope: 'read' as const, held: true }));
  expect(grouped(views).map(([word, found]) => [word, found.length])).toEqual([['users', 2], ['roles', 1], ['jobs', 1]]);
});
