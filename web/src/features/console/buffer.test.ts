import { describe, expect, it } from 'vitest';
import { FrameBuffer, scrollback } from './buffer';

function setup() {
  const frames: (() => void)[] = [];
  const written: string[] = [];
  let skipped = 0;
  const buffer = new FrameBuffer({ write: (text) => written.push(text), skipped: (count) => (skipped += count) }, (run) => frames.push(run));
  return { buffer, frames, written, skipped: () => skipped };
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

  it('come in bounded pieces', () => {
    const { buffer, frames, written } = setup();
    const line = `${'x'.repeat(99)}\n`;
    buffer.add(Array.from({ length: 5000 }, () => line));
    while (frames.length > 0) frames.shift()?.();
    expect(written.join('')).toBe(line.repeat(5000));
    expect(Math.max(...written.map((each) => each.length))).toBeLessThan(70_000);
  });

  it('are made only when they are written', () => {
    const { buffer, frames, written } = setup();
    let made = 0;
    buffer.add(Array.from({ length: 50_000 }, (_, n) => () => {
      made++;
      return `${n}\n`;
    }));
    expect(made).toBe(0);
    while (frames.length > 0) frames.shift()?.();
    expect(made).toBe(scrollback);
    expect(written.join('').endsWith('49999\n')).toBe(true);
  });

  it('are left out when they would have scrolled away', () => {
    const { buffer, frames, written, skipped } = setup();
    buffer.add(Array.from({ length: 50_000 }, (_, n) => `${n}\n`));
    while (frames.length > 0) frames.shift()?.();
    expect(skipped()).toBe(50_000 - scrollback);
    expect(written.join('').startsWith(`${50_000 - scrollback}\n`)).toBe(true);
    expect(written.join('').endsWith('49999\n')).toBe(true);
  });
});
