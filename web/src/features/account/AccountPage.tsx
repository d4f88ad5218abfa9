import { Tabs } from '@mantine/core';
import { IconDevices, IconKey, IconShieldLock, IconTerminal2, IconUser, type Icon } from '@tabler/icons-react';
import type { ComponentType } from 'react';
import { useLocation, useParams } from 'wouter';
import { t, type TextKey } from '@/text';
import { PageHeader } from '@/ui';
import { Keys } from './Keys';
import { Profile } from './Profile';
import { Security } from './Security';
import { Sessions } from './Sessions';
import { SshKeys } from './SshKeys';

const tabs: [string, TextKey, Icon, ComponentType][] = [
  ['profile', 'account.profile', IconUser, Profile],
  ['security', 'account.security', IconShieldLock, Security],
  ['sessions', 'account.sessions', IconDevices, Sessions],
  ['keys', 'account.keys', IconKey, Keys],
  ['ssh-keys', 'account.sshKeys', IconTerminal2, SshKeys],
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
        <Tabs.List mb="md">
          {tabs.map(([name, label, Shape]) => (
            <Tabs.Tab key={name} value={name} leftSection={<Shape size={16} aria-hidden />}>
              {t(label)}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {tabs.map(([name, , , Part]) => (
          <Tabs.Panel key={name} value={name}>
            <Part />
          </Tabs.Panel>
        ))}
      </Tabs>
    </>
  );
}
