// Queries and calls of the files of one instance.
import { useInfiniteQuery, useQueryClient } from '@tanstack/react-query';
import { call, keys, list, type View } from '@/api';

export type Entry = View<'FileEntryView'>;
export type SortBy = 'name' | 'size' | 'mtime';

export const filesKey = (instance: string, ...more: unknown[]) => keys.instances(instance, 'files', ...more);

const limit = 500;

/** A folder, a page after the other. */
export function useFolder(instance: string, path: string, sort: SortBy, down: boolean) {
  return useInfiniteQuery({
    queryKey: filesKey(instance, 'list', path, sort, down),
    queryFn: ({ pageParam, signal }) => list('/api/v1/instances/{id}/files', { path: { id: instance }, query: { path, sort, down, page: pageParam, limit }, signal }),
    initialPageParam: 1,
    getNextPageParam: (last) => (last.page < last.pages ? last.page + 1 : undefined),
  });
}

/** Everything that shows files of the instance asks anew. */
export function useRefresh(instance: string): () => void {
  const client = useQueryClient();
  return () => {
    void client.invalidateQueries({ queryKey: filesKey(instance) });
    void client.invalidateQueries({ queryKey: keys.jobs('list') });
  };
}

export function makeFolder(instance: string, path: string) {
  return call('post', '/api/v1/instances/{id}/files/folder', { path: { id: instance }, body: { path } });
}

/** Renames or moves; the first failure is thrown. */
export async function rename(instance: string, renames: { from: string; to: string }[]): Promise<void> {
  const done = await call('post', '/api/v1/instances/{id}/files/rename', { path: { id: instance }, body: { renames } });
  thrown(done);
}

export async function chmod(instance: string, paths: string[], mode: string): Promise<void> {
  thrown(await call('post', '/api/v1/instances/{id}/files/chmod', { path: { id: instance }, body: { paths, mode } }));
}

function thrown(done: View<'FileDoneView'>): void {
  const first = done.failed?.[0];
  if (first) throw Object.assign(new Error(`${first.path}: ${first.message}`), { code: first.code });
}
