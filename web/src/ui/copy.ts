/**
 * Puts a text into the clipboard. Without HTTPS browsers have none for pages;
 * selecting and copying still works there. Fails when nothing was copied.
 */
export async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const before = document.activeElement;
  const area = document.createElement('textarea');
  area.value = text;
  area.readOnly = true;
  area.className = 'hidden';
  // Within a dialog that holds the focus nothing outside of it can be selected.
  (before?.closest('[role="dialog"]') ?? document.body).append(area);
  area.focus();
  area.select();
  try {
    if (!document.execCommand('copy')) throw new Error('the browser copies nothing');
  } finally {
    area.remove();
    if (before instanceof HTMLElement) before.focus();
  }
}
