import { Pagination } from '@mantine/core';
import { t } from '@/text';
import css from './ui.module.css';

interface Props {
  page: number;
  pages: number;
  total: number;
  onPage: (to: number) => void;
}

/** Below a list: how many there are, and the way to the others. */
export function Pager({ page, pages, total, onPage }: Props) {
  if (total === 0) return null;
  return (
    <nav className={css.pager} aria-label={t('common.page', { page, pages })}>
      <span className="quiet nums">{t('common.entries', { count: total })}</span>
      {pages > 1 && <Pagination size="sm" total={pages} value={page} onChange={onPage} getControlProps={(which) => ({ 'aria-label': t(which === 'next' ? 'common.next' : 'common.back') })} />}
    </nav>
  );
}
