// What an event of an instance says, in words.
import type { View } from '@/api';
import { t, tAny } from '@/text';

/** The event's own sentence; one that has none is shown as it is called. */
export function eventText(type: string): string {
  return tAny(`activity.type_${type}`, type.replaceAll('_', ' ').replace('.', ': '));
}

const telling = ['path', 'paths', 'from', 'to', 'command', 'name', 'reason', 'verb', 'username', 'url', 'code', 'status', 'changes', 'fields'] as const;

/** What it was about, as one short line: paths, a command, a reason. Only ever text. */
export function described(event: Pick<View<'EventView'>, 'data' | 'type'>): string {
  const data = event.data;
  // What an instance was is a state; where files came from is a name.
  const shown = (name: string, text: string) => {
    const state = name === 'from' && event.type.startsWith('instance.') ? tAny(`state.${text}`, '') : '';
    return state ? t('instance.stateBefore', { state }) : text;
  };
  if (!data || typeof data !== 'object') return '';
  const held = data as Record<string, unknown>;
  const parts = telling.flatMap((name) => {
    const value = held[name];
    if (typeof value === 'string' && value !== '') return [shown(name, value)];
    if (typeof value === 'number') return [String(value)];
    if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return [value.slice(0, 3).join(', ') + (value.length > 3 ? ' …' : '')];
    return [];
  });
  const text = parts.join(' → ');
  return text.length > 160 ? `${text.slice(0, 160)}…` : text;
}
