// What was dropped or chosen, with the folders it was in.
import { coded, join } from './paths';

export interface Dropped {
  file: File;
  /** As calls take it. */
  path: string;
}

/** The files of a choice of files or of a folder. */
export function chosen(files: FileList | readonly File[], folder: string): Dropped[] {
  return Array.from(files, (file) => {
    const name = file.webkitRelativePath || file.name;
    return { file, path: join(folder, name.split('/').map(coded).join('/')) };
  });
}

/** The files of a drop; what is in folders too. Must be called in the event itself. */
export async function dropped(items: DataTransferItemList, folder: string): Promise<Dropped[]> {
  const entries = Array.from(items, (item) => (item.kind === 'file' ? item.webkitGetAsEntry() : null));
  const found: Dropped[] = [];
  for (const entry of entries) if (entry) await walk(entry, folder, found);
  return found;
}

async function walk(entry: FileSystemEntry, folder: string, found: Dropped[]): Promise<void> {
  const path = join(folder, coded(entry.name));
  if (entry.isFile) {
    const file = await new Promise<File>((done, fail) => (entry as FileSystemFileEntry).file(done, fail));
    found.push({ file, path });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  // It tells a part at a time, and nothing when it has told all.
  for (;;) {
    const part = await new Promise<FileSystemEntry[]>((done, fail) => reader.readEntries(done, fail));
    if (part.length === 0) return;
    for (const each of part) await walk(each, path, found);
  }
}
