import type { View } from '@/api';

interface Caller {
  admin: boolean;
  permissions?: readonly string[] | null;
}

/**
 * Whether somebody may change a user: only who may all that the user may himself.
 * The controller decides; this only keeps buttons away that it would refuse.
 */
export function covers(caller: Caller, user: Pick<View<'UserView'>, 'admin' | 'role_id'>, roles: readonly Pick<View<'RoleView'>, 'id' | 'permissions'>[]): boolean {
  if (caller.admin) return true;
  const held = caller.permissions ?? [];
  if (user.admin || !held.includes('users.write')) return false;
  if (!user.role_id) return true;
  const role = roles.find((each) => each.id === user.role_id);
  return role !== undefined && (role.permissions ?? []).every((each) => held.includes(each));
}
