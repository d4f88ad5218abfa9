// A job as it goes on: its states and its log, by server-sent events. After a break
// the browser comes back by itself, behind the last line it has. It gives up where
// a proxy answers for a controller that restarts: then we come back.
import { useEffect, useState } from 'react';
import { address, type View } from './client';
import { backoff } from './live';

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

interface Told {
  job: (job: View<'JobView'>) => void;
  line: (line: View<'JobLineView'>) => void;
}

/** Tells what a job's stream says until the job's end, or until what it returns is called. */
export function follow(url: string, told: Told): () => void {
  let source: EventSource;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let tries = 0;
  const open = () => {
    source = new EventSource(url);
    source.addEventListener('open', () => (tries = 0));
    source.addEventListener('job', (e) => {
      const job = JSON.parse((e as MessageEvent<string>).data) as View<'JobView'>;
      if (ended(job.state)) source.close();
      told.job(job);
    });
    source.addEventListener('line', (e) => told.line(JSON.parse((e as MessageEvent<string>).data) as View<'JobLineView'>));
    source.addEventListener('error', () => {
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(open, backoff(tries++));
    });
  };
  open();
  return () => {
    clearTimeout(timer);
    source.close();
  };
}

/** Follows a job until its end, for as long as the component is shown. */
export function useJob(id: string | undefined): Followed {
  const [held, setHeld] = useState<{ id: string | undefined } & Followed>({ id, ...nothing });
  useEffect(() => {
    if (!id) return;
    const change = (next: (of: Followed) => Followed) => setHeld((before) => ({ id, ...next(before.id === id ? before : nothing) }));
    return follow(address('/api/v1/jobs/{id}/stream', { id }), {
      job: (job) => change((of) => ({ ...of, job })),
      line: (line) => change((of) => ({ ...of, lines: withLine(of.lines, line) })),
    });
  }, [id]);
  return held.id === id ? held : nothing;
}
