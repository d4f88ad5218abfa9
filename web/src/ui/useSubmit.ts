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
  reset: () => void;
}

/** `known` are the fields the form has: what is wrong with others stands in the notice. */
export function useSubmit(send: () => Promise<unknown>, known: readonly string[] = []): Submit {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const fields = fieldErrors(error);
  const allShown = Object.keys(fields).length > 0 && Object.keys(fields).every((name) => known.includes(name));
  return {
    busy,
    error: allShown ? undefined : error,
    run: async () => {
      if (busy) return false;
      setBusy(true);
      setError(undefined);
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
    reset: () => setError(undefined),
  };
}
