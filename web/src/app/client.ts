import { QueryClient } from '@tanstack/react-query';
import { retryUnreachable } from '@/api';

/** What the panel has asked for, and the answers. */
export const client = new QueryClient({
  defaultOptions: {
    // Events say when an answer is old; what they don't cover is asked again on the way back to the tab.
    queries: { staleTime: 30_000, retry: retryUnreachable },
    mutations: { retry: false },
  },
});
