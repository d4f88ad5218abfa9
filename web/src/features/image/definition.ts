// An image's definition as its pages hold it.
import type { View } from '@/api';

export type Definition = View<'Definition'>;
export type ImageVariable = View<'Variable'>;
export type Startup = View<'Startup'>;
export type Patch = View<'Patch'>;
export type PatchSet = View<'PatchSet'>;

const own = new Set(['id', 'name', 'created_at', 'updated_at', 'icon']);

/** The definition in what the API shows of an image. */
export function definitionOf(image: View<'ImageView'>): Definition {
  return Object.fromEntries(Object.entries(image).filter(([field]) => !own.has(field) && !field.startsWith('$'))) as unknown as Definition;
}

const empty = (value: unknown) => value === '' || value === undefined || value === null || (Array.isArray(value) && value.length === 0);

function withoutEmpty<T extends object>(of: T): T {
  return Object.fromEntries(Object.entries(of).filter(([, value]) => !empty(value) && value !== false)) as T;
}

/** Without what is empty: the controller's own words for "as usual". */
export function trimmed(definition: Definition): Definition {
  const rows = references(definition).filter((row) => row.reference.trim() !== '');
  const { script, variables } = definition;
  const out = {
    ...definition,
    ...withReferences(rows),
    variables: (variables ?? []).map((each) => ({ ...withoutEmpty(each), name: each.name })),
    script: script && (script.text.trim() || script.image.trim()) ? script : undefined,
  };
  const kept = Object.entries(out).filter(([, value]) => !empty(value));
  return { ...(Object.fromEntries(kept) as unknown as Definition), references: out.references ?? [] };
}

/** Lines of a field, without the empty ones. */
export function linesOf(text: string): string[] {
  return text.split('\n').map((line) => line.trim()).filter(Boolean);
}

/** Exit codes as somebody types them. */
export function codesOf(text: string): number[] {
  return text.split(/[\s,]+/).filter(Boolean).map(Number).filter(Number.isInteger);
}

export interface ReferenceRow {
  reference: string;
  label: string;
}

/** The container images with what people choose them by. */
export function references(of: Pick<Definition, 'references' | 'labels'>): ReferenceRow[] {
  return (of.references ?? []).map((reference, at) => ({ reference, label: of.labels?.[at] ?? '' }));
}

export function withReferences(rows: readonly ReferenceRow[]): Pick<Definition, 'references' | 'labels'> {
  const labels = rows.map((row) => row.label.trim());
  return { references: rows.map((row) => row.reference.trim()), labels: labels.some(Boolean) ? labels : [] };
}

/** A row one up or down. */
export function moved<T>(rows: readonly T[], at: number, by: -1 | 1): T[] {
  const to = at + by;
  const [a, b] = [rows[at], rows[to]];
  if (a === undefined || b === undefined) return [...rows];
  return rows.map((row, n) => (n === at ? b : n === to ? a : row));
}

/** What a patch sets, as kinds that a form can ask for. */
export type ValueKind = 'text' | 'number' | 'boolean' | 'null';

export function kindOfValue(value: unknown): ValueKind {
  if (value === null) return 'null';
  return typeof value === 'number' ? 'number' : typeof value === 'boolean' ? 'boolean' : 'text';
}

/** A value as another kind, as far as it says the same. */
export function asKind(value: unknown, kind: ValueKind): unknown {
  const text = value === null || value === undefined ? '' : String(value as string);
  if (kind === 'null') return null;
  if (kind === 'boolean') return /^(true|1|yes|on)$/i.test(text);
  if (kind === 'number') return Number.isFinite(Number(text)) ? Number(text) : 0;
  return text;
}

/** The parts of the editor, and the fields that each of them has. */
export const parts = {
  general: ['name', 'description', 'author', 'author_name', 'tags', 'icon', 'references', 'labels', 'pull', 'release', 'kept', 'source', 'features'],
  start: ['launch', 'entrypoint', 'commands', 'command', 'command_line', 'env', 'volume', 'no_tty', 'ready_line', 'ready_lines', 'start_timeout_seconds', 'stop_command', 'stop_grace_seconds', 'crash_policy'],
  variables: ['variables'],
  files: ['patches', 'config_file'],
  install: ['install', 'script'],
} as const;
export type PartName = keyof typeof parts;

/** The first word of a field's name, without what stands around a definition. */
function root(field: string): string {
  return /^(?:definition\.)?(\w+)/.exec(field)?.[1] ?? '';
}

/** In which part of the editor a field stands; undefined when none has it. */
export function partOf(field: string): PartName | undefined {
  const word = root(field);
  return (Object.keys(parts) as PartName[]).find((part) => (parts[part] as readonly string[]).includes(word));
}

/**
 * What is wrong with a place of the form. The controller names a field with or
 * without "definition." in front, rows in brackets or by dots.
 */
export function wrongAt(fields: Readonly<Record<string, string>>, ...places: string[]): string | undefined {
  const normal = Object.entries(fields).map(([field, message]) => [field.replace(/^definition\./, '').replaceAll(/\[(\w+)\]/g, '.$1'), message] as const);
  for (const place of places) {
    const found = normal.find(([field]) => field === place);
    if (found) return found[1];
  }
  return undefined;
}

/** What is wrong beneath a place that no input of the form shows by itself. */
export function wrongBeneath(fields: Readonly<Record<string, string>>, place: string, shown: RegExp): string[] {
  return Object.entries(fields)
    .map(([field, message]) => [field.replace(/^definition\./, '').replaceAll(/\[(\w+)\]/g, '.$1'), message] as const)
    .filter(([field]) => (field === place || field.startsWith(`${place}.`)) && !shown.test(field))
    .map(([field, message]) => (field === place ? message : `${field}: ${message}`));
}
