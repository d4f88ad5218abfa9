// Figures of the instances that a list has in sight. One subscription for all of
// them, changed a moment after scrolling came to rest.
import { useEffect, useRef, useSyncExternalStore } from 'react';
import { live, type LiveStats, type View } from '@/api';

export type Figures = View<'StatsView'>;

export class FigureStore {
  private readonly held = new Map<string, Figures>();
  private readonly readers = new Map<string, Set<() => void>>();
  private readonly stops = new Map<string, () => void>();
  private readonly subscribe: (id: string, sink: (stats: LiveStats) => void) => () => void;

  constructor(subscribe: (id: string, sink: (stats: LiveStats) => void) => () => void) {
    this.subscribe = subscribe;
  }

  /** Follows these and none else. */
  follow(ids: readonly string[]): void {
    const wanted = new Set(ids);
    for (const id of wanted) {
      if (!this.stops.has(id)) this.stops.set(id, this.subscribe(id, (stats) => this.put(id, stats as unknown as Figures)));
    }
    for (const [id, stop] of this.stops) {
      if (wanted.has(id)) continue;
      stop();
      this.stops.delete(id);
      this.held.delete(id);
    }
  }

  of(id: string): Figures | undefined {
    return this.held.get(id);
  }

  read(id: string, run: () => void): () => void {
    const set = this.readers.get(id) ?? new Set();
    set.add(run);
    this.readers.set(id, set);
    return () => {
      set.delete(run);
      if (set.size === 0) this.readers.delete(id);
    };
  }

  private put(id: string, figures: Figures): void {
    this.held.set(id, figures);
    this.readers.get(id)?.forEach((run) => run());
  }
}

const store = new FigureStore((id, sink) => live.watch('instances', id, sink));

/** The most that the controller tells one page about. */
const most = 80;

export function useFollowed(ids: readonly string[]): void {
  const text = ids.slice(0, most).join(' ');
  const first = useRef(true);
  useEffect(() => {
    const timer = setTimeout(() => store.follow(text === '' ? [] : text.split(' ')), first.current ? 0 : 300);
    if (text !== '') first.current = false;
    return () => clearTimeout(timer);
  }, [text]);
  useEffect(() => () => store.follow([]), []);
}

export function useFigures(id: string): Figures | undefined {
  return useSyncExternalStore(
    (run) => store.read(id, run),
    () => store.of(id),
  );
}
