// The rights that a subuser can be given, in groups, and the usual choices.
import type { Right } from './model';

export const groups: readonly { name: 'control' | 'files' | 'manage'; rights: readonly Right[] }[] = [
  { name: 'control', rights: ['instance.see', 'console.read', 'console.write', 'power'] },
  { name: 'files', rights: ['files.read', 'files.write', 'sftp'] },
  { name: 'manage', rights: ['instance.edit', 'activity.read', 'subusers.write'] },
];

export const everyRight: readonly Right[] = groups.flatMap((each) => each.rights);

/** Seeing it is part of all: it can't be taken away alone. */
export const always: Right = 'instance.see';

export const presets = {
  Console: ['instance.see', 'console.read', 'console.write', 'power'],
  Files: ['instance.see', 'files.read', 'files.write', 'sftp'],
  All: everyRight,
} as const satisfies Record<string, readonly Right[]>;

/** A choice with what it needs, and without what the giver hasn't himself; in the usual order. */
export function normal(rights: readonly Right[], held: readonly string[]): Right[] {
  const wanted = new Set<Right>([always, ...rights]);
  if (wanted.has('console.write')) wanted.add('console.read');
  if (wanted.has('files.write')) wanted.add('files.read');
  return everyRight.filter((each) => wanted.has(each) && held.includes(each));
}
