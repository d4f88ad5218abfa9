import { afterEach, expect, it, vi } from 'vitest';
import { copyText } from './copy';

afterEach(() => {
  vi.unstubAllGlobals();
  Reflect.deleteProperty(document, 'execCommand');
});

function browser(copies: boolean): string[] {
  const taken: string[] = [];
  vi.stubGlobal('navigator', {});
  Object.assign(document, {
    execCommand: (what: string) => {
      const area = document.activeElement as HTMLTextAreaElement;
      if (copies && what === 'copy') taken.push(area.value.slice(area.selectionStart, area.selectionEnd));
      return copies;
    },
  });
  return taken;
}

it('copies where pages have no clipboard, and gives the focus back', async () => {
  const taken = browser(true);
  const button = document.createElement('button');
  document.body.append(button);
  button.focus();
  await copyText('a key\nof two lines');
  expect(taken).toEqual(['a key\nof two lines']);
  expect(document.querySelector('textarea')).toBeNull();
  expect(document.activeElement).toBe(button);
  button.remove();
});

it('says when nothing was copied', async () => {
  browser(false);
  await expect(copyText('x')).rejects.toThrow();
  expect(document.querySelector('textarea')).toBeNull();
});

it('uses the clipboard where there is one', async () => {
  const writeText = vi.fn(() => Promise.resolve());
  vi.stubGlobal('navigator', { clipboard: { writeText } });
  await copyText('x');
  expect(writeText).toHaveBeenCalledWith('x');
});
