import { useQueryClient } from '@tanstack/react-query';
import { call, keys, type View } from '@/api';

/** Changes an instance; what shows it asks anew. */
export function useChange(id: string): (body: View<'InstanceChangeBody'>) => Promise<void> {
  const client = useQueryClient();
  return async (body) => {
    await call('patch', '/api/v1/instances/{id}', { path: { id }, body });
    await Promise.all([client.invalidateQueries({ queryKey: keys.instances(id) }), client.invalidateQueries({ queryKey: keys.instances('list') })]);
  };
}
