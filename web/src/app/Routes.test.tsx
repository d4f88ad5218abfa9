import { waitFor } from '@testing-library/react';
import { afterEach, beforeAll, expect, it, vi } from 'vitest';
import { speak } from '@/text';
import { controller, show } from '../../tests/render';
import { Routes } from './Routes';

beforeAll(() => speak('en'));
afterEach(() => vi.unstubAllGlobals());

it.each([
  ['/', '/login'],
  ['/instances', '/login?to=%2Finstances'],
  ['/nodes?state=offline&search=a%20b', '/login?to=%2Fnodes%3Fstate%3Doffline%26search%3Da%2520b'],
])('sends who is not logged in from %s to %s', async (from, to) => {
  vi.stubGlobal('scrollTo', () => {});
  vi.stubGlobal('fetch', controller({}).fetch);
  const { place } = show(<Routes />, from);
  await waitFor(() => expect(place.history?.at(-1)).toBe(to), { timeout: 60_000 });
});
