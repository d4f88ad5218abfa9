import { Menu, UnstyledButton, useMantineColorScheme, type MantineColorScheme } from '@mantine/core';
import { IconApi, IconCheck, IconChevronDown, IconDeviceDesktop, IconLogout, IconMoon, IconSun, IconUser, type Icon } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { useLocation } from 'wouter';
import { call, renew, useLogout, type Session } from '@/api';
import { isLanguage, languages, speak, spoken, t, type TextKey } from '@/text';
import { notifyError } from '@/ui';
import css from './app.module.css';

const schemes: [MantineColorScheme, TextKey, Icon][] = [
  ['light', 'nav.themeLight', IconSun],
  ['dark', 'nav.themeDark', IconMoon],
  ['auto', 'nav.themeAuto', IconDeviceDesktop],
];

/** One's own account, how the panel looks and speaks, and the way out. */
export function UserMenu({ session }: { session: Session }) {
  const [, go] = useLocation();
  const logout = useLogout();
  const client = useQueryClient();
  const keep = async (locale: string) => renew(client, await call('patch', '/api/v1/me', { body: { locale } }));
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <Menu width={220}>
      <Menu.Target>
        <UnstyledButton className={css.user}>
          <span className={css.userName}>{session.user?.username}</span>
          <IconChevronDown size={14} aria-hidden />
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
        {schemes.map(([scheme, label, Shape]) => (
          <Menu.Item
            key={scheme}
            leftSection={<Shape size={16} />}
            rightSection={colorScheme === scheme && <IconCheck size={16} />}
            role="menuitemradio"
            aria-checked={colorScheme === scheme}
            onClick={() => setColorScheme(scheme)}
          >
            {t(label)}
          </Menu.Item>
        ))}
        <Menu.Divider />
        <Menu.Label>{t('nav.language')}</Menu.Label>
        {Object.entries(languages).map(([code, name]) => (
          <Menu.Item
            key={code}
            lang={code}
            rightSection={spoken() === code && <IconCheck size={16} />}
            role="menuitemradio"
            aria-checked={spoken() === code}
            onClick={() => {
              if (isLanguage(code)) void speak(code, true).then(() => keep(code)).catch(notifyError);
            }}
          >
            {name}
          </Menu.Item>
        ))}
        <Menu.Divider />
        <Menu.Item leftSection={<IconLogout size={16} />} onClick={() => void logout().catch(notifyError)}>
          {t('nav.logout')}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
