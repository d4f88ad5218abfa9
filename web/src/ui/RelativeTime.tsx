import { useSyncExternalStore } from 'react';
import { ago, dateTime } from '@/text';
import css from './ui.module.css';

// One clock for all of them: a list of a thousand rows has one timer.
const readers = new Set<() => void>();
let now = Date.now(); // while nobody follows it is old: see follow
let timer: ReturnType<typeof setInterval> | undefined;

function follow(run: () => void): () => void {
  readers.add(run);
  now = Date.now();
  timer ??= setInterval(() => {
    now = Date.now();
    readers.forEach((each) => each());
  }, 15_000);
  return () => {
    readers.delete(run);
    if (readers.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/** The time, a few times a minute. */
export function useNow(): number {
  return useSyncExternalStore(follow, () => now);
}

/** How long ago; the exact local time in its title. */
export function RelativeTime({ at, never = '–' }: { at: string | null | undefined; never?: string }) {
  const clock = useNow();
  if (!at) return <span>{never}</span>;
  return (
    <time className={css.when} dateTime={at} title={dateTime(at, { dateStyle: 'full', timeStyle: 'medium' })}>
      {ago(at, clock)}
    </time>
  );
}
