import { Suspense, type ReactNode } from 'react';
import { Redirect, Route, Switch, useLocation } from 'wouter';
import { can, useSession, type Session } from '@/api';
import { ErrorNotice, PageSkeleton, useSearchText } from '@/ui';
import { home } from './home';
import { NotFoundPage } from './NotFoundPage';
import { pages, publicPages, Shell } from './pages';
import { ErrorBoundary } from './ErrorBoundary';
import { useSpoken } from './useSpoken';
import css from './app.module.css';

/** Which page stands at the address. */
export function Routes() {
  return (
    <Switch>
      {publicPages.map(({ path, page: Page }) => (
        <Route key={path} path={path}>
          <Suspense fallback={null}>
            <Page />
          </Suspense>
        </Route>
      ))}
      <Route>
        <Guarded />
      </Route>
    </Switch>
  );
}

function Guarded() {
  const { data: session, error, refetch } = useSession();
  const [path] = useLocation();
  const search = useSearchText();
  useSpoken(session?.locale);
  if (error && session === undefined) {
    return (
      <main className={css.alone}>
        <ErrorNotice error={error} retry={() => void refetch()} />
      </main>
    );
  }
  if (session === undefined) return null;
  if (session === null) {
    const to = encodeURI(path) + (search && `?${search}`);
    return <Redirect to={to === '/' ? '/login' : `/login?to=${encodeURIComponent(to)}`} replace />;
  }
  return (
    <Suspense fallback={null}>
      <Shell session={session}>
        <ErrorBoundary place={path}>
          <Suspense fallback={<PageSkeleton />}>
            <Pages session={session} />
          </Suspense>
        </ErrorBoundary>
      </Shell>
    </Suspense>
  );
}

function Pages({ session }: { session: Session }): ReactNode {
  return (
    <Switch>
      <Route path="/">
        <Redirect to={home(session)} replace />
      </Route>
      {pages
        .filter((each) => !each.needs || can(session, each.needs))
        .map(({ path, page: Page }) => (
          <Route key={path} path={path}>
            <Page />
          </Route>
        ))}
      <Route>
        <NotFoundPage />
      </Route>
    </Switch>
  );
}
