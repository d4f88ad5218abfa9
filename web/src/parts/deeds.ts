// What an event says, in words. An event's data is a handful of names and values;
// those that say something to people are listed here, the others are left out.
import type { View } from '@/api';
import { bytes, number, t, tAny } from '@/text';

/** The event's own sentence; one that has none is shown as it is called. */
export function eventText(type: string): string {
  return tAny(`activity.type_${type}`, type.replaceAll('_', ' ').replace('.', ': '));
}

type Say = (value: unknown, type: string) => string;

const plain: Say = (value) => (typeof value === 'number' ? number(value) : typeof value === 'string' ? value : '');

// A few, and how many more.
const few: Say = (value) => {
  if (!Array.isArray(value)) return plain(value, '');
  return firstOf(value.filter((each) => typeof each === 'string'));
};
const firstOf = (all: string[]) => all.slice(0, 3).join(', ') + (all.length > 3 ? ' …' : '');

// Of what was done over SFTP, too: each with what was done.
const deeds: Say = (value) => {
  if (!Array.isArray(value)) return '';
  return firstOf((value as { what: string; path: string; to?: string }[]).map(({ what, path, to }) => `${word(what, '')}: ${path}${to ? ` → ${to}` : ''}`));
};

const field = (name: string) => tAny(`activity.field_${name}`, name.replaceAll('_', ' '));
const fields: Say = (value) => (Array.isArray(value) && value.length > 0 ? value.map((each) => field(String(each))).join(', ') : '');
const word: Say = (value) => (typeof value === 'string' && value !== '' ? tAny(`activity.word_${value}`, value) : '');
// Of a job it is what is done, else a word of the log's own.
const kind: Say = (value, type) => (type.startsWith('job.') && typeof value === 'string' ? tAny(`job.kind_${value}`, value) : word(value, type));
const count =
  (key: 'permissions' | 'rights'): Say =>
  (value) =>
    Array.isArray(value) ? t(`activity.${key}`, { count: value.length }) : '';
const yes =
  (key: 'asAdmin' | 'withRestart'): Say =>
  (value) =>
    value === true ? t(`activity.${key}`) : '';

// What an instance was is a state; where files came from is a name.
const before: Say = (value, type) => {
  const state = typeof value === 'string' && type.startsWith('instance.') ? tAny(`state.${value}`, '') : '';
  return state ? t('instance.stateBefore', { state }) : plain(value, type);
};

// In the order in which they are said.
const says: [string, Say][] = [
  ['username', plain], ['name', plain], ['path', plain], ['paths', few], ['from', before], ['to', plain], ['command', plain], ['email', plain], ['url', plain], ['issuer', plain],
  ['image', plain], ['release', plain], ['address', plain], ['port', plain], ['ports', few], ['changed', fields], ['changes', fields], ['fields', fields], ['permissions', count('permissions')],
  ['rights', count('rights')], ['scopes', few], ['admin', yes('asAdmin')], ['restart', yes('withRestart')], ['size', (value) => (typeof value === 'number' ? bytes(value) : '')],
  ['means', word], ['by', word], ['kind', kind], ['purpose', word], ['connection', word], ['verb', word], ['why', word], ['deeds', deeds], ['code', plain], ['status', plain], ['reason', plain],
];

// What leads on to what comes next: files from here to there, a state after another.
const leads = new Set(['path', 'paths', 'from']);

const most = 200;

/** What it was about, as one short line: paths, a command, a reason. Only ever text. */
export function described(event: Pick<View<'EventView'>, 'data' | 'type'>): string {
  const { data, type } = event;
  if (!data || typeof data !== 'object') return '';
  const held = data as Record<string, unknown>;
  let line = '';
  let arrow = false;
  for (const [name, say] of says) {
    const part = Object.hasOwn(held, name) ? say(held[name], type) : '';
    if (part === '') continue;
    line += (line && (arrow && name !== 'size' ? ' → ' : ' · ')) + part;
    arrow = leads.has(name);
  }
  return line.length > most ? `${line.slice(0, most)}…` : line;
}
