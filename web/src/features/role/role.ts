import type { View } from '@/api';

export type Given = View<'PermissionView'>;

/** Permissions by what they are about: users.read and users.write stand together. */
export function grouped(all: readonly Given[]): [string, Given[]][] {
  const groups = new Map<string, Given[]>();
  for (const each of all) {
    const word = each.permission.split('.', 1)[0] ?? '';
    groups.set(word, [...(groups.get(word) ?? []), each]);
  }
  return [...groups];
}

/** Ticks or unticks one; writing needs reading where there is such a permission. */
export function toggled(chosen: readonly string[], permission: string, on: boolean, all: readonly string[]): string[] {
  const [word, verb] = permission.split('.');
  const read = `${word}.read`;
  const write = `${word}.write`;
  const next = new Set(chosen);
  if (on) next.add(permission);
  else next.delete(permission);
  if (on && verb === 'write' && all.includes(read)) next.add(read);
  if (!on && verb === 'read') next.delete(write);
  return all.filter((each) => next.has(each));
}
