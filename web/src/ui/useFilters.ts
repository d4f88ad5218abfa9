// What narrows a list stands in the address: it survives a reload and can be sent to somebody.
import { useCallback } from 'react';
import { useLocation, useSearchParams } from 'wouter';

export interface FilterState<K extends string> {
  values: Record<K, string>;
  page: number;
  set: (name: K, value: string) => void;
  toPage: (page: number) => void;
  clear: () => void;
  /** Whether anything is narrowed. */
  any: boolean;
}

export function useFilters<K extends string>(...names: K[]): FilterState<K> {
  const [params, setParams] = useSearchParams();
  const [path] = useLocation();
  const values = Object.fromEntries(names.map((name) => [name, params.get(name) ?? ''])) as Record<K, string>;
  const set = useCallback(
    (name: string, value: string) => {
      // A page that is being left is drawn until the next is there: it must not come back for what was typed last.
      if (window.location.pathname !== path) return;
      setParams(
        (before) => {
          const next = new URLSearchParams(before);
          if (value) next.set(name, value);
          else next.delete(name);
          if (name !== 'page') next.delete('page');
          return next;
        },
        { replace: true },
      );
    },
    [setParams, path],
  );
  return {
    values,
    page: Math.max(1, Number(params.get('page')) || 1),
    set,
    toPage: (page) => set('page', page > 1 ? String(page) : ''),
    clear: () => setParams(new URLSearchParams(), { replace: true }),
    any: names.some((name) => values[name] !== ''),
  };
}
