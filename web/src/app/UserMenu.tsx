import { Menu, UnstyledButton, useMantineColorScheme, type MantineColorScheme } from '@mantine/core';
import { useMounted } from '@mantine/hooks';
import { IconApi, IconCheck, IconDeviceDesktop, IconLogout, IconMoon, IconSun, IconUser, type Icon } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import { useLocation } from 'wouter';
import { call, renew, useLogout, type Session } from '@/api';
import { isLanguage, languages, speak, spoken, t, type TextKey } from '@/text';
import { notifyError } from '@/ui';
import { SessionName } from './UserButton';
import css from './app.module.css';

const schemes: [MantineColorScheme, TextKey, Icon][] = [
  ['light', 'nav.themeLight', IconSun],
  ['dark', 'nav.themeDark', IconMoon],
  ['auto', 'nav.themeAuto', IconDeviceDesktop],
];

/** One's own account, how the panel looks and speaks, and the way out. It opens as soon as it is there: see UserButton. */
export default function UserMenu({ session }: { session: Session }) {
  const [, go] = useLocation();
  const logout = useLogout();
  const client = useQueryClient();
  const choose = async (code: string) => {
    if (!isLanguage(code)) return;
    await speak(code, true);
    renew(client, await call('patch', '/api/v1/me', { body: { locale: code } }));
  };
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const target = useRef<HTMLButtonElement>(null);
  const [opened, setOpened] = useState(true);
  const here = useMounted();
  // Where the focus goes back to when the menu closes; so it has it before the menu opens.
  useEffect(() => target.current?.focus({ preventScroll: true }), []);
  return (
    <Menu width={220} opened={opened && here} onChange={setOpened}>
      <Menu.Target>
        <UnstyledButton ref={target} className={css.user}>
          <SessionName session={session} />
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item leftSection={<IconUser size={16} />} onClick={() => go('/account')}>
          {t('nav.account')}
        </Menu.Item>
        <Menu.Item leftSection={<IconApi size={16} />} component="a" href="/docs" target="_blank" rel="noopener">
          {t('nav.apiDocs')}
        </Menu.Item>
        <Menu.Divider />
        <Menu.Label>{t('nav.theme')}</Menu.Label>
        <Menu.RadioGroup value={colorScheme} onChange={(to) => setColorScheme(to as MantineColorScheme)}>
          {schemes.map(([scheme, label, Shape]) => (
            <Menu.RadioItem key={scheme} value={scheme} checkIcon={<IconCheck size={16} />} rightSection={<Shape size={16} aria-hidden />}>
              {t(label)}
            </Menu.RadioItem>
          ))}
        </Menu.RadioGroup>
        <Menu.Divider />
        <Menu.Label>{t('nav.language')}</Menu.Label>
        <Menu.RadioGroup value={spoken()} onChange={(to) => void choose(to).catch(notifyError)}>
          {Object.entries(languages).map(([code, name]) => (
            <Menu.RadioItem key={code} value={code} lang={code} checkIcon={<IconCheck size={16} />}>
              {name}
            </Menu.RadioItem>
          ))}
        </Menu.RadioGroup>
        <Menu.Divider />
        <Menu.Item leftSection={<IconLogout size={16} />} onClick={() => void logout().catch(notifyError)}>
          {t('nav.logout')}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
