import { useQueryClient } from '@tanstack/react-query';
import { call, keys, type View } from '@/api';

/** Changes an instance; what shows it asks anew. The answer is what the change needs. */
export function useChange(id: string): (body: View<'InstanceChangeBody'>) => Promise<View<'InstanceJobView'>['restart']> {
  const client = useQueryClient();
  return async (body) => {
    const made = await call('patch', '/api/v1/instances/{id}', { path: { id }, body });
    await Promise.all([client.invalidateQueries({ queryKey: keys.instances(id) }), client.invalidateQueries({ queryKey: keys.instances('list') })]);
    return made.restart;
  };
}
