import { describe, expect, it } from 'vitest';
import { ApiError } from '@/api';
import { UploadQueue, type Sender } from './uploads';

function setup() {
  const started: { path: string; overwrite: boolean; hooks: Parameters<Sender>[3]; cancelled: boolean }[] = [];
  const queue = new UploadQueue((_, path, overwrite, hooks) => {
    const one = { path, overwrite, hooks, cancelled: false };
    started.push(one);
    return { cancel: () => (one.cancelled = true) };
  });
  const file = new File(['hello'], 'a');
  return { queue, started, add: (...paths: string[]) => queue.add(paths.map((path) => ({ file, path }))) };
}

describe('uploads', () => {
  it('go two at a time, the next when one has ended', () => {
    const { queue, started, add } = setup();
    let done = 0;
    queue.whenDone(() => done++);
    add('a', 'b', 'c');
    expect(started.map((each) => each.path)).toEqual(['a', 'b']);
    started[0]?.hooks.done();
    expect(done).toBe(1);
    expect(started.map((each) => each.path)).toEqual(['a', 'b', 'c']);
    expect(queue.all().map((each) => each.state)).toEqual(['done', 'sending', 'sending']);
  });

  it('are cancelled, and what comes later changes nothing', () => {
    const { queue, started, add } = setup();
    add('a');
    queue.cancel(1);
    expect(started[0]?.cancelled).toBe(true);
    started[0]?.hooks.progress(3);
    started[0]?.hooks.fail(new ApiError(0, 'UNREACHABLE', ''));
    expect(queue.all()[0]).toMatchObject({ state: 'cancelled', sent: 0 });
    expect(queue.busy).toBe(false);
  });

  it('say what was wrong, and are tried again over what was in the way', () => {
    const { queue, started, add } = setup();
    add('a');
    started[0]?.hooks.fail(new ApiError(409, 'CONFLICT', 'there is one'));
    expect(queue.all()[0]).toMatchObject({ state: 'failed', error: { code: 'CONFLICT' } });
    queue.again(1, true);
    expect(started[1]).toMatchObject({ path: 'a', overwrite: true });
    started[1]?.hooks.done();
    queue.clear();
    expect(queue.all()).toEqual([]);
  });
});
