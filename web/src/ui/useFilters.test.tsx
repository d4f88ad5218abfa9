import { act, renderHook } from '@testing-library/react';
import { beforeEach, expect, it } from 'vitest';
import { useFilters } from './useFilters';

beforeEach(() => history.replaceState(null, '', '/images?page=3&tab=x'));

const at = () => location.pathname + location.search;

it('puts what narrows a list into the address, and begins at its first page', () => {
  const { result } = renderHook(() => useFilters('search'));
  act(() => result.current.set('search', 'a b'));
  expect(at()).toBe('/images?tab=x&search=a+b');
  expect([result.current.values.search, result.current.page, result.current.any]).toEqual(['a b', 1, true]);
});

it('leaves the address alone once another page has it', () => {
  const { result } = renderHook(() => useFilters('search'));
  const late = result.current.set;
  act(() => history.pushState(null, '', '/instances'));
  act(() => late('search', 'typed last'));
  expect(at()).toBe('/instances');
});
