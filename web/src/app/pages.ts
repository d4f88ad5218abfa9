// Every page: its address, its code (loaded when it is first gone to), what it
// needs, and where it stands in the sidebar. A page is added by a line here.
import {
  IconActivity, IconBox, IconKey, IconLayoutDashboard, IconListCheck, IconServer2, IconSettings, IconShieldHalf, IconStack2, IconUser, IconUsers, type Icon,
} from '@tabler/icons-react';
import type { ComponentType } from 'react';
import type { Permission } from '@/api';
import { speakOfAll, type TextKey } from '@/text';
import { later, type Later } from './later';

export interface PageRoute {
  /** A pattern of wouter: /instances/:id; /instances/:id/* for a page with pages in it. */
  path: string;
  page: Later<object>;
  /** Without this permission it isn't shown. */
  needs?: Permission;
  /** Its place in the sidebar; without one it is reached by links only. */
  nav?: { label: TextKey; icon: Icon; group: NavGroup };
}

export const navGroups = ['hosting', 'administration', 'yours'] as const;
export type NavGroup = (typeof navGroups)[number];

type Load = () => Promise<{ default: ComponentType }>;

/** A page whose words are among those of the front: see text/index.ts. */
const front = (load: Load) => later(load);

/** A page and all words: whatever it says is there when it is drawn. */
function page(load: Load): Later<object> {
  return later(async () => {
    const [found] = await Promise.all([load(), speakOfAll()]);
    return found;
  });
}

/** Pages that need no login. */
export const publicPages: PageRoute[] = [
  { path: '/login', page: front(() => import('@/features/login/LoginPage')) },
  { path: '/forgot', page: front(() => import('@/features/login/ForgotPage')) },
  { path: '/link', page: front(() => import('@/features/login/LinkPage')) },
];

/** Pages of who is logged in, in the order of the sidebar. */
export const pages: PageRoute[] = [
  {
    path: '/overview',
    page: front(() => import('@/features/overview/OverviewPage')),
    needs: 'nodes.read',
    nav: { label: 'nav.overview', icon: IconLayoutDashboard, group: 'hosting' },
  },
  { path: '/welcome', page: front(() => import('@/features/onboarding/WelcomePage')), needs: 'nodes.write' },
  {
    path: '/instances',
    page: front(() => import('@/features/instance/InstancesPage')),
    nav: { label: 'nav.instances', icon: IconBox, group: 'hosting' },
  },
  { path: '/instances/new', page: page(() => import('@/features/instance/admin/DeployPage')), needs: 'instances.write' },
  { path: '/instances/:id/*?', page: page(() => import('./InstancePages')) },
  {
    path: '/nodes',
    page: page(() => import('@/features/node/NodesPage')),
    needs: 'nodes.read',
    nav: { label: 'nav.nodes', icon: IconServer2, group: 'administration' },
  },
  { path: '/nodes/new', page: page(() => import('@/features/node/NodeNewPage')), needs: 'nodes.write' },
  { path: '/nodes/:id', page: page(() => import('@/features/node/NodePage')), needs: 'nodes.read' },
  {
    path: '/images',
    page: page(() => import('@/features/image/ImagesPage')),
    needs: 'images.write',
    nav: { label: 'nav.images', icon: IconStack2, group: 'administration' },
  },
  { path: '/images/import', page: page(() => import('@/features/image/ImportPage')), needs: 'images.write' },
  { path: '/images/new', page: page(() => import('@/features/image/ImagePage')), needs: 'images.write' },
  { path: '/images/:id', page: page(() => import('@/features/image/ImagePage')) },
  {
    path: '/registries',
    page: page(() => import('@/features/registry/RegistriesPage')),
    needs: 'settings.read',
    nav: { label: 'nav.registries', icon: IconKey, group: 'administration' },
  },
  {
    path: '/users',
    page: page(() => import('@/features/user/UsersPage')),
    needs: 'users.read',
    nav: { label: 'nav.users', icon: IconUsers, group: 'administration' },
  },
  { path: '/users/new', page: page(() => import('@/features/user/UserNewPage')), needs: 'users.write' },
  { path: '/users/:id', page: page(() => import('@/features/user/UserPage')), needs: 'users.read' },
  {
    path: '/roles',
    page: page(() => import('@/features/role/RolesPage')),
    needs: 'users.read',
    nav: { label: 'nav.roles', icon: IconShieldHalf, group: 'administration' },
  },
  { path: '/roles/new', page: page(() => import('@/features/role/RolePage')), needs: 'roles.write' },
  { path: '/roles/:id', page: page(() => import('@/features/role/RolePage')), needs: 'users.read' },
  {
    path: '/jobs',
    page: page(() => import('@/features/job/JobsPage')),
    needs: 'jobs.write',
    nav: { label: 'nav.jobs', icon: IconListCheck, group: 'administration' },
  },
  { path: '/jobs/:id', page: page(() => import('@/features/job/JobPage')) },
  {
    path: '/activity',
    page: page(() => import('@/features/activity/ActivityPage')),
    needs: 'activity.read',
    nav: { label: 'nav.activity', icon: IconActivity, group: 'administration' },
  },
  {
    path: '/settings',
    page: page(() => import('@/features/setting/SettingsPage')),
    needs: 'settings.read',
    nav: { label: 'nav.settings', icon: IconSettings, group: 'administration' },
  },
  {
    path: '/account',
    page: page(() => import('@/features/account/AccountPage')),
    nav: { label: 'nav.account', icon: IconUser, group: 'yours' },
  },
  { path: '/account/:tab', page: page(() => import('@/features/account/AccountPage')) },
];

/** The frame around them. */
export const Shell = later(() => import('./Shell'));

/**
 * Loads what stands at an address, while the language and the session are on their
 * way: one after the other each would cost another round to the controller.
 */
export async function ahead(path: string): Promise<void> {
  const at = (each: PageRoute) => new RegExp(`^${each.path.replace('/*?', '(/.*)?').replace(/:[a-z]+/g, '[^/]+')}$`).test(path);
  const open = publicPages.find(at);
  const found = open ?? pages.find(at);
  // What can't be loaded is tried again, and told, where it is shown.
  await Promise.allSettled([found?.page.load(), open ? undefined : Shell.load()]);
}
