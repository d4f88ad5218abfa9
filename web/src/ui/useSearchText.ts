import { useRouter } from 'wouter';

/**
 * What stands behind the ? of the address, as it stands there. wouter's own
 * useSearch has decoded some of it already, and who reads it decodes it again.
 */
export function useSearchText(): string {
  const router = useRouter();
  return router.searchHook(router).replace(/^\?/, '');
}
