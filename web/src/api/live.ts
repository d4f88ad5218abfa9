// What the controller tells by itself, over one WebSocket for the whole page:
// events, and figures of the things that are being looked at. It comes back by
// itself after a break and goes on behind the last event that it has.
import { useEffect, useSyncExternalStore } from 'react';
import type { View } from './client';

export type LiveEvent = View<'EventView'>;

/** Figures of an instance or a node, as /stats gives them; one each second. */
export interface LiveStats {
  type: 'stats';
  instance_id?: string;
  node_id?: string;
  [figure: string]: unknown;
}

/** connecting: not yet, or again; open: all that is shown is of now; ended: the session has. */
export type LiveState = 'connecting' | 'open' | 'ended';

interface Message {
  type: string;
  event?: LiveEvent;
  /** The number of the last fact that was told or passed over. */
  after?: number;
  code?: string;
  [more: string]: unknown;
}

type Sink<T> = (value: T) => void;

/** How long to wait before another try: doubles to half a minute, and is never the same for all pages. */
export function backoff(tries: number, random: () => number = Math.random): number {
  const most = Math.min(30_000, 500 * 2 ** tries);
  return most / 2 + (most / 2) * random();
}

export class Live {
  private socket: WebSocket | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private tries = 0;
  private last = 0;
  private wanted = false;
  private current: LiveState = 'connecting';
  private readonly events = new Set<Sink<LiveEvent>>();
  private readonly behind = new Set<() => void>();
  private readonly states = new Set<() => void>();
  private readonly watched = { instances: new Map<string, Set<Sink<LiveStats>>>(), nodes: new Map<string, Set<Sink<LiveStats>>>() };
  private asked = false;
  private readonly open: (after: number) => WebSocket;

  /** `open` makes a socket that tells what came after a fact; after 0: from now on. */
  constructor(open: (after: number) => WebSocket) {
    this.open = open;
  }

  get state(): LiveState {
    return this.current;
  }

  /** `after` is a fact from before whatever is shown was asked for; 0: none is known. */
  start(after: number): void {
    if (this.wanted) return;
    this.wanted = true;
    this.last = after;
    this.connect();
  }

  stop(): void {
    this.wanted = false;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.socket?.close(1000);
    this.socket = undefined;
    this.last = 0;
    this.tries = 0;
    this.move('connecting');
  }

  /** Every event that the user may see, in order. The answer ends it. */
  onEvent(sink: Sink<LiveEvent>): () => void {
    this.events.add(sink);
    return () => this.events.delete(sink);
  }

  /** Called when events were missed: what is shown has to be asked for again. */
  onBehind(run: () => void): () => void {
    this.behind.add(run);
    return () => this.behind.delete(run);
  }

  onState(run: () => void): () => void {
    this.states.add(run);
    return () => this.states.delete(run);
  }

  /** Figures of one instance or node, until the answer is called. */
  watch(kind: 'instances' | 'nodes', id: string, sink: Sink<LiveStats>): () => void {
    const table = this.watched[kind];
    const sinks = table.get(id) ?? new Set();
    sinks.add(sink);
    table.set(id, sinks);
    this.ask();
    return () => {
      sinks.delete(sink);
      if (sinks.size === 0 && table.get(id) === sinks) table.delete(id);
      this.ask();
    };
  }

  private connect(): void {
    if (!this.wanted) return;
    const socket = this.open(this.last);
    this.socket = socket;
    socket.onopen = () => {
      this.tries = 0;
      this.move('open');
      this.ask();
    };
    socket.onmessage = (m) => this.receive(String(m.data));
    socket.onclose = () => {
      if (this.socket !== socket) return;
      this.socket = undefined;
      if (!this.wanted || this.current === 'ended') return;
      this.move('connecting');
      this.timer = setTimeout(() => this.connect(), backoff(this.tries++));
    };
  }

  private receive(text: string): void {
    let message: Message;
    try {
      message = JSON.parse(text) as Message;
    } catch {
      return;
    }
    if (message.type === 'event' && message.event) {
      if (message.event.id <= this.last) return;
      this.last = message.event.id;
      for (const sink of this.events) sink(message.event);
    } else if (message.type === 'stats') {
      const stats = message as unknown as LiveStats;
      const sinks = stats.instance_id ? this.watched.instances.get(stats.instance_id) : this.watched.nodes.get(stats.node_id ?? '');
      sinks?.forEach((sink) => sink(stats));
    } else if (message.type === 'behind') {
      this.last = message.after ?? this.last;
      this.behind.forEach((run) => run());
    } else if (message.type === 'hello') {
      // A log that ends before what the page has is another one: a backup was put
      // back. Its facts count from where it ends, or the page would pass them over.
      const other = (message.after ?? 0) < this.last;
      this.last = message.after ?? 0;
      if (other) this.behind.forEach((run) => run());
    } else if (message.type === 'beat') {
      this.last = Math.max(this.last, message.after ?? 0);
    } else if (message.type === 'closing' && (message.code === 'UNAUTHORIZED' || message.code === 'FORBIDDEN')) {
      this.move('ended');
    }
  }

  // One message for all that changed within a turn: a list asks for each row.
  private ask(): void {
    if (this.asked) return;
    this.asked = true;
    queueMicrotask(() => {
      this.asked = false;
      if (this.socket?.readyState !== 1) return;
      const { instances, nodes } = this.watched;
      this.socket.send(JSON.stringify({ type: 'watch', instances: [...instances.keys()], nodes: [...nodes.keys()] }));
    });
  }

  private move(to: LiveState): void {
    if (this.current === to) return;
    this.current = to;
    this.states.forEach((run) => run());
  }
}

/** The address of a WebSocket of this very controller. */
export function socketAddress(path: string): string {
  const { protocol, host } = window.location;
  return `${protocol === 'https:' ? 'wss' : 'ws'}://${host}${path}`;
}

export const live = new Live((after) => new WebSocket(socketAddress(`/api/v1/live${after > 0 ? `?after=${after}` : ''}`)));

export function useLiveState(): LiveState {
  return useSyncExternalStore(
    (run) => live.onState(run),
    () => live.state,
  );
}

/** Figures of one thing for as long as the component is shown. */
export function useLiveStats(kind: 'instances' | 'nodes', id: string | undefined, sink: Sink<LiveStats>): void {
  useEffect(() => (id ? live.watch(kind, id, sink) : undefined), [kind, id, sink]);
}
