import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ConsoleSocket, type ConsoleLine } from './console';

class FakeSocket {
  readyState = 1;
  sent: Record<string, unknown>[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((m: { data: string }) => void) | null = null;
  onclose: ((e: { code: number }) => void) | null = null;
  readonly address: string;

  constructor(address: string) {
    this.address = address;
  }

  send(text: string) {
    this.sent.push(JSON.parse(text) as Record<string, unknown>);
  }

  close() {
    this.readyState = 3;
  }

  tell(message: unknown) {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  cut(code: number) {
    this.readyState = 3;
    this.onclose?.({ code });
  }
}

const line = (seq: number): ConsoleLine => ({ seq, at: '', source: 'out', text: `${seq}` });

function setup() {
  const sockets: FakeSocket[] = [];
  const seen = { lines: [] as number[], missed: [] as number[][], records: 0, phases: [] as string[] };
  const console = new ConsoleSocket(
    'abc',
    {
      record: () => seen.records++,
      lines: (lines) => seen.lines.push(...lines.map((each) => each.seq)),
      missed: (from, to) => seen.missed.push([from, to]),
      tail: () => {},
      state: () => {},
      phase: (phase, reason) => seen.phases.push(reason ? `${phase}: ${reason}` : phase),
    },
    (address) => {
      const socket = new FakeSocket(address);
      sockets.push(socket);
      return socket as unknown as WebSocket;
    },
  );
  console.open();
  const at = (n: number) => {
    const socket = sockets[n];
    if (!socket) throw new Error(`no socket ${n}`);
    return socket;
  };
  return { console, sockets, seen, at };
}

describe('a console', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('goes on behind the last line after a break, each line once', () => {
    const { seen, at, sockets } = setup();
    at(0).onopen?.();
    at(0).tell({ type: 'record', record: 'r' });
    at(0).tell({ type: 'lines', lines: [line(1), line(2)] });
    at(0).cut(1006);
    vi.runOnlyPendingTimers();
    expect(sockets).toHaveLength(2);
    expect(at(1).address).toContain('?after=2&record=r');
    at(1).tell({ type: 'record', record: 'r' });
    at(1).tell({ type: 'lines', lines: [line(2), line(3)] });
    expect(seen.lines).toEqual([1, 2, 3]);
    expect(seen.records).toBe(0);
  });

  it('begins anew with another record, and knows what was missed', () => {
    const { seen, at } = setup();
    at(0).tell({ type: 'record', record: 'r' });
    at(0).tell({ type: 'lines', lines: [line(9)] });
    at(0).tell({ type: 'missed', from: 10, to: 20 });
    at(0).tell({ type: 'record', record: 's' });
    at(0).tell({ type: 'lines', lines: [line(1)] });
    expect(seen).toMatchObject({ lines: [9, 1], missed: [[10, 20]], records: 1 });
  });

  it('ends with the reason when the right has, and does not come back', () => {
    const { seen, at, sockets } = setup();
    at(0).tell({ type: 'closing', code: 'FORBIDDEN', message: 'not any more' });
    at(0).cut(4003);
    vi.runAllTimers();
    expect(sockets).toHaveLength(1);
    expect(seen.phases.at(-1)).toBe('closed: not any more');
  });

  it('answers each command by its own reference', async () => {
    const { console, at } = setup();
    const first = console.command('a');
    const second = console.power('stop');
    const [a, b] = at(0).sent;
    at(0).tell({ type: 'error', ref: a?.ref, code: 'CONFLICT', message: 'not now' });
    at(0).tell({ type: 'done', ref: b?.ref, job: 'j' });
    await expect(first).rejects.toMatchObject({ code: 'CONFLICT', message: 'not now' });
    await expect(second).resolves.toBe('j');
  });

  it('fails a command that was under way when the connection broke', async () => {
    const { console, at } = setup();
    const sent = console.command('a');
    at(0).cut(1006);
    await expect(sent).rejects.toMatchObject({ code: 'UNREACHABLE' });
    console.close();
    await expect(console.command('b')).rejects.toMatchObject({ code: 'UNREACHABLE' });
  });
});
