import { describe, expect, it } from 'vitest';
import type { LiveStats } from '@/api';
import { FigureStore } from './figures';

describe('figures of a list', () => {
  it('are followed for what is in sight and nothing else', () => {
    const sinks = new Map<string, (stats: LiveStats) => void>();
    const store = new FigureStore((id, sink) => {
      sinks.set(id, sink);
      return () => sinks.delete(id);
    });
    let told = 0;
    store.read('a', () => told++);
    store.follow(['a', 'b']);
    expect([...sinks.keys()]).toEqual(['a', 'b']);
    sinks.get('a')?.({ type: 'stats', instance_id: 'a', cpu: 1 });
    expect(told).toBe(1);
    expect(store.of('a')).toMatchObject({ cpu: 1 });
    store.follow(['b', 'c']);
    expect([...sinks.keys()]).toEqual(['b', 'c']);
    expect(store.of('a')).toBeUndefined();
  });
});
