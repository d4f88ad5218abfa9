// Commands that were sent, newest last; up and down go through them, and what was
// being typed comes back at the end.
export interface History {
  past: readonly string[];
  /** Which one is shown; past.length is what is being typed. */
  at: number;
  draft: string;
}

export const noHistory: History = { past: [], at: 0, draft: '' };

const most = 200;

export function sent(history: History, command: string): History {
  const past = command === '' || history.past.at(-1) === command ? history.past : [...history.past, command].slice(-most);
  return { past, at: past.length, draft: '' };
}

/** Goes up (-1) or down (1); the text to show, or undefined at either end. */
export function step(history: History, by: 1 | -1, typed: string): [History, string] | undefined {
  const to = history.at + by;
  if (to < 0 || to > history.past.length) return undefined;
  const draft = history.at === history.past.length ? typed : history.draft;
  return [{ ...history, at: to, draft }, to === history.past.length ? draft : (history.past[to] ?? '')];
}
