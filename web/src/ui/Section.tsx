import { useId, type ReactNode } from 'react';
import css from './ui.module.css';

interface Props {
  title?: string;
  hint?: ReactNode;
  actions?: ReactNode;
  /** Without space around what is in it: for tables. */
  flush?: boolean;
  children: ReactNode;
}

/** A part of a page, in a frame with a heading. */
export function Section({ title, hint, actions, flush, children }: Props) {
  const id = useId();
  return (
    <section className={css.section} aria-labelledby={title ? id : undefined}>
      {title && (
        <div className={css.sectionHead}>
          <div>
            <h2 id={id}>{title}</h2>
            {hint && <p className={css.sectionHint}>{hint}</p>}
          </div>
          {actions}
        </div>
      )}
      <div className={flush ? css.sectionFlush : css.sectionBody}>{children}</div>
    </section>
  );
}
