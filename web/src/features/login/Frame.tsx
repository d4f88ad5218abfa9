import type { ReactNode } from 'react';
import { usePanel } from '@/api';
import { Mark, useTitle } from '@/ui';
import css from './login.module.css';

/** The frame of the pages that need no login. */
export function Frame({ title, hint, children }: { title: string; hint?: string; children: ReactNode }) {
  const panel = usePanel();
  useTitle(title);
  return (
    <main className={css.frame}>
      <div className={css.card}>
        <div className={css.brand}>
          <Mark size={28} />
          <span>{panel?.name || 'Berth'}</span>
        </div>
        <h1>{title}</h1>
        {hint && <p className={css.hint}>{hint}</p>}
        {children}
      </div>
    </main>
  );
}
