// What everybody may know of this panel before he logs in.
import { useQuery } from '@tanstack/react-query';
import { call, type View } from './client';
import { keys } from './keys';

export function usePanel(): View<'PanelView'> | undefined {
  return useQuery({ queryKey: keys.panel, queryFn: () => call('get', '/api/v1/panel'), staleTime: 300_000, retry: false }).data;
}
