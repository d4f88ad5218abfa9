// A job as it goes on: its states and its log, by server-sent events. The
// browser comes back by itself after a break, behind the last line it has.
import { useEffect, useState } from 'react';
import { address, type View } from './client';

export interface Followed {
  job: View<'JobView'> | undefined;
  lines: View<'JobLineView'>[];
}

const nothing: Followed = { job: undefined, lines: [] };

/** The most lines of a log that a page keeps. */
export const linesMost = 2000;

/** Whether a job has come to its end. */
export function ended(state: string): boolean {
  return state === 'succeeded' || state === 'failed' || state === 'cancelled';
}

/** A line that came; one that was there already changes nothing. */
export function withLine(lines: Followed['lines'], line: View<'JobLineView'>): Followed['lines'] {
  if (line.seq <= (lines.at(-1)?.seq ?? 0)) return lines;
  return [...lines, line].slice(-linesMost);
}

/** Follows a job until its end, for as long as the component is shown. */
export function useJob(id: string | undefined): Followed {
  const [held, setHeld] = useState<{ id: string | undefined } & Followed>({ id, ...nothing });
  useEffect(() => {
    if (!id) return;
    const source = new EventSource(address('/api/v1/jobs/{id}/stream', { id }));
    const change = (next: (of: Followed) => Followed) => setHeld((before) => ({ id, ...next(before.id === id ? before : nothing) }));
    source.addEventListener('job', (e) => {
      const job = JSON.parse((e as MessageEvent<string>).data) as View<'JobView'>;
      if (ended(job.state)) source.close();
      change((of) => ({ ...of, job }));
    });
    source.addEventListener('line', (e) => {
      const line = JSON.parse((e as MessageEvent<string>).data) as View<'JobLineView'>;
      change((of) => ({ ...of, lines: withLine(of.lines, line) }));
    });
    return () => source.close();
  }, [id]);
  return held.id === id ? held : nothing;
}
