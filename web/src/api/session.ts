// Who is logged in, and what he may.
import { useQuery, useQueryClient, type QueryClient } from '@tanstack/react-query';
import { ApiError, call, setCsrf, type View } from './client';
import { keys } from './keys';

export type Permission =
  | 'users.read' | 'users.write' | 'roles.write' | 'nodes.read' | 'nodes.write' | 'images.write'
  | 'instances.read' | 'instances.write' | 'jobs.write' | 'activity.read' | 'settings.read' | 'settings.write' | 'system.write';

/** A session always has its user; only other ways to call have none. */
export type Session = View<'LoggedInView'> & { user: View<'UserView'> };

// The mark that the controller sets beside the session's cookie, which pages can't
// read. Who has none isn't asked about.
const mark = 'berth_logged_in';

function marked(): boolean {
  return new RegExp(`(?:^|; )(?:__Host-)?${mark}=1(?:;|$)`).test(document.cookie);
}

function unmark(): void {
  document.cookie = `${mark}=; Path=/; Max-Age=0; SameSite=Lax`;
  document.cookie = `__Host-${mark}=; Path=/; Max-Age=0; SameSite=Lax; Secure`;
}

/** The session as the controller knows it; null when there is none. */
export async function fetchSession(): Promise<Session | null> {
  if (!marked()) {
    setCsrf('');
    return null;
  }
  try {
    const session = (await call('get', '/api/v1/session')) as Session;
    setCsrf(session.csrf);
    return session;
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) {
      setCsrf('');
      unmark();
      return null;
    }
    throw error;
  }
}

export function retryUnreachable(tries: number, error: Error): boolean {
  return tries < 3 && error instanceof ApiError && (error.status === 0 || (error.status >= 502 && error.code === 'BAD_ANSWER'));
}

export const sessionQuery = { queryKey: keys.session, queryFn: fetchSession, staleTime: 60_000, retry: retryUnreachable };

/** The session: undefined while nobody knows, null when nobody is logged in. */
export function useSession() {
  return useQuery(sessionQuery);
}

/** The caller's own account; only below a page that needs a login. */
export function useMe(): Session {
  const session = useSession().data;
  if (!session) throw new ApiError(401, 'UNAUTHORIZED', '');
  return session;
}

/** Whether he has a permission; an admin has all. */
export function can(session: Session | null | undefined, permission: Permission): boolean {
  return !!session && (session.admin || session.permissions.includes(permission));
}

export function useCan(): (permission: Permission) => boolean {
  const session = useSession().data;
  return (permission) => can(session, permission);
}

/** A login that worked: what is cached belongs to somebody else. */
export function begin(client: QueryClient, session: View<'LoggedInView'>): void {
  forget(client);
  setCsrf(session.csrf);
  client.setQueryData(keys.session, session);
}

/** The same session with something new about it: another proof, another name. */
export function renew(client: QueryClient, session: View<'LoggedInView'>): void {
  setCsrf(session.csrf);
  client.setQueryData(keys.session, session);
}

/** The session is over, here or at the controller. */
export function end(client: QueryClient): void {
  setCsrf('');
  forget(client);
  client.setQueryData(keys.session, null);
}

// All but the session's own entry, which pages are looking at, and what everybody may know.
function forget(client: QueryClient): void {
  client.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== keys.session[0] && queryKey[0] !== keys.panel[0] });
}

export function useLogout(): () => Promise<void> {
  const client = useQueryClient();
  return async () => {
    await call('post', '/api/v1/logout');
    end(client);
  };
}
