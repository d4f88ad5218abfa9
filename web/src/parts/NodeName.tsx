import { useQuery } from '@tanstack/react-query';
import { Link } from 'wouter';
import { call, keys, useCan } from '@/api';

/** A node by its name, where only its id is known; the id alone for who may not see nodes. */
export function NodeName({ id }: { id: string }) {
  const may = useCan()('nodes.read');
  const node = useQuery({ queryKey: keys.nodes(id), queryFn: () => call('get', '/api/v1/nodes/{id}', { path: { id } }), enabled: may, staleTime: 300_000 }).data;
  return may ? <Link href={`/nodes/${id}`}>{node?.name ?? id}</Link> : <span className="quiet mono">{id}</span>;
}
