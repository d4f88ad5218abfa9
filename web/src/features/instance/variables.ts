// The form of an instance's variables: what its image asks for, as the caller may
// fill it in, and what else the instance has.
import type { View } from '@/api';
import type { Variable } from '@/parts';
import { t } from '@/text';

/** The schema's variables in the order of the form; what is typed loosely only the image's definition says. */
export function variablesOf(schema: View<'ImageSchemaView'>, image: Pick<View<'ImageView'>, 'variables'>, held: Readonly<Record<string, string>>): Variable[] {
  const defined = new Map((image.variables ?? []).map((each) => [each.name, each]));
  const properties = schema.properties ?? {};
  const asked = (schema['x-order'] ?? Object.keys(properties)).flatMap((name): Variable[] => {
    const of = properties[name];
    if (!of) return [];
    const { type } = defined.get(name) ?? {};
    return [
      {
        name,
        ...(of.title && of.title !== name ? { label: of.title } : {}),
        ...(of.description ? { description: of.description } : {}),
        ...(of.default ? { default: of.default } : {}),
        ...(type ? { type } : {}),
        rules: of['x-rules'] ?? [],
        required: (schema.required ?? []).includes(name),
        secret: !!of.writeOnly,
        locked: !!of.readOnly,
      },
    ];
  });
  const known = new Set(asked.map((each) => each.name));
  const others = Object.keys(held).filter((name) => !known.has(name));
  return [...asked, ...others.map((name) => ({ name, locked: !schema.additionalProperties }))];
}

/** What the form begins with. A secret is never shown: its field is empty. */
export function startOf(variables: readonly Variable[], held: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(variables.map((each) => [each.name, each.secret ? '' : (held[each.name] ?? each.default ?? '')]));
}

/** Exit codes as people type them; undefined when they can't be read. */
export function codesOf(text: string): number[] | undefined {
  const parts = text.split(/[\s,;]+/).filter((each) => each !== '');
  const codes = parts.map(Number);
  return parts.every((each) => /^\d{1,3}$/.test(each)) && codes.every((each) => each <= 255) ? codes : undefined;
}

/** What differs from what is set: only that is sent. */
export function changed(before: Readonly<Record<string, string>>, after: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(after).filter(([name, value]) => before[name] !== value));
}

export type Need = 'none' | 'live' | 'next_start' | 'needed';

/** What a change of these fields will need: said before it is saved. When its registry is asked is asked at the next start anyway. */
export function needOf(instance: Pick<View<'InstanceView'>, 'actual'>, fields: readonly string[]): Need {
  if (fields.every((each) => each === 'pull')) return 'next_start';
  return instance.actual === 'running' || instance.actual === 'starting' ? 'needed' : 'next_start';
}

/** What came of a change. */
export function told(need: Need | undefined): string {
  return t(need ? `instance.saved_${need}` : 'common.saved');
}
