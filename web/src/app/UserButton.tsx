import { UnstyledButton } from '@mantine/core';
import { IconChevronDown } from '@tabler/icons-react';
import { lazy, Suspense, useState } from 'react';
import type { Session } from '@/api';
import css from './app.module.css';

const load = () => import('./UserMenu');
const UserMenu = lazy(load);

/**
 * Who is logged in. The menu below it is loaded when somebody is about to open it,
 * and takes this button's place once it was clicked: not before, or the click
 * would meet a button that is no longer there.
 */
export function UserButton({ session }: { session: Session }) {
  const [clicked, setClicked] = useState(false);
  const button = (
    <UnstyledButton className={css.user} aria-haspopup="menu" aria-expanded={false} onPointerEnter={() => void load()} onFocus={() => void load()} onClick={() => setClicked(true)}>
      <SessionName session={session} />
    </UnstyledButton>
  );
  if (!clicked) return button;
  return (
    <Suspense fallback={button}>
      <UserMenu session={session} />
    </Suspense>
  );
}

export function SessionName({ session }: { session: Session }) {
  return (
    <>
      <span className={css.userName}>{session.user.username}</span>
      <IconChevronDown size={14} aria-hidden />
    </>
  );
}
