// Sending a form: busy while it is under way, the error for a notice, and what
// is wrong with single fields for the fields themselves.
import { useState } from 'react';
import { fieldErrors } from './problem';

export interface Submit {
  busy: boolean;
  error: unknown;
  /** Runs it; true when it worked. */
  run: () => Promise<boolean>;
  /** What is wrong with a field, for its `error`. */
  of: (field: string) => string | undefined;
  /** What is wrong with all of them, by their names. */
  fields: Record<string, string>;
  /** A field was changed: what was wrong with it is no longer said. */
  forget: (field: string) => void;
  reset: () => void;
}

/** `known` are the fields the form has, or says whether it has one: what is wrong with others stands in the notice. */
export function useSubmit(send: () => Promise<unknown>, known: readonly string[] | ((field: string) => boolean) = []): Submit {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const [forgotten, setForgotten] = useState<readonly string[]>([]);
  const told = fieldErrors(error);
  const shown = typeof known === 'function' ? known : (name: string) => known.includes(name);
  const allShown = Object.keys(told).length > 0 && Object.keys(told).every(shown);
  const fields = Object.fromEntries(Object.entries(told).filter(([name]) => !forgotten.includes(name)));
  return {
    busy,
    error: allShown ? undefined : error,
    run: async () => {
      if (busy) return false;
      setBusy(true);
      setError(undefined);
      setForgotten([]);
      try {
        await send();
        return true;
      } catch (cause) {
        setError(cause);
        return false;
      } finally {
        setBusy(false);
      }
    },
    of: (field) => fields[field],
    fields,
    forget: (field) => told[field] !== undefined && setForgotten((before) => [...before, field]),
    reset: () => setError(undefined),
  };
}
