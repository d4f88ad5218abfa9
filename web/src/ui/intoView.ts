/** Has an element be seen where what is around it scrolls: the open tab on a phone. */
export function intoView(element: Element | null | undefined): void {
  element?.scrollIntoView?.({ block: 'nearest', inline: 'nearest' });
}
