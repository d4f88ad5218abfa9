import { useQuery } from '@tanstack/react-query';
import { call, keys, type View } from '@/api';

/** What everybody may know of this panel before he logs in. */
export function usePanel(): View<'PanelView'> | undefined {
  return useQuery({ queryKey: keys.panel, queryFn: () => call('get', '/api/v1/panel'), staleTime: 300_000, retry: false }).data;
}
