import { afterEach, expect, it, vi } from 'vitest';
import { ended, follow, linesMost, withLine } from './follow';

const line = (seq: number) => ({ seq, at: '2026-01-01T00:00:00Z', text: `line ${seq}` });

it('takes each line once', () => {
  const two = withLine(withLine([], line(1)), line(2));
  expect(two.map((l) => l.seq)).toEqual([1, 2]);
  expect(withLine(two, line(2))).toBe(two);
  expect(withLine(two, line(1))).toBe(two);
});

it('keeps the newest lines of a long log', () => {
  let lines: ReturnType<typeof line>[] = [];
  for (let n = 1; n <= linesMost + 5; n++) lines = withLine(lines, line(n));
  expect(lines).toHaveLength(linesMost);
  expect(lines[0]?.seq).toBe(6);
});

it('knows the last states', () => {
  expect(['queued', 'waiting', 'running'].some(ended)).toBe(false);
  expect(['succeeded', 'failed', 'cancelled'].every(ended)).toBe(true);
});

class Source extends EventTarget {
  static CLOSED = 2;
  static all: Source[] = [];
  readyState = 0;
  constructor(readonly url: string) {
    super();
    Source.all.push(this);
  }
  close() {
    this.readyState = 2;
  }
  say(type: string, data: unknown) {
    this.dispatchEvent(new MessageEvent(type, { data: JSON.stringify(data) }));
  }
  fail(readyState: number) {
    this.readyState = readyState;
    this.dispatchEvent(new Event('error'));
  }
}

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  Source.all = [];
});

it('comes back where the browser gave up, and nowhere else', () => {
  vi.useFakeTimers();
  vi.stubGlobal('EventSource', Source);
  const heard: string[] = [];
  const stop = follow('/stream', { job: (job) => heard.push(job.state), line: (each) => heard.push(each.text) });
  Source.all[0]?.fail(0); // the browser tries again by itself
  vi.runAllTimers();
  expect(Source.all).toHaveLength(1);
  Source.all[0]?.fail(2); // it was answered by something that is no stream
  vi.runAllTimers();
  expect(Source.all).toHaveLength(2);
  Source.all[1]?.say('line', line(1));
  Source.all[1]?.say('job', { state: 'succeeded' });
  expect(heard).toEqual(['line 1', 'succeeded']);
  expect(Source.all[1]?.readyState).toBe(2);
  vi.runAllTimers();
  expect(Source.all).toHaveLength(2);
  stop();
});

it('does not come back once it is stopped', () => {
  vi.useFakeTimers();
  vi.stubGlobal('EventSource', Source);
  const stop = follow('/stream', { job: () => undefined, line: () => undefined });
  Source.all[0]?.fail(2);
  stop();
  vi.runAllTimers();
  expect(Source.all).toHaveLength(1);
});
