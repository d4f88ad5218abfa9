import type { View } from '@/api';

export type Definition = View<'Definition'>;
export type ImageVariable = View<'Variable'>;

const own = new Set(['id', 'name', 'created_at', 'updated_at']);

/** The definition in what the API shows of an image. */
export function definitionOf(image: View<'ImageView'>): Definition {
  return Object.fromEntries(Object.entries(image).filter(([field]) => !own.has(field))) as unknown as Definition;
}

/** Without what is empty: the controller's own words for "as usual". */
export function trimmed(definition: Definition): Definition {
  const keep = Object.entries(definition).filter(([, value]) => value !== '' && value !== undefined && value !== null && !(Array.isArray(value) && value.length === 0));
  const out = Object.fromEntries(keep) as Definition;
  return { ...out, references: definition.references ?? [] };
}

/** Lines of a field, without the empty ones. */
export function linesOf(text: string): string[] {
  return text.split('\n').map((line) => line.trim()).filter(Boolean);
}

/** Exit codes as somebody types them. */
export function codesOf(text: string): number[] {
  return text.split(/[\s,]+/).filter(Boolean).map(Number).filter(Number.isInteger);
}
