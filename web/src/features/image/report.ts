// What became of each file of an import.
import type { View } from '@/api';

export type Line = View<'ImportedFile'>;
export type Status = Line['status'];

export const statuses: readonly Status[] = ['imported', 'updated', 'skipped', 'refused'];

export function counted(lines: readonly Line[]): Record<Status, number> {
  const counts: Record<Status, number> = { imported: 0, updated: 0, skipped: 0, refused: 0 };
  for (const line of lines) counts[line.status]++;
  return counts;
}

/** Those of a status that hold a text; '' is any. */
export function narrowed(lines: readonly Line[], status: Status | '', search: string): Line[] {
  const wanted = search.trim().toLowerCase();
  return lines.filter((line) => (status === '' || line.status === status) && (wanted === '' || textOf(line).toLowerCase().includes(wanted)));
}

function textOf(line: Line): string {
  return [line.file, line.name, line.format, line.error, ...(line.changes ?? []), ...(line.ignored ?? [])].join('\n');
}

const oneLine = (text: string) => text.replaceAll(/\s+/g, ' ').trim();

/** The report as a table to take elsewhere: tabs between, a line for each file. */
export function asTable(lines: readonly Line[]): string {
  const head = ['file', 'status', 'format', 'name', 'error', 'changes', 'ignored'].join('\t');
  const rows = lines.map((line) => [line.file, line.status, line.format, line.name, line.error, (line.changes ?? []).join('; '), (line.ignored ?? []).join('; ')].map(oneLine).join('\t'));
  return [head, ...rows].join('\n');
}
