// What stands between the console's socket and the terminal: lines are gathered
// and written once a frame, a bounded piece at a time, so that a burst never
// holds the page up. What would have scrolled out of sight anyway is left out, before
// anything is made of it.

/** A line with its end, or what makes it once it is to be seen. */
export type Written = string | (() => string);

/** Rows that can be scrolled back to. */
export const scrollback = 10_000;

/** Characters that one frame writes. */
const perFrame = 32 * 1024;

export interface Out {
  write: (text: string) => void;
  /** So many lines were left out. */
  skipped: (count: number) => void;
}

export class FrameBuffer {
  private queue: Written[] = [];
  private head = 0;
  private scheduled = false;
  private readonly out: Out;
  private readonly frame: (run: () => void) => void;

  constructor(out: Out, frame: (run: () => void) => void) {
    this.out = out;
    this.frame = frame;
  }

  get waiting(): number {
    return this.queue.length - this.head;
  }

  add(lines: readonly Written[]): void {
    for (const line of lines) this.queue.push(line);
    const over = this.waiting - scrollback;
    if (over > 0) {
      this.head += over;
      this.out.skipped(over);
    }
    if (this.head > scrollback) {
      this.queue = this.queue.slice(this.head);
      this.head = 0;
    }
    this.schedule();
  }

  clear(): void {
    this.queue = [];
    this.head = 0;
  }

  private schedule(): void {
    if (this.scheduled || this.waiting === 0) return;
    this.scheduled = true;
    this.frame(() => {
      this.scheduled = false;
      this.flush();
      this.schedule();
    });
  }

  private flush(): void {
    let text = '';
    while (this.head < this.queue.length && text.length < perFrame) text += made(this.queue[this.head++] ?? '');
    if (this.head === this.queue.length) this.clear();
    if (text) this.out.write(text);
  }
}

/** The line itself. */
export function made(line: Written): string {
  return typeof line === 'string' ? line : line();
}
