import { QueryClient } from '@tanstack/react-query';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Invalidator, touched } from './invalidation';
import { keys } from './keys';
import type { LiveEvent } from './live';

const event = (type: string, more: Partial<LiveEvent> = {}): LiveEvent => ({ id: 1, at: '', type, actor: {} as LiveEvent['actor'], data: {}, ...more });

describe('what an event makes old', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it('is the list and the one instance, not the others', () => {
    const found = touched(event('instance.started', { instance_id: 'i1' }));
    expect(found).toContainEqual(keys.instances('list'));
    expect(found).toContainEqual(keys.instances('i1'));
    expect(found).not.toContainEqual(keys.instances());
  });

  it('is the activity in any case, also for a word nobody knows', () => {
    expect(touched(event('moon.risen'))).toEqual([keys.activity()]);
  });

  it('is the session when rights change', () => {
    expect(touched(event('role.changed'))).toContainEqual(keys.session);
    expect(touched(event('subuser.removed', { instance_id: 'i1' }))).toContainEqual(keys.session);
  });

  it('is asked for once, however many events came', async () => {
    const client = new QueryClient();
    const asked = vi.spyOn(client, 'invalidateQueries').mockResolvedValue();
    const old = new Invalidator(client, 100);
    for (let i = 0; i < 500; i++) old.add(event('job.progressed', { job_id: 'j1' }));
    expect(asked).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(100);
    const names = asked.mock.calls.map(([filter]) => JSON.stringify(filter?.queryKey));
    expect(new Set(names).size).toBe(names.length);
    expect(names).toContain(JSON.stringify(keys.jobs('j1')));
  });
});
