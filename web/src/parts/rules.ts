// The rules of a variable, as images say them: what they ask for in words, and
// whether a value keeps them. The controller decides; here it is only said at
// once. What isn't known, or can't be read by a browser, is left to it.
import type { View } from '@/api';
import { t, type TextKey, type Values } from '@/text';

export type Variable = View<'Variable'>;
export type FieldKind = 'text' | 'number' | 'switch' | 'choice';

export interface Rule {
  name: string;
  args: string[];
}

/** A sentence of the catalogue: what a rule asks for, and what is said when it is broken. */
export interface Asked {
  key: TextKey;
  values?: Values;
}

const whole = new Set(['regex', 'not_regex']);

/** Words between commas; quotes hold a comma together. */
function words(text: string): string[] {
  const found = text.match(/"(?:[^"]|"")*"|[^,]+|(?<=,)(?=,|$)|^(?=,)/g) ?? [];
  return found.map((each) => (each.startsWith('"') && each.endsWith('"') && each.length > 1 ? each.slice(1, -1).replaceAll('""', '"') : each));
}

export function parseRules(tokens: readonly string[] | null | undefined): Rule[] {
  return (tokens ?? []).flatMap((token) => {
    const at = token.indexOf(':');
    const name = (at < 0 ? token : token.slice(0, at)).trim().toLowerCase();
    const rest = at < 0 ? '' : token.slice(at + 1);
    if (name === '') return [];
    return [{ name, args: at < 0 ? [] : whole.has(name) ? [rest] : words(rest) }];
  });
}

const numbers = new Set(['numeric', 'integer', 'int', 'decimal']);

function isNumber(variable: Variable, rules: readonly Rule[]): boolean {
  return rules.some((each) => numbers.has(each.name)) || /^(number|int|integer|float|port)$/i.test(variable.type ?? '');
}

/** Whether it has to be set. */
export function isRequired(variable: Variable): boolean {
  return !!variable.required || parseRules(variable.rules).some((each) => each.name === 'required' || each.name === 'filled');
}

/** Names of which the value is better not seen over a shoulder. */
export function isSecret(variable: Variable): boolean {
  return !!variable.secret || /^password$/i.test(variable.type ?? '') || /pass(word|wd)?|secret|token|api_?key/i.test(variable.name);
}

/** What a field looks like. */
export function kindOf(variable: Variable): FieldKind {
  const rules = parseRules(variable.rules);
  if (choicesOf(variable).length > 0) return 'choice';
  if (rules.some((each) => each.name === 'boolean' || each.name === 'bool') || /^(bool|boolean|switch|checkbox)$/i.test(variable.type ?? '')) return 'switch';
  return isNumber(variable, rules) ? 'number' : 'text';
}

/** The values that may be chosen, where only some may. */
export function choicesOf(variable: Variable): string[] {
  return [...new Set(parseRules(variable.rules).find((each) => each.name === 'in')?.args ?? [])];
}

/** What on and off are written as: as the default is. */
export function switchWords(variable: Pick<Variable, 'default' | 'rules'>): [on: string, off: string] {
  const pairs: [string, string][] = [['true', 'false'], ['TRUE', 'FALSE'], ['True', 'False'], ['1', '0']];
  // The rule takes no other words.
  if (!parseRules(variable.rules).some((each) => (also[each.name] ?? each.name) === 'boolean')) pairs.push(['yes', 'no'], ['on', 'off']);
  return pairs.find((pair) => pair.includes(variable.default ?? '')) ?? ['true', 'false'];
}

