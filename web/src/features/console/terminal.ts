// The terminal that shows a console: xterm, which only ever shows. Nothing that
// is typed into it goes anywhere; commands have their own field.
import '@xterm/xterm/css/xterm.css';
import { FitAddon } from '@xterm/addon-fit';
import { SearchAddon } from '@xterm/addon-search';
import { Terminal, type ITheme } from '@xterm/xterm';
import { FrameBuffer, scrollback, type Written } from './buffer';

function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function colours(): ITheme {
  const dark = document.documentElement.dataset.mantineColorScheme === 'dark';
  const [good, warn, bad, accent] = ['--good', '--warn', '--bad', '--accent'].map(token);
  return {
    background: token('--surface'),
    foreground: token('--ink'),
    cursor: token('--surface'),
    cursorAccent: token('--surface'),
    selectionBackground: dark ? '#2f5a75' : '#b9dcee',
    black: dark ? '#5f6d78' : '#17212a',
    red: bad,
    green: good,
    yellow: warn,
    blue: accent,
    magenta: token('--chart-4'),
    cyan: dark ? '#5cc8c0' : '#0f6f73',
    white: token('--ink-2'),
    brightBlack: token('--ink-3'),
    brightRed: bad,
    brightGreen: good,
    brightYellow: warn,
    brightBlue: accent,
    brightMagenta: token('--chart-4'),
    brightCyan: dark ? '#83d8d2' : '#0b585b',
    brightWhite: token('--ink'),
  };
}

export interface Screen {
  /** Lines, in their order. */
  add: (lines: readonly Written[]) => void;
  /** Replaces the line that isn't ended yet. */
  tail: (text: string) => void;
  clear: () => void;
  find: (text: string, back: boolean) => boolean;
  endFind: () => void;
  selection: () => string;
  toEnd: () => void;
  dispose: () => void;
}

interface Hooks {
  size: (rows: number, columns: number) => void;
  skipped: (count: number) => void;
  /** Whether the newest line is in sight. */
  following: (now: boolean) => void;
  /** Ctrl and F. */
  search: () => void;
}

export function openScreen(host: HTMLElement, label: string, hooks: Hooks): Screen {
  const term = new Terminal({
    scrollback,
    disableStdin: true,
    convertEol: true,
    cursorStyle: 'bar',
    cursorInactiveStyle: 'none',
    fontFamily: token('--font-mono'),
    fontSize: 13,
    lineHeight: 1.25,
    linkHandler: null,
    minimumContrastRatio: 4.5,
    screenReaderMode: false,
    theme: colours(),
    allowProposedApi: true,
    windowOptions: {},
  });
  const fit = new FitAddon();
  const search = new SearchAddon();
  term.loadAddon(fit);
  term.loadAddon(search);
  term.open(host);
  term.textarea?.setAttribute('aria-label', label);
  term.textarea?.setAttribute('readonly', '');
  // Nobody may change these by what is printed, whatever gets past harmless().
  for (const code of [0, 1, 2, 4, 8, 10, 11, 12, 52, 104, 110, 111, 112]) term.parser.registerOscHandler(code, () => true);
  term.attachCustomKeyEventHandler((e) => {
    if (e.type === 'keydown' && (e.ctrlKey || e.metaKey) && e.key.toLowerCase() === 'f') {
      e.preventDefault();
      hooks.search();
    }
    // Tab leaves it; Ctrl and C copies what is chosen.
    return false;
  });
  let following = true;
  const look = () => {
    const now = term.buffer.active.viewportY >= term.buffer.active.baseY;
    if (now !== following) hooks.following((following = now));
  };
  const scrolled = term.onScroll(look);
  host.addEventListener('wheel', () => requestAnimationFrame(look), { passive: true });
  const buffer = new FrameBuffer(
    {
      write: (text, done) =>
        term.write(text, () => {
          look();
          done();
        }),
      skipped: hooks.skipped,
    },
    (run) => requestAnimationFrame(run),
  );
  const resize = new ResizeObserver(() => {
    if (host.clientWidth === 0) return;
    fit.fit();
    hooks.size(term.rows, term.cols);
  });
  resize.observe(host);
  const scheme = new MutationObserver(() => (term.options.theme = colours()));
  scheme.observe(document.documentElement, { attributeFilter: ['data-mantine-color-scheme'] });
  const marks = () => ({ decorations: { matchOverviewRuler: '#8a5300', activeMatchColorOverviewRuler: '#b3261e', matchBackground: token('--warn-soft') || '#fcefd5' } });
  return {
    add: (lines) => buffer.add(lines),
    tail: (text) => buffer.add([`\r\x1b[2K${text}`]),
    clear: () => {
      buffer.clear();
      term.reset();
    },
    find: (text, back) => (back ? search.findPrevious(text, marks()) : search.findNext(text, { ...marks(), incremental: true })),
    endFind: () => search.clearDecorations(),
    selection: () => term.getSelection(),
    toEnd: () => term.scrollToBottom(),
    dispose: () => {
      resize.disconnect();
      scheme.disconnect();
      scrolled.dispose();
      buffer.clear();
      term.dispose();
    },
  };
}
