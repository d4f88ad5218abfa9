// What a container prints is hostile. Colours and styles are let through; all
// that does something else (titles, links, the clipboard, moving the cursor,
// asking the terminal to answer) is taken out before the terminal sees it.

/* eslint-disable no-control-regex -- that is what this is about */
// OSC, DCS, SOS, PM and APC with what is in them; CSI; every other escape, to its last byte.
const sequence =
  /(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|$)?|(?:\x1b\[|\x9b)([0-?]*)([ -/]*)([@-~]?)|\x1b[ -/]*[0-~]?/g;
const rest = /[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f\x80-\x9f]/g; // the bell and the like; tab, newline, return and escape stay
const colour = /^[0-9;:]*$/;

/** A line with nothing in it but text, colours and styles. */
export function harmless(text: string): string {
  if (!/[\x00-\x1f\x7f-\x9f]/.test(text)) return text;
  const kept = text.replace(sequence, (_, params?: string, between?: string, final?: string) =>
    final === 'm' && between === '' && colour.test(params ?? '') ? `\x1b[${params}m` : '',
  );
  return lastReturn(kept.replace(rest, ''));
}

// A line that returned to its beginning shows what was written last: progress bars.
function lastReturn(text: string): string {
  const trimmed = text.replace(/\r+$/, '');
  const at = trimmed.lastIndexOf('\r');
  return at < 0 ? trimmed : trimmed.slice(at + 1);
}
