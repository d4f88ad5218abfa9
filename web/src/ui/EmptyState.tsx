import { IconInbox, type Icon } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import css from './ui.module.css';

interface Props {
  icon?: Icon;
  title: string;
  /** What comes next. */
  children?: ReactNode;
  action?: ReactNode;
  /** It is all there is on the page: its title is the page's. */
  main?: boolean;
}

/** Where there is nothing yet: says what comes next. */
export function EmptyState({ icon: Shape = IconInbox, title, children, action, main }: Props) {
  const Title = main ? 'h1' : 'h2';
  return (
    <div className={css.empty}>
      <Shape size={36} stroke={1.25} aria-hidden />
      <Title>{title}</Title>
      {children && <p>{children}</p>}
      {action}
    </div>
  );
}
