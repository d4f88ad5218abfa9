import { can, type Session } from '@/api';
import { navGroups, pages, type PageRoute } from './pages';

/** The pages of the sidebar that somebody may see, by group. */
export function navigation(session: Session): [string, PageRoute[]][] {
  return navGroups
    .map((group): [string, PageRoute[]] => [
      group,
      pages.filter((each) => each.nav?.group === group && (!each.needs || can(session, each.needs))),
    ])
    .filter(([, found]) => found.length > 0);
}

/** Where somebody lands: the first page of his sidebar. */
export function home(session: Session): string {
  return navigation(session)[0]?.[1][0]?.path ?? '/account';
}
