// What of an instance's files is no JSON: their content, and their way here.
import { address, ApiError, call, csrfHeader, type View } from './client';
import { problemOf, reach } from './raw';

/** A file as text, and what says that it is still the same when it is written. */
export interface TextFile {
  text: string;
  etag: string;
}

/** Reads a file that holds text; one that doesn't is an error of code BINARY. */
export async function readText(instance: string, path: string, signal?: AbortSignal): Promise<TextFile> {
  const response = await reach(address('/api/v1/instances/{id}/files/content', { id: instance }, { path }), { signal: signal ?? null });
  if (!response.ok) throw await problemOf(response);
  const content = new Uint8Array(await response.arrayBuffer());
  if (content.subarray(0, 8192).includes(0)) throw new ApiError(0, 'BINARY', '');
  try {
    return { text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content), etag: response.headers.get('ETag') ?? '' };
  } catch {
    throw new ApiError(0, 'BINARY', '');
  }
}

/**
 * Writes a file as a whole. With an etag only over what was read: else an error
 * of status 412. '' means that there must be none yet; '*' any.
 */
export async function writeText(instance: string, path: string, text: string, etag: string): Promise<View<'FileEntryView'>> {
  const response = await reach(address('/api/v1/instances/{id}/files/content', { id: instance }, { path }), {
    method: 'PUT',
    headers: {
      'Content-Type': 'application/octet-stream',
      ...csrfHeader(),
      ...(etag ? { 'If-Match': etag } : { 'If-None-Match': '*' }),
    },
    body: new TextEncoder().encode(text),
  });
  if (!response.ok) throw await problemOf(response);
  return ((await response.json()) as { data: View<'FileEntryView'> }).data;
}

/** Has the browser download a file, or several and folders as one archive. */
export async function download(instance: string, what: View<'FileTicketBody'>): Promise<void> {
  const ticket = await call('post', '/api/v1/instances/{id}/files/ticket', { path: { id: instance }, body: what });
  const link = document.createElement('a');
  link.href = (ticket as { url: string }).url;
  link.download = '';
  link.rel = 'noopener';
  document.body.append(link);
  link.click();
  link.remove();
}

/** Begins an upload; the code for it comes with the first one. */
export function startUpload(
  instance: string,
  file: File,
  path: string,
  overwrite: boolean,
  hooks: { progress: (sent: number) => void; done: () => void; fail: (error: ApiError) => void },
): { cancel: () => void } {
  let over = false;
  let cancel = () => {};
  import('./upload').then(
    ({ sendFile }) => {
      if (!over) cancel = sendFile(instance, file, path, overwrite, hooks).cancel;
    },
    () => hooks.fail(new ApiError(0, 'UNREACHABLE', '')),
  );
  return {
    cancel: () => {
      over = true;
      cancel();
    },
  };
}
