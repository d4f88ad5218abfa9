import { useQuery } from '@tanstack/react-query';
import { Link } from 'wouter';
import { call, keys } from '@/api';

/** A node by its name, where only its id is known. */
export function NodeName({ id }: { id: string }) {
  const node = useQuery({ queryKey: keys.nodes(id), queryFn: () => call('get', '/api/v1/nodes/{id}', { path: { id } }), staleTime: 300_000 }).data;
  return <Link href={`/nodes/${id}`}>{node?.name ?? id}</Link>;
}
