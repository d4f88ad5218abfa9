import type { ReactNode } from 'react';
import css from './ui.module.css';
import { useTitle } from './useTitle';

interface Props {
  title: string;
  /** Beside the title: a state. */
  beside?: ReactNode;
  /** Above it: where this is. */
  crumb?: ReactNode;
  /** What can be done here. */
  actions?: ReactNode;
}

/** The first thing on a page: its one h1, and what can be done. */
export function PageHeader({ title, beside, crumb, actions }: Props) {
  useTitle(title);
  return (
    <header className={css.header}>
      <div className={css.heading}>
        {crumb && <div className={css.crumb}>{crumb}</div>}
        <div className={css.titleRow}>
          <h1>{title}</h1>
          {beside}
        </div>
      </div>
      {actions && <div className={css.headerActions}>{actions}</div>}
    </header>
  );
}
