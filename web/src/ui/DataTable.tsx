import { IconChevronDown, IconChevronUp } from '@tabler/icons-react';
import { lazy, Suspense, type ReactNode } from 'react';
import { t } from '@/text';
import { EmptyState } from './EmptyState';
import { ErrorNotice } from './ErrorNotice';
import { RowSkeletons } from './Skeletons';
import css from './ui.module.css';

export interface Column<T> {
  key: string;
  title: string;
  cell: (row: T) => ReactNode;
  /** To the right: numbers and actions. */
  end?: boolean;
  /** Left out on a phone. */
  wide?: boolean;
  width?: string;
  /** The heading sorts by this word. */
  sort?: string;
}

export interface Sorting {
  by: string;
  descending: boolean;
}

interface Props<T> {
  /** What the table is of, for those who don't see it. */
  label: string;
  columns: Column<T>[];
  /** undefined while they are not there yet. */
  rows: T[] | undefined;
  rowKey: (row: T) => string;
  error?: unknown;
  retry?: () => void;
  /** Shown when there are no rows. */
  empty?: ReactNode;
  onRow?: (row: T) => void;
  sorting?: Sorting;
  onSort?: (to: Sorting) => void;
  /** With it only the rows in sight are drawn: for long lists. As CSS: '70vh'. */
  height?: string;
}

/** A table that has rows. */
export type TableProps<T> = Props<T> & { rows: T[] };

// Few pages have one, and what it stands on is heavy.
const LongTable = lazy(() => import('./LongTable')) as unknown as <T>(props: TableProps<T>) => ReactNode;

/** The one table. Rows of a long list exist only while they are in sight. */
export function DataTable<T>(props: Props<T>) {
  const { rows, error, retry, empty } = props;
  if (error && !rows) return <ErrorNotice error={error} retry={retry} />;
  if (!rows) return <RowSkeletons />;
  if (rows.length === 0) return <>{empty ?? <EmptyState title={t('common.nothingFound')} />}</>;
  if (!props.height) return <ShortTable {...props} rows={rows} />;
  return (
    <Suspense fallback={<RowSkeletons />}>
      <LongTable {...props} rows={rows} />
    </Suspense>
  );
}

function ShortTable<T>(props: TableProps<T>) {
  return (
    <div className={css.table}>
      <table aria-label={props.label}>
        <Head {...props} />
        <tbody>
          {props.rows.map((row) => (
            <Row key={props.rowKey(row)} row={row} {...props} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function Head<T>({ columns, sorting, onSort }: Props<T>) {
  return (
    <thead>
      <tr>
        {columns.map((column) => (
          <th
            key={column.key}
            scope="col"
            className={classes(column)}
            style={column.width ? { width: column.width } : undefined}
            aria-sort={column.sort && sorting?.by === column.sort ? (sorting.descending ? 'descending' : 'ascending') : undefined}
          >
            {column.sort && onSort ? <SortButton column={column} sort={column.sort} sorting={sorting} onSort={onSort} /> : column.title || <span className="hidden">{t('common.actions')}</span>}
          </th>
        ))}
      </tr>
    </thead>
  );
}

interface SortProps<T> {
  column: Column<T>;
  sort: string;
  sorting: Sorting | undefined;
  onSort: (to: Sorting) => void;
}

function SortButton<T>({ column, sort, sorting, onSort }: SortProps<T>) {
  const active = sorting?.by === sort;
  const Arrow = active && sorting.descending ? IconChevronDown : IconChevronUp;
  return (
    <button type="button" className={css.sortButton} onClick={() => onSort({ by: sort, descending: active ? !sorting.descending : false })}>
      {column.title}
      <Arrow size={14} aria-hidden opacity={active ? 1 : 0} />
    </button>
  );
}

export function Row<T>({ row, columns, onRow, index }: Props<T> & { row: T; index?: number }) {
  return (
    <tr
      className={onRow ? css.rowLink : undefined}
      aria-rowindex={index === undefined ? undefined : index + 2}
      onClick={
        onRow &&
        ((e) => {
          // Links and buttons in the row do their own.
          if (!(e.target as Element).closest('a, button, input, label, [role="menu"]')) onRow(row);
        })
      }
    >
      {columns.map((column) => (
        <td key={column.key} className={classes(column)}>
          {column.cell(row)}
        </td>
      ))}
    </tr>
  );
}

function classes<T>(column: Column<T>): string {
  return [column.end ? css.end : '', column.wide ? css.wide : ''].join(' ').trim();
}
