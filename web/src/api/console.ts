// An instance's console over its WebSocket: see controller/console. It comes
// back by itself and goes on behind the last line that it has.
import { ApiError } from './client';
import { backoff, socketAddress } from './live';

export interface ConsoleLine {
  seq: number;
  at: string;
  source: string;
  text: string;
  /** The next line goes on with it. */
  part?: boolean;
}

/** How the instance stands, as the console tells it. */
export interface ConsoleState {
  status?: string;
  node: 'online' | 'offline';
  message?: string;
  exit_code?: number;
  retry_at?: string;
  crashes?: number;
  gave_up?: boolean;
}

export type ConsolePhase = 'connecting' | 'open' | 'closed';

/** What a console tells its page. */
export interface ConsoleSink {
  /** Numbers begin anew: what is shown is of an older record. */
  record: () => void;
  lines: (lines: ConsoleLine[]) => void;
  missed: (from: number, to: number) => void;
  tail: (text: string) => void;
  state: (state: ConsoleState) => void;
  /** closed is the end: with the controller's reason. */
  phase: (phase: ConsolePhase, reason: string) => void;
}

export type Verb = 'start' | 'stop' | 'restart' | 'kill';

interface Message {
  type: string;
  ref?: string;
  record?: string;
  lines?: ConsoleLine[];
  from?: number;
  to?: number;
  text?: string;
  job?: string;
  code?: string;
  message?: string;
}

interface Waiting {
  done: (job: string) => void;
  fail: (error: ApiError) => void;
}

// Not good any more, no right, gone: another try would get the same answer.
const final = new Set([4001, 4003, 4004]);

export class ConsoleSocket {
  private socket: WebSocket | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private tries = 0;
  private last = 0;
  private record = '';
  private reason = '';
  private refs = 0;
  private ended = false;
  private dimensions: { rows: number; columns: number } | undefined;
  private readonly waiting = new Map<string, Waiting>();
  private readonly path: string;
  private readonly sink: ConsoleSink;
  private readonly make: (address: string) => WebSocket;

  constructor(instance: string, sink: ConsoleSink, make: (address: string) => WebSocket = (address) => new WebSocket(address)) {
    this.path = `/api/v1/instances/${encodeURIComponent(instance)}/console`;
    this.sink = sink;
    this.make = make;
  }

  open(): void {
    this.ended = false;
    this.connect();
  }

  close(): void {
    this.ended = true;
    clearTimeout(this.timer);
    this.socket?.close(1000);
    this.socket = undefined;
    this.dropWaiting();
  }

  /** One line for its input. An error of code UNCERTAIN may have reached it. */
  command(text: string): Promise<string> {
    return this.ask({ type: 'command', command: text });
  }

  /** A power order; the answer is the id of its job. */
  power(verb: Verb): Promise<string> {
    return this.ask({ type: 'power', verb });
  }

  size(rows: number, columns: number): void {
    if (this.dimensions?.rows === rows && this.dimensions.columns === columns) return;
    this.dimensions = { rows, columns };
    this.tellSize();
  }

  private tellSize(): void {
    if (this.dimensions && this.socket?.readyState === 1) this.socket.send(JSON.stringify({ type: 'size', ...this.dimensions }));
  }

  private ask(message: Record<string, unknown>): Promise<string> {
    const socket = this.socket;
    if (socket?.readyState !== 1) return Promise.reject(new ApiError(0, 'UNREACHABLE', ''));
    const ref = String(++this.refs);
    return new Promise((done, fail) => {
      this.waiting.set(ref, { done, fail });
      socket.send(JSON.stringify({ ...message, ref }));
    });
  }

  private connect(): void {
    this.sink.phase('connecting', this.reason);
    const from = this.record ? `?after=${this.last}&record=${encodeURIComponent(this.record)}` : '';
    const socket = this.make(socketAddress(this.path + from));
    this.socket = socket;
    let opened = false;
    socket.onopen = () => {
      opened = true;
      this.reason = '';
      this.sink.phase('open', '');
      this.tellSize();
    };
    socket.onmessage = (m) => this.receive(String(m.data));
    socket.onclose = (e) => {
      if (this.socket !== socket) return;
      this.socket = undefined;
      this.dropWaiting();
      if (this.ended) return;
      if (final.has(e.code)) {
        this.sink.phase('closed', this.reason);
        return;
      }
      if (opened && e.code !== 1011) this.tries = 0;
      this.sink.phase('connecting', this.reason);
      this.timer = setTimeout(() => this.connect(), backoff(this.tries++));
    };
  }

  private receive(text: string): void {
    let m: Message;
    try {
      m = JSON.parse(text) as Message;
    } catch {
      return;
    }
    switch (m.type) {
      case 'record':
        // The first one of a new record, or the same one after a break.
        if (m.record && m.record !== this.record) {
          if (this.record) this.sink.record();
          this.record = m.record;
          this.last = 0;
        }
        break;
      case 'lines':
        this.take(m.lines ?? []);
        break;
      case 'missed':
        this.last = Math.max(this.last, m.to ?? 0);
        this.sink.missed(m.from ?? 0, m.to ?? 0);
        break;
      case 'tail':
        this.sink.tail(m.text ?? '');
        break;
      case 'state':
        this.sink.state(m as unknown as ConsoleState);
        break;
      case 'done':
        this.answer(m.ref)?.done(m.job ?? '');
        break;
      case 'error':
        this.answer(m.ref)?.fail(new ApiError(400, m.code ?? '', m.message ?? ''));
        break;
      case 'closing':
        this.reason = m.message ?? '';
        break;
    }
  }

  // Each line once, whatever is sent again.
  private take(lines: ConsoleLine[]): void {
    const fresh = lines.filter((line) => line.seq > this.last);
    const newest = fresh.at(-1);
    if (!newest) return;
    this.last = newest.seq;
    this.sink.lines(fresh);
  }

  private answer(ref: string | undefined): Waiting | undefined {
    const found = this.waiting.get(ref ?? '');
    if (found) this.waiting.delete(ref ?? '');
    return found;
  }

  private dropWaiting(): void {
    for (const each of this.waiting.values()) each.fail(new ApiError(0, 'UNREACHABLE', ''));
    this.waiting.clear();
  }
}
