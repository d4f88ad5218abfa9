import { describe, expect, it } from 'vitest';
import { harmless } from './escape';

describe('what a container prints', () => {
  it.each([
    ['plain text stays', 'hello <b>&amp; ünïcode', 'hello <b>&amp; ünïcode'],
    ['colours stay', '\x1b[1;31mred\x1b[0m', '\x1b[1;31mred\x1b[0m'],
    ['true colour stays', '\x1b[38;2;1;2;3mx', '\x1b[38;2;1;2;3mx'],
    ['a title does nothing', '\x1b]0;owned\x07x', 'x'],
    ['a link is its text', '\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\', 'click'],
    ['the clipboard is left alone', 'a\x1b]52;c;ZXZpbA==\x07b', 'ab'],
    ['one that never ends takes the line only', 'a\x1b]0;endless', 'a'],
    ['a device control string', 'a\x1bP$qm\x1b\\b', 'ab'],
    ['clearing the screen', 'a\x1b[2J\x1b[Hb', 'ab'],
    ['asking the terminal to answer', 'a\x1b[6n\x1b[cb', 'ab'],
    ['private modes', 'a\x1b[?1049h\x1b[?25lb', 'ab'],
    ['a full reset', 'a\x1bcb', 'ab'],
    ['the bell', 'a\x07b', 'ab'],
    ['eight-bit controls', 'a\x9b2Jb\x9d0;t\x9cc', 'abc'],
    ['a style with a prefix is none', 'a\x1b[>4;1mb', 'ab'],
    ['an escape at the end', 'a\x1b', 'a'],
    ['tabs stay', 'a\tb', 'a\tb'],
    ['what was overwritten is gone', '10%\r50%\r100%\r', '100%'],
  ])('%s', (_, given, wanted) => {
    expect(harmless(given)).toBe(wanted);
  });
});