/** An expression as images write it, with or without delimiters; undefined when browsers can't read it. */
export function expression(text: string): RegExp | undefined {
  const found = /^([/#~!@%])([\s\S]*)\1([a-z]*)$/i.exec(text);
  try {
    return found ? new RegExp(found[2] ?? '', [...(found[3] ?? '')].filter((flag) => 'imsu'.includes(flag)).join('')) : new RegExp(text);
  } catch {
    return undefined;
  }
}

type Check = (value: string, args: string[], number: boolean) => boolean;
interface Known {
  says: (args: string[], number: boolean) => Asked | undefined;
  holds: Check;
}

const size = (value: string, number: boolean) => (number ? Number(value) : [...value].length);
const kind = (number: boolean) => (number ? 'number' : 'text');
const always: Check = () => true;
const matches = (pattern: RegExp): Check => (value) => pattern.test(value);
const plain = (key: TextKey, holds: Check): Known => ({ says: () => ({ key }), holds });
const listed = (key: TextKey, holds: Check): Known => ({ says: (args) => ({ key, values: { values: args.join(', ') } }), holds });
const bound = (name: 'min' | 'max' | 'size' | 'gt' | 'lt', holds: (is: number, than: number) => boolean): Known => ({
  // Of another field, as eggs never say it, nothing is known here.
  says: ([than = ''], number) => (Number.isFinite(Number(than)) && than !== '' ? { key: `rule.${name}_${kind(number)}`, values: { than, count: Number(than) } } : undefined),
  holds: (value, [than = ''], number) => than === '' || !Number.isFinite(Number(than)) || holds(size(value, number), Number(than)),
});

const isUrl: Check = (value) => /^[a-z][a-z0-9+.-]*:\/\/[^\s/]+/i.test(value);

const known: Record<string, Known> = {
  numeric: plain('rule.numeric', matches(/^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i)),
  integer: plain('rule.integer', matches(/^\s*[+-]?(0|[1-9]\d*)\s*$/)),
  boolean: plain('rule.boolean', matches(/^(true|false|0|1)$/i)),
  in: listed('rule.in', (value, args) => args.includes(value)),
  not_in: listed('rule.not_in', (value, args) => !args.includes(value)),
  min: bound('min', (is, than) => is >= than),
  max: bound('max', (is, than) => is <= than),
  size: bound('size', (is, than) => is === than),
  gt: bound('gt', (is, than) => is > than),
  lt: bound('lt', (is, than) => is < than),
  gte: bound('min', (is, than) => is >= than),
  lte: bound('max', (is, than) => is <= than),
  between: {
    says: ([from = '', to = ''], number) => ({ key: `rule.between_${kind(number)}`, values: { from, to } }),
    holds: (value, [from = '', to = ''], number) => size(value, number) >= Number(from) && size(value, number) <= Number(to),
  },
  digits: {
    says: ([than = '']) => ({ key: 'rule.digits', values: { than, count: Number(than) } }),
    holds: (value, [than = '']) => /^\d+$/.test(value) && value.length === Number(than),
  },
  min_digits: {
    says: ([than = '']) => ({ key: 'rule.min_digits', values: { than, count: Number(than) } }),
    holds: (value, [than = '']) => /^\d+$/.test(value) && value.length >= Number(than),
  },
  max_digits: {
    says: ([than = '']) => ({ key: 'rule.max_digits', values: { than, count: Number(than) } }),
    holds: (value, [than = '']) => /^\d+$/.test(value) && value.length <= Number(than),
  },
  multiple_of: {
    says: ([than = '']) => ({ key: 'rule.multiple_of', values: { than } }),
    holds: always,
  },
  decimal: {
    says: ([from = '', to = from]) => ({ key: 'rule.decimal', values: { from, to } }),
    holds: always,
  },
  digits_between: {
    says: ([from = '', to = '']) => ({ key: 'rule.digits_between', values: { from, to } }),
    holds: (value, [from = '', to = '']) => /^\d+$/.test(value) && value.length >= Number(from) && value.length <= Number(to),
  },
  regex: {
    says: ([pattern = '']) => ({ key: 'rule.regex', values: { pattern } }),
    holds: (value, [pattern = '']) => expression(pattern)?.test(value) ?? true,
  },
  not_regex: {
    says: ([pattern = '']) => ({ key: 'rule.not_regex', values: { pattern } }),
    holds: (value, [pattern = '']) => !(expression(pattern)?.test(value) ?? false),
  },
  alpha: plain('rule.alpha', matches(/^[\p{L}\p{M}]+$/u)),
  alpha_num: plain('rule.alpha_num', matches(/^[\p{L}\p{M}\p{N}]+$/u)),
  alpha_dash: plain('rule.alpha_dash', matches(/^[\p{L}\p{M}\p{N}_-]+$/u)),
  url: plain('rule.url', isUrl),
  email: plain('rule.email', matches(/^[^\s@]+@[^\s@]+$/)),
  ip: plain('rule.ip', matches(/^(\d{1,3}(\.\d{1,3}){3}|[0-9a-f:]*:[0-9a-f:.]*)$/i)),
  ipv4: plain('rule.ipv4', matches(/^\d{1,3}(\.\d{1,3}){3}$/)),
  ipv6: plain('rule.ipv6', matches(/^[0-9a-f:]*:[0-9a-f:.]*$/i)),
  uuid: plain('rule.uuid', matches(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i)),
  starts_with: listed('rule.starts_with', (value, args) => args.some((each) => value.startsWith(each))),
  ends_with: listed('rule.ends_with', (value, args) => args.some((each) => value.endsWith(each))),
  doesnt_start_with: listed('rule.doesnt_start_with', (value, args) => !args.some((each) => value.startsWith(each))),
  doesnt_end_with: listed('rule.doesnt_end_with', (value, args) => !args.some((each) => value.endsWith(each))),
  ascii: plain('rule.ascii', (value) => [...value].every((each) => each <= '\x7f')),
  lowercase: plain('rule.lowercase', (value) => value === value.toLowerCase()),
  uppercase: plain('rule.uppercase', (value) => value === value.toUpperCase()),
  // Only the controller reads these well enough to say that a value is wrong.
  date: plain('rule.date', always),
  json: plain('rule.json', always),
  timezone: plain('rule.timezone', always),
  hex_color: plain('rule.hex_color', always),
  mac_address: plain('rule.mac_address', always),
};
const also: Record<string, string> = { int: 'integer', bool: 'boolean', num: 'numeric', number: 'numeric', notin: 'not_in', notregex: 'not_regex' };

const lookup = (name: string): Known | undefined => {
  const word = also[name] ?? name;
  return Object.hasOwn(known, word) ? known[word] : undefined;
};

/** What a variable's rules ask for, in their order; what goes without saying is left out. */
export function askedOf(variable: Variable): Asked[] {
  const rules = parseRules(variable.rules);
  const number = isNumber(variable, rules);
  const asked = rules.flatMap((rule) => lookup(rule.name)?.says(rule.args, number) ?? []);
  if (number && asked.every((each) => each.key !== 'rule.integer' && each.key !== 'rule.numeric')) asked.unshift({ key: 'rule.numeric' });
  return asked;
}

/** The first rule that a value breaks; undefined when it keeps them all. */
export function brokenBy(variable: Variable, value: string): Asked | undefined {
  if (value.trim() === '') return isRequired(variable) ? { key: 'rule.required' } : undefined;
  const rules = parseRules(variable.rules);
  const number = isNumber(variable, rules);
  const holds = (rule: Rule) => lookup(rule.name)?.holds(value, rule.args, number) ?? true;
  if (number && !lookup('numeric')?.holds(value, [], number)) return { key: rules.some((each) => (also[each.name] ?? each.name) === 'integer') ? 'rule.integer' : 'rule.numeric' };
  const broken = rules.find((rule) => !holds(rule));
  return broken && (lookup(broken.name)?.says(broken.args, number) ?? undefined);
}

export function said(asked: Asked): string {
  return t(asked.key, asked.values);
}

