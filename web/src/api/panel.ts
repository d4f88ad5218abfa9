// What everybody may know of this panel before he logs in.
import { useQuery } from '@tanstack/react-query';
import { call, type View } from './client';
import { keys } from './keys';

export const panelQuery = { queryKey: keys.panel, queryFn: () => call('get', '/api/v1/panel'), staleTime: 300_000, retry: false };

export function usePanel(): View<'PanelView'> | undefined {
  return useQuery(panelQuery).data;
}
