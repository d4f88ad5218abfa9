import { describe, expect, it } from 'vitest';
import { FrameBuffer, scrollback } from './buffer';

function setup() {
  const frames: (() => void)[] = [];
  const written: string[] = [];
  let skipped = 0;
  const under: (() => void)[] = [];
  const write = (text: string, done: () => void) => {
    written.push(text);
    under.push(done);
  };
  const buffer = new FrameBuffer({ write, skipped: (count) => (skipped += count) }, (run) => frames.push(run));
  /** The terminal has taken what was written. */
  const taken = () => under.splice(0).forEach((done) => done());
  const all = () => {
    while (frames.length > 0) {
      frames.shift()?.();
      taken();
    }
  };
  return { buffer, frames, written, taken, all, skipped: () => skipped };
}

describe('lines on their way to the terminal', () => {
  it('are written once a frame, in order', () => {
    const { buffer, frames, written } = setup();
    buffer.add(['a\n', 'b\n']);
    buffer.add(['c\n']);
    expect(written).toEqual([]);
    expect(frames).toHaveLength(1);
    frames.shift()?.();
    expect(written).toEqual(['a\nb\nc\n']);
    expect(frames).toHaveLength(0);
  });

  it('wait until the terminal has taken those before', () => {
    const { buffer, frames, written, taken } = setup();
    buffer.add(['a\n']);
    frames.shift()?.();
    buffer.add(['b\n']);
    expect(frames).toHaveLength(0);
    taken();
    expect(frames).toHaveLength(1);
    frames.shift()?.();
    expect(written).toEqual(['a\n', 'b\n']);
  });

  it('come in bounded pieces', () => {
    const { buffer, all, written } = setup();
    const line = `${'x'.repeat(99)}\n`;
    buffer.add(Array.from({ length: 5000 }, () => line));
    all();
    expect(written.join('')).toBe(line.repeat(5000));
    expect(Math.max(...written.map((each) => each.length))).toBeLessThan(5000);
  });

  it('are made only when they are written', () => {
    const { buffer, all, written } = setup();
    let made = 0;
    buffer.add(Array.from({ length: 50_000 }, (_, n) => () => {
      made++;
      return `${n}\n`;
    }));
    expect(made).toBe(0);
    all();
    expect(made).toBe(scrollback);
    expect(written.join('').endsWith('49999\n')).toBe(true);
  });

  it('are left out when they would have scrolled away', () => {
    const { buffer, all, written, skipped } = setup();
    buffer.add(Array.from({ length: 50_000 }, (_, n) => `${n}\n`));
    all();
    expect(skipped()).toBe(50_000 - scrollback);
    expect(written.join('').startsWith(`${50_000 - scrollback}\n`)).toBe(true);
    expect(written.join('').endsWith('49999\n')).toBe(true);
  });
});
