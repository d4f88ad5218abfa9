import { useQuery } from '@tanstack/react-query';
import { call, keys, type View } from '@/api';

const none: View<'RoleView'>[] = [];

/** All roles, as far as they are there yet. */
export function useRoles(): View<'RoleView'>[] {
  return useQuery({ queryKey: keys.roles('list'), queryFn: () => call('get', '/api/v1/roles') }).data ?? none;
}
