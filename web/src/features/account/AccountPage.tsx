import { Tabs } from '@mantine/core';
import { IconDevices, IconKey, IconShieldLock, IconTerminal2, IconUser, type Icon } from '@tabler/icons-react';
import { lazy, Suspense, type ComponentType } from 'react';
import { useLocation, useParams } from 'wouter';
import { t, type TextKey } from '@/text';
import { PageHeader, RowSkeletons, TabList } from '@/ui';
import { Profile } from './Profile';

const tabs: [string, TextKey, Icon, ComponentType][] = [
  ['profile', 'account.profile', IconUser, Profile],
  ['security', 'account.security', IconShieldLock, lazy(() => import('./Security').then((m) => ({ default: m.Security })))],
  ['sessions', 'account.sessions', IconDevices, lazy(() => import('./Sessions').then((m) => ({ default: m.Sessions })))],
  ['keys', 'account.keys', IconKey, lazy(() => import('./Keys').then((m) => ({ default: m.Keys })))],
  ['ssh-keys', 'account.sshKeys', IconTerminal2, lazy(() => import('./SshKeys').then((m) => ({ default: m.SshKeys })))],
];

/** One's own account: who one is, how one logs in, and what may act in one's name. */
export default function AccountPage() {
  const { tab } = useParams<{ tab?: string }>();
  const [, go] = useLocation();
  const here = tabs.find(([name]) => name === tab)?.[0] ?? 'profile';
  return (
    <>
      <PageHeader title={t('account.title')} />
      <Tabs value={here} onChange={(to) => go(to === 'profile' ? '/account' : `/account/${to}`)}>
        <TabList open={here}>
          {tabs.map(([name, label, Shape]) => (
            <Tabs.Tab key={name} value={name} leftSection={<Shape size={16} aria-hidden />}>
              {t(label)}
            </Tabs.Tab>
          ))}
        </TabList>
        {tabs.map(([name, , , Part]) => (
          <Tabs.Panel key={name} value={name}>
            <Suspense fallback={<RowSkeletons />}>
              <Part />
            </Suspense>
          </Tabs.Panel>
        ))}
      </Tabs>
    </>
  );
}
