// What a page needs around it.
import { MantineProvider } from '@mantine/core';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { render } from '@testing-library/react';
import type { ReactNode } from 'react';
import { Router } from 'wouter';
import { memoryLocation } from 'wouter/memory-location';
import { theme } from '@/ui/theme';

export function show(page: ReactNode, path = '/') {
  const place = memoryLocation({ path, record: true });
  const client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  const view = render(
    <MantineProvider theme={theme} withCssVariables={false} env="test">
      <QueryClientProvider client={client}>
        <Router hook={place.hook} searchHook={place.searchHook}>
          {page}
        </Router>
      </QueryClientProvider>
    </MantineProvider>,
  );
  return { ...view, client, place };
}

interface Answer {
  status?: number;
  data?: unknown;
  error?: { code: string; message: string; details?: { field: string; message: string }[] };
}

/** A controller that answers by 'METHOD /path'; what it was asked is in `asked`. */
export function controller(answers: Record<string, Answer | ((body: unknown) => Answer)>) {
  const asked: { call: string; body: unknown }[] = [];
  const run = (url: string, init: RequestInit) => {
    const call = `${init.method} ${url.split('?')[0]}`;
    const body: unknown = typeof init.body === 'string' ? JSON.parse(init.body) : undefined;
    asked.push({ call, body });
    const found = answers[call];
    const { status = 200, data, error } = (typeof found === 'function' ? found(body) : found) ?? { status: 404, error: { code: 'NOT_FOUND', message: call } };
    return Promise.resolve(new Response(JSON.stringify(error ? { success: false, error, request_id: 'r1' } : { success: true, data }), { status }));
  };
  return { fetch: run as unknown as typeof fetch, asked };
}
