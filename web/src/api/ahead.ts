import { useQueryClient, type QueryKey } from '@tanstack/react-query';

/**
 * Shows a change before the controller has made it, where it is almost sure to: run
 * makes it. When it is refused, what was there is shown again, and the refusal thrown;
 * in any case the controller is asked how it is.
 */
export function useAhead<T>(queryKey: QueryKey): (change: (shown: T) => T, run: () => Promise<unknown>) => Promise<void> {
  const client = useQueryClient();
  return async (change, run) => {
    await client.cancelQueries({ queryKey });
    const before = client.getQueryData<T>(queryKey);
    if (before !== undefined) client.setQueryData<T>(queryKey, change(before));
    try {
      await run();
    } catch (refused) {
      client.setQueryData<T>(queryKey, before);
      throw refused;
    } finally {
      void client.invalidateQueries({ queryKey });
    }
  };
}
