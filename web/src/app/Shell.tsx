import { ActionIcon, Kbd, UnstyledButton } from '@mantine/core';
import { useHotkeys } from '@mantine/hooks';
import { IconMenu2, IconSearch } from '@tabler/icons-react';
import { lazy, Suspense, useEffect, useState, type ReactNode } from 'react';
import { Link, useLocation } from 'wouter';
import { useLiveState, usePanel, type Session } from '@/api';
import { t, tAny } from '@/text';
import { Mark, setTitleSuffix } from '@/ui';
import { navigation } from './home';
import { UserButton } from './UserButton';
import css from './app.module.css';

// What opens above the page is loaded when it is opened for the first time.
const Palette = lazy(() => import('./Palette'));
const MenuDrawer = lazy(() => import('./MenuDrawer'));

/** The frame around every page: sidebar, header, and on a phone a drawer. */
export default function Shell({ session, children }: { session: Session; children: ReactNode }) {
  const [drawer, setDrawer] = useState<boolean>();
  const close = () => setDrawer(false);
  // How often it was asked for: each time opens it.
  const [palette, setPalette] = useState(0);
  const openPalette = () => setPalette((before) => before + 1);
  useHotkeys([['mod+K', openPalette]]);
  return (
    <div className={css.shell}>
      <a className={css.skip} href="#page">
        {t('nav.skip')}
      </a>
      <aside className={css.sidebar}>
        <Brand />
        <Navigation session={session} />
      </aside>
      <div className={css.column}>
        <header className={css.topbar}>
          <ActionIcon className={css.burger} aria-label={t('nav.menu')} onClick={() => setDrawer(true)}>
            <IconMenu2 size={20} />
          </ActionIcon>
          <UnstyledButton className={css.search} onClick={openPalette}>
            <IconSearch size={16} aria-hidden />
            <span>{t('nav.commands')}</span>
            <Kbd size="xs" aria-hidden>{/Mac|iP/.test(navigator.platform) ? '⌘ K' : 'Ctrl K'}</Kbd>
          </UnstyledButton>
          <LiveSign />
          <UserButton session={session} />
        </header>
        <main id="page" className={css.page} tabIndex={-1}>
          {children}
        </main>
      </div>
      <Suspense fallback={null}>
        {drawer !== undefined && (
          <MenuDrawer opened={drawer} onClose={close}>
            <Navigation session={session} onGo={close} />
          </MenuDrawer>
        )}
      </Suspense>
      <Suspense fallback={null}>{palette > 0 && <Palette session={session} asked={palette} />}</Suspense>
    </div>
  );
}

function Brand() {
  const name = usePanel()?.name || 'Berth';
  useEffect(() => setTitleSuffix(name), [name]);
  return (
    <Link href="/" className={css.brand}>
      <Mark size={24} />
      <span className={css.brandName}>{name}</span>
    </Link>
  );
}

function Navigation({ session, onGo }: { session: Session; onGo?: () => void }) {
  const [path] = useLocation();
  return (
    <nav aria-label={t('nav.main')} className={css.nav}>
      {navigation(session).map(([group, found]) => (
        <div key={group}>
          <div className={css.navGroup}>{tAny(`nav.${group}`, group)}</div>
          {found.map(({ path: to, nav }) => {
            const Shape = nav?.icon;
            const here = path === to || path.startsWith(`${to}/`);
            return (
              <Link key={to} href={to} className={css.navLink} aria-current={here ? 'page' : undefined} onClick={onGo}>
                {Shape && <Shape size={18} stroke={1.6} aria-hidden />}
                {nav && t(nav.label)}
              </Link>
            );
          })}
        </div>
      ))}
    </nav>
  );
}

// Says only when what is seen may be old; that all is well needs no word.
function LiveSign() {
  const state = useLiveState();
  const text = state === 'ended' ? t('nav.liveEnded') : state === 'connecting' ? t('nav.liveConnecting') : '';
  return (
    <div className={css.liveSign} role="status" data-live={state} title={text || t('nav.liveOpen')}>
      <span className={css.liveDot} aria-hidden />
      <span className="hidden">{text}</span>
    </div>
  );
}
