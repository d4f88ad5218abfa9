import { Link } from 'wouter';
import { list } from '@/api';

interface About {
  instance_id?: string;
}

/** The names of instances by their ids: of those that are still there and that one may see. */
export type Names = ReadonlyMap<string, string>;

/** The names of the instances that rows are about. A list asks for them before it is drawn, so that none of its rows changes. */
export async function namesOf(rows: readonly About[], signal?: AbortSignal): Promise<Names> {
  const ids = [...new Set(rows.flatMap((row) => row.instance_id ?? []))];
  if (ids.length === 0) return new Map();
  const found = await list('/api/v1/instances', { query: { ids: ids.join(','), limit: ids.length }, signal });
  return new Map(found.items.map((each) => [each.id, each.name]));
}

/** A page of a list, with the names of the instances that its rows are about. */
export async function withNames<P extends { items: About[] }>(page: P, signal?: AbortSignal): Promise<P & { names: Names }> {
  return { ...page, names: await namesOf(page.items, signal) };
}

/** Leads to an instance by its name; one that is gone, or not for one's eyes, is its id alone. */
export function InstanceLink({ id, names }: { id: string; names: Names }) {
  const name = names.get(id);
  return name === undefined ? <span className="quiet mono">{id}</span> : <Link href={`/instances/${id}`}>{name}</Link>;
}
