// Everything that people read comes from here. English is written first and
// names the keys; the other languages have to have the same ones, which the
// compiler checks. A language is loaded when it is used: first what the pages in
// front say, and all of it with the first page behind them.
import type { Plural, Texts } from './catalogue';
import type { English } from './en';

type Keys<T> = { [N in keyof T & string]: `${N}.${keyof T[N] & string}` }[keyof T & string];
/** The name of a text: namespace and key, 'instance.start'. */
export type TextKey = Keys<English>;
export type Values = Record<string, string | number>;

export const languages = { en: 'English', de: 'Deutsch' } as const;
export type Language = keyof typeof languages;

type Catalogue = Record<string, Texts>;

const load: Record<Language, { front: () => Promise<Catalogue>; all: () => Promise<Catalogue> }> = {
  en: { front: () => import('./en/front').then((m) => m.front as Catalogue), all: () => import('./en').then((m) => m.en as unknown as Catalogue) },
  de: { front: () => import('./de/front').then((m) => m.front as Catalogue), all: () => import('./de').then((m) => m.de as unknown as Catalogue) },
};

// The controller speaks English. What it says in another language, by its own words.
const saying: Partial<Record<Language, () => Promise<Record<string, string>>>> = {
  de: () => import('./de/said').then((m) => m.said),
};

const stored = 'berth.language';
let sayings: [RegExp, string][] = [];
let catalogue: Catalogue = {};
let language: Language = 'en';
// Whether a page was there that needs more than the front's words.
let whole = false;
let rules = new Intl.PluralRules('en');
const listeners = new Set<() => void>();

export function isLanguage(text: string | null | undefined): text is Language {
  return !!text && Object.hasOwn(languages, text);
}

/** What was chosen in this browser, else the browser's own, else English. */
export function preferred(): Language {
  const chosen = localStorage.getItem(stored);
  if (isLanguage(chosen)) return chosen;
  const own = navigator.languages.map((each) => each.slice(0, 2)).find(isLanguage);
  return own ?? 'en';
}

/** Loads a language and shows it; remembered in this browser when it was chosen. */
export async function speak(wanted: Language, remember = false): Promise<void> {
  const [front, told] = await Promise.all([load[wanted].front(), saying[wanted]?.()]);
  const texts = whole ? await load[wanted].all() : front;
  catalogue = texts;
  sayings = Object.entries(told ?? {}).map(([words, text]) => [pattern(words), text]);
  language = wanted;
  rules = new Intl.PluralRules(wanted);
  document.documentElement.lang = wanted;
  if (remember) localStorage.setItem(stored, wanted);
  listeners.forEach((run) => run());
}

// What the controller's words look like once something is put in for %s and the like.
// What is put in is as short as it can be, and may be nothing.
function pattern(words: string): RegExp {
  const parts = words.split(/%[-+.\d]*[a-z]/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('(.*?)')}$`, 's');
}

/** What the controller said, in the language that is spoken; undefined when nobody wrote that down. */
export function translated(text: string): string | undefined {
  if (language === 'en') return text;
  // The most exact words first: those that are put together have the fewest of their own.
  for (const [words, ours] of sayings) {
    const found = words.exec(text);
    if (found) return ours.replace(/\{(\d)\}/g, (_, n: string) => translated(found[Number(n)] ?? '') ?? found[Number(n)] ?? '');
  }
  return undefined;
}

/** Loads all words of the language, now and of each that is spoken from now on. */
export async function speakOfAll(): Promise<void> {
  whole = true;
  // Another one may be spoken by the time they are there.
  for (let of: Language | undefined; of !== language; ) {
    of = language;
    const texts = await load[of].all();
    if (of === language) catalogue = texts;
  }
}

export function spoken(): Language {
  return language;
}

export function onLanguage(run: () => void): () => void {
  listeners.add(run);
  return () => listeners.delete(run);
}

/** The text of a key, with {names} replaced; `count` chooses the plural's form. */
export function t(key: TextKey, values: Values = {}): string {
  return find(key, values) ?? key;
}

/** A text whose key is made at run time (a state, an event's type), or the fallback. */
export function tAny(key: string, fallback: string, values: Values = {}): string {
  return find(key, values) ?? fallback;
}

function find(key: string, values: Values): string | undefined {
  const dot = key.indexOf('.');
  const word = key.slice(0, dot);
  const space = Object.hasOwn(catalogue, word) ? catalogue[word] : undefined;
  const name = key.slice(dot + 1);
  if (!space || !Object.hasOwn(space, name)) return undefined;
  const text = space[name] as string | Plural;
  const form = typeof text === 'string' ? text : (text[rules.select(Number(values.count ?? 0))] ?? text.other);
  return form.replace(/\{(\w+)\}/g, (whole, field: string) => {
    const value = values[field];
    if (value === undefined) return whole;
    return typeof value === 'number' ? number(value) : value;
  });
}

// To make a format takes as long as to use it a hundred times.
function formats<O, F>(make: (language: Language, options?: O) => F): (options?: O) => F {
  const made = new Map<string, F>();
  return (options) => {
    const key = language + JSON.stringify(options);
    const found = made.get(key) ?? make(language, options);
    made.set(key, found);
    return found;
  };
}

const numbers = formats((language, options?: Intl.NumberFormatOptions) => new Intl.NumberFormat(language, options));
const relative = formats((language, options?: Intl.RelativeTimeFormatOptions) => new Intl.RelativeTimeFormat(language, options));

/** A number as the language writes it. */
export function number(value: number, options?: Intl.NumberFormatOptions): string {
  return numbers(options).format(value);
}

/** A moment in the local zone. */
export function dateTime(at: string | number | Date, options: Intl.DateTimeFormatOptions = { dateStyle: 'medium', timeStyle: 'short' }): string {
  return new Intl.DateTimeFormat(language, options).format(new Date(at));
}

const spans: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 31_536_000],
  ['month', 2_592_000],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
];

/** How long ago, or in how long: "5 minutes ago". */
export function ago(at: string | number | Date, now: number): string {
  const seconds = Math.round((new Date(at).getTime() - now) / 1000);
  const format = relative({ numeric: 'auto' });
  for (const [unit, length] of spans) {
    if (Math.abs(seconds) >= length) return format.format(Math.trunc(seconds / length), unit);
  }
  return format.format(0, 'second');
}

/** MiB as people read it: 512 MiB, 1.5 GiB. */
export function mebibytes(value: number): string {
  return bytes(value * 1_048_576);
}

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** Bytes as people read them. */
export function bytes(value: number): string {
  let size = Math.max(0, value);
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit++;
  }
  const digits = unit === 0 || size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return `${number(size, { maximumFractionDigits: digits })} ${units[unit]}`;
}

/** Cores: 0.5, 2. */
export function cores(value: number): string {
  return number(value, { maximumFractionDigits: 2 });
}

/** Cores with their unit: 0.5 cores, 1 core. */
export function coresOf(value: number): string {
  return t('common.cores', { count: Number(value.toFixed(2)) });
}

/** A share of one as percent. */
export function percent(share: number): string {
  return number(share, { style: 'percent', maximumFractionDigits: share < 0.1 ? 1 : 0 });
}
