import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { renderHook } from '@testing-library/react';
import { expect, it, vi } from 'vitest';
import { useAhead } from './ahead';

const key = ['me', 'sessions'];

function ahead() {
  const client = new QueryClient();
  client.setQueryData(key, ['a', 'b']);
  const asked = vi.spyOn(client, 'invalidateQueries');
  const { result } = renderHook(() => useAhead<string[]>(key), { wrapper: ({ children }) => <QueryClientProvider client={client}>{children}</QueryClientProvider> });
  return { shown: () => client.getQueryData(key), asked, change: result.current };
}

const withoutB = (all: string[]) => all.filter((each) => each !== 'b');

it('shows a change while it is being made, and asks how it is then', async () => {
  const { shown, asked, change } = ahead();
  let while_: unknown;
  await change(withoutB, async () => {
    while_ = shown();
  });
  expect(while_).toEqual(['a']);
  expect(asked).toHaveBeenCalledExactlyOnceWith({ queryKey: key });
});

it('shows again what was there when the change is refused, and says why', async () => {
  const { shown, asked, change } = ahead();
  await expect(change(withoutB, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(shown()).toEqual(['a', 'b']);
  expect(asked).toHaveBeenCalledOnce();
});
