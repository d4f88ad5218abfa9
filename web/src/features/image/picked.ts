// What was dropped or chosen to be imported, with the folders it was in, and in
// which calls it is sent.

export interface Picked {
  /** With its folders: "games/mine.json". */
  name: string;
  file: File;
}

/** How large one file, and all files of a call, may be in bytes; the controller takes 4 and 64 MiB. */
export const fileMost = 4 << 20;
const callMost = 8 << 20;
const countMost = 100;

/** The files of a choice of files or of a folder. */
export function chosen(files: FileList | readonly File[]): Picked[] {
  return Array.from(files, (file) => ({ file, name: file.webkitRelativePath || file.name }));
}

/** The files of a drop; what is in folders too. Must be called in the event itself. */
export async function dropped(items: DataTransferItemList): Promise<Picked[]> {
  const all = Array.from(items, (item) => (item.kind === 'file' ? (item.webkitGetAsEntry() ?? item.getAsFile()) : null));
  const found: Picked[] = [];
  for (const each of all) {
    if (each instanceof File) found.push({ file: each, name: each.name });
    else if (each) await walk(each, '', found);
  }
  return found;
}

async function walk(entry: FileSystemEntry, folder: string, found: Picked[]): Promise<void> {
  const name = folder + entry.name;
  if (entry.isFile) {
    const file = await new Promise<File>((done, fail) => (entry as FileSystemFileEntry).file(done, fail));
    found.push({ file, name });
    return;
  }
  if (hidden(entry.name)) return;
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  // It tells a part at a time, and nothing when it has told all.
  for (;;) {
    const part = await new Promise<FileSystemEntry[]>((done, fail) => reader.readEntries(done, fail));
    if (part.length === 0) return;
    for (const each of part) await walk(each, `${name}/`, found);
  }
}

// A folder such as .git, or what packages are unpacked to.
const hidden = (name: string) => name.startsWith('.') || name === 'node_modules';

/** Whether a file may define an image, by its name and its size alone. */
export function worthReading({ name, file }: Picked): 'yes' | 'large' | 'other' {
  if (name.split('/').slice(0, -1).some(hidden)) return 'other';
  if (!/\.(json|ya?ml)$/i.test(name)) return 'other';
  return file.size > fileMost ? 'large' : 'yes';
}

/** What a file holds: its text, or in base64 what is no UTF-8. */
export async function held(file: File): Promise<{ text: string } | { bytes: string }> {
  const text = await file.text();
  if (!text.includes('\ufffd')) return { text };
  const address = await new Promise<string>((done, fail) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result as string);
    reader.onerror = () => fail(reader.error ?? new Error());
    reader.readAsDataURL(file);
  });
  return { bytes: address.slice(address.indexOf(',') + 1) };
}

/** Files in their order, in calls that are neither too large nor too many. */
export function calls(picked: readonly Picked[]): Picked[][] {
  const found: Picked[][] = [];
  let size = 0;
  for (const each of picked) {
    const last = found.at(-1);
    if (!last || last.length >= countMost || size + each.file.size > callMost) {
      found.push([each]);
      size = each.file.size;
    } else {
      last.push(each);
      size += each.file.size;
    }
  }
  return found;
}
