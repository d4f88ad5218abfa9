import { useQuery } from '@tanstack/react-query';
import { keys, untyped } from '@/api';

/** What everybody may know of this panel before he logs in. */
export interface Panel {
  name?: string;
  locale?: string;
  support_url?: string;
  passkeys?: boolean;
  oidc?: { button?: string } | null;
}

export function usePanel(): Panel | undefined {
  return useQuery({ queryKey: keys.panel, queryFn: () => untyped<Panel>('get', '/api/v1/panel'), staleTime: 300_000, retry: false }).data;
}
