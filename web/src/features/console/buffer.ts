// What stands between the console's socket and the terminal: lines are gathered
// and written once a frame, a bounded piece at a time, so that a burst never
// holds the page up. What would have scrolled out of sight anyway is left out, before
// anything is made of it.

/** A line with its end, or what makes it once it is to be seen. */
export type Written = string | (() => string);

/** Rows that can be scrolled back to. */
export const scrollback = 10_000;

/** Characters that one frame writes, and that go in one piece: between two pieces the terminal lets the page breathe. */
const perFrame = 32 * 1024;
const perPiece = 4 * 1024;

export interface Out {
  /** done is called when it is in the terminal: before, nothing more comes. */
  write: (text: string, done: () => void) => void;
  /** So many lines were left out. */
  skipped: (count: number) => void;
}

export class FrameBuffer {
  private queue: Written[] = [];
  private head = 0;
  private scheduled = false;
  private under = 0; // pieces on their way into the terminal
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
    if (this.scheduled || this.under > 0 || this.waiting === 0) return;
    this.scheduled = true;
    this.frame(() => {
      this.scheduled = false;
      this.flush();
    });
  }

  private flush(): void {
    const pieces: string[] = [];
    for (let left = perFrame; left > 0 && this.waiting > 0; ) {
      const text = this.piece(Math.min(left, perPiece));
      left -= text.length;
      pieces.push(text);
    }
    this.under += pieces.length;
    for (const text of pieces) {
      this.out.write(text, () => {
        this.under--;
        this.schedule();
      });
    }
  }

  private piece(most: number): string {
    let text = '';
    while (this.head < this.queue.length && text.length < most) text += made(this.queue[this.head++] ?? '');
    if (this.head === this.queue.length) this.clear();
    return text;
  }
}

/** The line itself. */
export function made(line: Written): string {
  return typeof line === 'string' ? line : line();
}
