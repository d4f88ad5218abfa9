// Paths as calls take them: relative to the volume, with slashes; '.' is the
// volume itself. A % and each byte that is no UTF-8 are written as % and two hex
// digits, so that no name is lost; people see them as they are.

export const root = '.';

export function join(folder: string, name: string): string {
  return folder === root || folder === '' ? name : `${folder}/${name}`;
}

export function parent(path: string): string {
  const at = path.lastIndexOf('/');
  return at < 0 ? root : path.slice(0, at);
}

export function base(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** The folders above and the path itself, from the volume down. */
export function crumbs(path: string): { path: string; name: string }[] {
  if (path === root || path === '') return [];
  const parts = path.split('/');
  return parts.map((name, n) => ({ path: parts.slice(0, n + 1).join('/'), name: shown(name) }));
}

/** A name that somebody typed, as calls take it. */
export function coded(name: string): string {
  return name.replaceAll('%', '%25');
}

/** A name or path as people see it; what is no UTF-8 as �. Marks that turn text around are made visible. */
export function shown(text: string): string {
  const plain = text.includes('%') ? decode(text) : text;
  // eslint-disable-next-line no-control-regex -- names may hold them
  return plain.replace(/[\u0000-\u001f\u007f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '�');
}

function decode(text: string): string {
  const bytes: number[] = [];
  const utf8 = new TextEncoder();
  for (let n = 0; n < text.length; ) {
    const hex = text[n] === '%' ? text.slice(n + 1, n + 3) : '';
    if (/^[0-9a-f]{2}$/.test(hex)) {
      bytes.push(parseInt(hex, 16));
      n += 3;
      continue;
    }
    const at = text.codePointAt(n) ?? 0;
    const char = String.fromCodePoint(at);
    bytes.push(...utf8.encode(char));
    n += char.length;
  }
  return new TextDecoder().decode(new Uint8Array(bytes));
}

/** What is wrong with a name that somebody typed: '' is nothing. */
export function wrongName(name: string): '' | 'empty' | 'slash' | 'dots' | 'long' {
  if (name === '') return 'empty';
  if (name === '.' || name === '..') return 'dots';
  if (name.includes('/') || name.includes('\0')) return 'slash';
  if (new TextEncoder().encode(name).length > 255) return 'long';
  return '';
}

/** A folder that somebody typed, as calls take it; undefined when it can't be one. */
export function folderOf(typed: string): string | undefined {
  const parts = typed.trim().replace(/^\/+|\/+$/g, '').split('/').filter((each) => each !== '' && each !== '.');
  if (parts.length === 0) return root;
  return parts.some((each) => wrongName(each) !== '') ? undefined : parts.map(coded).join('/');
}

const archives = ['.zip', '.tar', '.tar.gz', '.tgz', '.tar.xz', '.txz', '.tar.zst', '.tzst', '.tar.bz2', '.tbz2', '.7z', '.rar', '.gz', '.jar'];

/** Whether it looks like something that can be extracted. */
export function isArchive(name: string): boolean {
  const low = name.toLowerCase();
  return archives.slice(0, 9).some((end) => low.endsWith(end));
}

/** The most that the editor opens. */
export const editorMost = 4 * 1_048_576;

const binary = /\.(png|jpe?g|gif|webp|ico|bmp|mp[34]|ogg|wav|flac|mkv|avi|zip|tar|t?gz|t?xz|zst|bz2|7z|rar|jar|war|class|exe|dll|so|o|a|bin|dat|db|sqlite3?|mca|mcr|pdf|woff2?|ttf|otf|wasm|pyc)$/i;

export function looksBinary(name: string): boolean {
  return binary.test(name);
}

/** rwxr-xr-x of 0755. */
export function letters(mode: string): string {
  const bits = parseInt(mode, 8);
  if (Number.isNaN(bits)) return mode;
  return Array.from('rwxrwxrwx', (letter, n) => (bits & (1 << (8 - n)) ? letter : '-')).join('');
}
