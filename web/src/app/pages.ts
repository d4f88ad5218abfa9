// Every page: its address, its code (loaded when it is first gone to), what it
// needs, and where it stands in the sidebar. A page is added by a line here.
import { IconServer2, IconUser, type Icon } from '@tabler/icons-react';
import { lazy, type ComponentType, type LazyExoticComponent } from 'react';
import type { Permission } from '@/api';
import type { TextKey } from '@/text';

export interface PageRoute {
  /** A pattern of wouter: /instances/:id; /instances/:id/* for a page with pages in it. */
  path: string;
  page: LazyExoticComponent<ComponentType>;
  /** Without this permission it isn't shown. */
  needs?: Permission;
  /** Its place in the sidebar; without one it is reached by links only. */
  nav?: { label: TextKey; icon: Icon; group: NavGroup };
}

export const navGroups = ['hosting', 'administration', 'yours'] as const;
export type NavGroup = (typeof navGroups)[number];

/** Pages that need no login. */
export const publicPages: PageRoute[] = [
  { path: '/login', page: lazy(() => import('@/features/login/LoginPage')) },
  { path: '/forgot', page: lazy(() => import('@/features/login/ForgotPage')) },
  { path: '/link', page: lazy(() => import('@/features/login/LinkPage')) },
];

/** Pages of who is logged in, in the order of the sidebar. */
export const pages: PageRoute[] = [
  {
    path: '/nodes',
    page: lazy(() => import('@/features/node/NodesPage')),
    needs: 'nodes.read',
    nav: { label: 'nav.nodes', icon: IconServer2, group: 'administration' },
  },
  { path: '/nodes/new', page: lazy(() => import('@/features/node/NodeNewPage')), needs: 'nodes.write' },
  { path: '/nodes/:id', page: lazy(() => import('@/features/node/NodePage')), needs: 'nodes.read' },
  {
    path: '/account',
    page: lazy(() => import('@/features/account/AccountPage')),
    nav: { label: 'nav.account', icon: IconUser, group: 'yours' },
  },
  { path: '/account/:tab', page: lazy(() => import('@/features/account/AccountPage')) },
];
