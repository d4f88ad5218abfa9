import { IconInbox, type Icon } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import css from './ui.module.css';

interface Props {
  icon?: Icon;
  title: string;
  /** What comes next. */
  children?: ReactNode;
  action?: ReactNode;
}

/** Where there is nothing yet: says what comes next. */
export function EmptyState({ icon: Shape = IconInbox, title, children, action }: Props) {
  return (
    <div className={css.empty}>
      <Shape size={36} stroke={1.25} aria-hidden />
      <h2>{title}</h2>
      {children && <p>{children}</p>}
      {action}
    </div>
  );
}
