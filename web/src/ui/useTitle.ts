import { useEffect } from 'react';

let suffix = 'Berth';

/** What stands behind a page's name in the browser's tab: the panel's own name. */
export function setTitleSuffix(name: string): void {
  suffix = name || 'Berth';
}

/** Names the browser's tab. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title ? `${title} · ${suffix}` : suffix;
  }, [title]);
}
