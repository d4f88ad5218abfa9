// Uploads under way: two at a time, each with its progress. They go on while one
// walks through folders, and end with the page.
import type { ApiError } from '@/api';

export type UploadState = 'waiting' | 'sending' | 'done' | 'failed' | 'cancelled';

export interface UploadItem {
  id: number;
  /** As calls take it. */
  path: string;
  name: string;
  size: number;
  sent: number;
  state: UploadState;
  error?: ApiError;
}

export interface Sender {
  (file: File, path: string, overwrite: boolean, hooks: { progress: (sent: number) => void; done: () => void; fail: (error: ApiError) => void }): { cancel: () => void };
}

const atOnce = 2;

export class UploadQueue {
  private items: readonly UploadItem[] = [];
  private readonly files = new Map<number, { file: File; overwrite: boolean }>();
  private readonly running = new Map<number, { cancel: () => void }>();
  private readonly readers = new Set<() => void>();
  private next = 1;
  private readonly send: Sender;
  private readonly arrivals = new Set<() => void>();

  constructor(send: Sender) {
    this.send = send;
  }

  all = (): readonly UploadItem[] => this.items;

  subscribe = (run: () => void): (() => void) => {
    this.readers.add(run);
    return () => this.readers.delete(run);
  };

  /** Calls it when one has arrived, until the answer is called. */
  whenDone(run: () => void): () => void {
    this.arrivals.add(run);
    return () => this.arrivals.delete(run);
  }

  get busy(): boolean {
    return this.items.some((each) => each.state === 'waiting' || each.state === 'sending');
  }

  add(files: readonly { file: File; path: string }[], overwrite = false): void {
    const fresh = files.map(({ file, path }): UploadItem => {
      const id = this.next++;
      this.files.set(id, { file, overwrite });
      return { id, path, name: path, size: file.size, sent: 0, state: 'waiting' };
    });
    this.set([...this.items, ...fresh]);
    this.pump();
  }

  /** Once more; over what is there if that was in the way. */
  again(id: number, overwrite: boolean): void {
    const held = this.files.get(id);
    if (!held) return;
    this.files.set(id, { ...held, overwrite });
    this.change(id, { state: 'waiting', sent: 0 });
    this.pump();
  }

  cancel(id: number): void {
    this.running.get(id)?.cancel();
    this.running.delete(id);
    this.change(id, { state: 'cancelled' });
    this.pump();
  }

  cancelAll(): void {
    for (const each of this.items) if (each.state === 'waiting' || each.state === 'sending') this.cancel(each.id);
  }

  /** Forgets those that have come to an end. */
  clear(): void {
    const kept = this.items.filter((each) => each.state === 'waiting' || each.state === 'sending');
    for (const each of this.items) if (!kept.includes(each)) this.files.delete(each.id);
    this.set(kept);
  }

  private pump(): void {
    for (const each of this.items) {
      if (this.running.size >= atOnce) return;
      if (each.state !== 'waiting') continue;
      this.begin(each.id);
    }
  }

  private begin(id: number): void {
    const held = this.files.get(id);
    const item = this.items.find((each) => each.id === id);
    if (!held || !item) return;
    this.change(id, { state: 'sending' });
    const ended = (with_: Partial<UploadItem>) => {
      if (!this.running.delete(id)) return;
      this.change(id, with_);
      this.pump();
    };
    // It is there before the sender may end it.
    this.running.set(id, { cancel: () => {} });
    const sending = this.send(held.file, item.path, held.overwrite, {
      progress: (sent) => {
        if (this.running.has(id)) this.change(id, { sent });
      },
      done: () => {
        ended({ state: 'done', sent: item.size });
        this.arrivals.forEach((run) => run());
      },
      fail: (error) => ended({ state: 'failed', error }),
    });
    if (this.running.has(id)) this.running.set(id, sending);
  }

  private change(id: number, to: Partial<UploadItem>): void {
    this.set(this.items.map((each) => (each.id === id ? { ...each, ...to } : each)));
  }

  private set(items: readonly UploadItem[]): void {
    this.items = items;
    this.readers.forEach((run) => run());
  }
}
