// What of an image is no JSON: its picture.
import { address, csrfHeader } from './client';
import { problemOf, reach } from './raw';

/** Sets an image's picture: PNG, JPEG, WebP, GIF or SVG. */
export async function putIcon(image: string, file: File): Promise<void> {
  const response = await reach(address('/api/v1/images/{id}/icon', { id: image }), {
    method: 'PUT',
    headers: { 'Content-Type': file.type || 'application/octet-stream', ...csrfHeader() },
    body: file,
  });
  if (!response.ok) throw await problemOf(response);
}
