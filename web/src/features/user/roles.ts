import { useQuery } from '@tanstack/react-query';
import { call, keys, useMe, type View } from '@/api';
import { covers } from './covers';

const none: View<'RoleView'>[] = [];

/** All roles, as far as they are there yet. */
export function useRoles(): View<'RoleView'>[] {
  return useQuery({ queryKey: keys.roles('list'), queryFn: () => call('get', '/api/v1/roles') }).data ?? none;
}

/** Whether the caller may change a user; see covers. */
export function useCovers(user: View<'UserView'>): boolean {
  return covers(useMe(), user, useRoles());
}
