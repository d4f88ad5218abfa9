import { lazy, useState, type ComponentType, type ReactNode } from 'react';

/** What is drawn by code of its own, which is loaded when it is needed. */
export interface Later<P> {
  (props: P): ReactNode;
  /** Loads it now, for what is about to be drawn. */
  load: () => Promise<void>;
}

/**
 * As React's lazy, but code that is there already is drawn at once. Lazy itself would
 * wait for it all the same, and React shows what waited a third of a second later.
 */
export function later<P extends object>(load: () => Promise<{ default: ComponentType<P> }>): Later<P> {
  let here: ComponentType<P> | undefined;
  const loading = async () => {
    const found = await load();
    here = found.default;
    return found;
  };
  const Waiting = lazy(loading) as unknown as ComponentType<P>;
  function Whole(props: P) {
    // What it was at first it stays: another would begin anew.
    const [Shown] = useState(() => here ?? Waiting);
    return <Shown {...props} />;
  }
  return Object.assign(Whole, { load: async () => void (await loading()) });
}
