import { expect, it } from 'vitest';
import type { View } from '@/api';
import { covers } from './covers';

const roles = [{ id: 'r', permissions: ['users.read', 'nodes.read'] }] as Pick<View<'RoleView'>, 'id' | 'permissions'>[];
const customer = { admin: false, role_id: null };
const staff = { admin: false, role_id: 'r' };

it('lets only who may as much', () => {
  const helper = { admin: false, permissions: ['users.read', 'users.write'] };
  expect(covers(helper, customer, roles)).toBe(true);
  expect(covers(helper, staff, roles)).toBe(false);
  expect(covers({ ...helper, permissions: [...helper.permissions, 'nodes.read'] }, staff, roles)).toBe(true);
  expect(covers(helper, staff, [])).toBe(false);
  expect(covers(helper, { admin: true, role_id: null }, roles)).toBe(false);
  expect(covers({ admin: true }, { admin: true, role_id: null }, roles)).toBe(true);
  expect(covers({ admin: false, permissions: ['users.read'] }, customer, roles)).toBe(false);
});
