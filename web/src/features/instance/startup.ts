// The form of an image's variables: which field each one has, and what is wrong with a value.
import type { View } from '@/api';

export type Variable = View<'Variable'>;
export type FieldKind = 'text' | 'number' | 'switch';

export function kindOf(variable: Pick<Variable, 'type'>): FieldKind {
  const type = (variable.type ?? '').toLowerCase();
  if (/^(number|int|integer|float|port)$/.test(type)) return 'number';
  if (/^(bool|boolean|switch|checkbox)$/.test(type)) return 'switch';
  return 'text';
}

/** Names of which the value is better not seen over a shoulder. */
export function isSecret(name: string): boolean {
  return /pass(word|wd)?|secret|token|api_?key/i.test(name);
}

/** What on and off are written as: as the default is. */
export function switchWords(variable: Pick<Variable, 'default'>): [on: string, off: string] {
  const pairs: [string, string][] = [['true', 'false'], ['TRUE', 'FALSE'], ['True', 'False'], ['1', '0'], ['yes', 'no'], ['on', 'off']];
  return pairs.find((pair) => pair.includes(variable.default ?? '')) ?? ['true', 'false'];
}

export function wrongValue(variable: Variable, value: string): '' | 'empty' | 'number' {
  if (value === '') return variable.required ? 'empty' : '';
  if (kindOf(variable) === 'number' && !/^-?\d+(\.\d+)?$/.test(value)) return 'number';
  return '';
}

/** What differs from what is set: only that is sent. */
export function changed(before: Record<string, string>, after: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(after).filter(([name, value]) => before[name] !== value));
}

/** Exit codes as people type them; undefined when they can't be read. */
export function codesOf(text: string): number[] | undefined {
  const parts = text.split(/[\s,;]+/).filter((each) => each !== '');
  const codes = parts.map(Number);
  return parts.every((each) => /^\d{1,3}$/.test(each)) && codes.every((each) => each <= 255) ? codes : undefined;
}
