import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { backoff, Live } from './live';

class FakeSocket {
  static made: FakeSocket[] = [];
  readyState = 0;
  sent: unknown[] = [];
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onmessage: ((m: { data: string }) => void) | null = null;
  readonly after: number;
  constructor(after: number) {
    this.after = after;
    FakeSocket.made.push(this);
  }
  send(text: string) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.readyState = 3;
    this.onclose?.();
  }
  opens() {
    this.readyState = 1;
    this.onopen?.();
  }
  says(message: unknown) {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
}

const event = (id: number) => ({ type: 'event', event: { id, type: 'instance.started', at: '', actor: {}, data: {} } });
const last = () => {
  const socket = FakeSocket.made.at(-1);
  if (!socket) throw new Error('no socket was made');
  return socket;
};
const microtasks = () => vi.advanceTimersByTimeAsync(0);

describe('the live socket', () => {
  let live: Live;
  beforeEach(() => {
    vi.useFakeTimers();
    FakeSocket.made = [];
    live = new Live((after) => new FakeSocket(after) as unknown as WebSocket);
  });
  afterEach(() => {
    live.stop();
    vi.useRealTimers();
  });

  it('begins behind what the page began with', () => {
    const seen: number[] = [];
    live.onEvent((e) => seen.push(e.id));
    live.onBehind(() => seen.push(-1));
    live.start(7);
    expect(last().after).toBe(7);
    last().opens();
    last().says({ type: 'hello', after: 7 });
    last().says(event(8));
    expect(seen).toEqual([8]);
  });

  it('goes on behind the last fact after a break, and tells none twice', async () => {
    const seen: number[] = [];
    live.onEvent((e) => seen.push(e.id));
    live.start(0);
    last().opens();
    last().says({ type: 'hello', after: 4 });
    last().says(event(5));
    last().says({ type: 'beat', after: 9 });
    last().close();
    expect(live.state).toBe('connecting');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(last().after).toBe(9);
    last().opens();
    last().says(event(9));
    last().says(event(10));
    expect(seen).toEqual([5, 10]);
    expect(live.state).toBe('open');
  });

  it('asks for what is looked at in one message, and again after a break', async () => {
    live.start(0);
    last().opens();
    await microtasks();
    last().sent = [];
    const stops = ['a', 'b', 'c'].map((id) => live.watch('instances', id, () => {}));
    live.watch('nodes', 'n', () => {});
    await microtasks();
    expect(last().sent).toEqual([{ type: 'watch', instances: ['a', 'b', 'c'], nodes: ['n'] }]);
    stops[1]?.();
    await microtasks();
    expect(last().sent.at(-1)).toEqual({ type: 'watch', instances: ['a', 'c'], nodes: ['n'] });
    last().close();
    await vi.advanceTimersByTimeAsync(60_000);
    last().opens();
    await microtasks();
    expect(last().sent).toEqual([{ type: 'watch', instances: ['a', 'c'], nodes: ['n'] }]);
  });

  it('hands figures to who looks at that thing only', () => {
    const a = vi.fn();
    const b = vi.fn();
    live.start(0);
    live.watch('instances', 'a', a);
    live.watch('instances', 'b', b);
    last().opens();
    last().says({ type: 'stats', instance_id: 'a', cpu: 1 });
    expect(a).toHaveBeenCalledOnce();
    expect(b).not.toHaveBeenCalled();
  });

  it('says that facts were missed', () => {
    const behind = vi.fn();
    live.onBehind(behind);
    live.start(0);
    last().opens();
    last().says({ type: 'behind', after: 900 });
    expect(behind).toHaveBeenCalledOnce();
  });

  it('hears the facts of a log that was put back, whose numbers begin lower', async () => {
    const behind = vi.fn();
    const seen: number[] = [];
    live.onBehind(behind);
    live.onEvent((e) => seen.push(e.id));
    live.start(0);
    last().opens();
    last().says({ type: 'hello', after: 900 });
    expect(behind).not.toHaveBeenCalled();
    last().close();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(last().after).toBe(900);
    last().opens();
    last().says({ type: 'hello', after: 12 });
    expect(behind).toHaveBeenCalled();
    last().says({ type: 'behind', after: 12 });
    last().says(event(13));
    expect(seen).toEqual([13]);
    last().close();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(last().after).toBe(13);
  });

  it('stays away when the session has ended', async () => {
    live.start(0);
    last().opens();
    last().says({ type: 'closing', code: 'UNAUTHORIZED', message: 'logged out' });
    last().close();
    await vi.advanceTimersByTimeAsync(120_000);
    expect(FakeSocket.made).toHaveLength(1);
    expect(live.state).toBe('ended');
  });

  it('comes back after any other end', async () => {
    live.start(0);
    last().opens();
    last().says({ type: 'closing', code: 'INTERNAL_ERROR', message: 'the controller stops' });
    last().close();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(FakeSocket.made).toHaveLength(2);
  });

  it('waits longer each time, at most half a minute', () => {
    expect(backoff(0, () => 1)).toBe(500);
    expect(backoff(3, () => 1)).toBe(4000);
    expect(backoff(50, () => 1)).toBe(30_000);
    expect(backoff(50, () => 0)).toBe(15_000);
  });
});
