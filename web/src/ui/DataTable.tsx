import { IconChevronDown, IconChevronUp } from '@tabler/icons-react';
import { useVirtualizer } from '@tanstack/react-virtual';
import { useRef, type ReactNode } from 'react';
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

const rowHeight = 40;

/** The one table. Rows of a long list exist only while they are in sight. */
export function DataTable<T>(props: Props<T>) {
  const { rows, error, retry, empty } = props;
  if (error && !rows) return <ErrorNotice error={error} retry={retry} />;
  if (!rows) return <RowSkeletons />;
  if (rows.length === 0) return <>{empty ?? <EmptyState title={t('common.nothingFound')} />}</>;
  return props.height ? <LongTable {...props} rows={rows} /> : <ShortTable {...props} rows={rows} />;
}

function ShortTable<T>(props: Props<T> & { rows: T[] }) {
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

function LongTable<T>(props: Props<T> & { rows: T[] }) {
  const box = useRef<HTMLDivElement>(null);
  // eslint-disable-next-line react-hooks/incompatible-library -- it has to draw anew at each scroll
  const virtual = useVirtualizer({
    count: props.rows.length,
    getScrollElement: () => box.current,
    estimateSize: () => rowHeight,
    overscan: 12,
    initialRect: { width: 800, height: 600 },
  });
  const shown = virtual.getVirtualItems();
  const above = shown[0]?.start ?? 0;
  const below = virtual.getTotalSize() - (shown.at(-1)?.end ?? 0);
  return (
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- a region that scrolls has to be reached by keyboard
    <div ref={box} className={css.table} style={{ maxHeight: props.height }} tabIndex={0} role="region" aria-label={props.label}>
      <table aria-label={props.label} aria-rowcount={props.rows.length + 1}>
        <Head {...props} />
        <tbody>
          <Spacer height={above} columns={props.columns.length} />
          {shown.map((item) => {
            const row = props.rows[item.index];
            return row === undefined ? null : <Row key={props.rowKey(row)} row={row} index={item.index} {...props} />;
          })}
          <Spacer height={below} columns={props.columns.length} />
        </tbody>
      </table>
    </div>
  );
}

function Spacer({ height, columns }: { height: number; columns: number }) {
  if (height <= 0) return null;
  return (
    <tr className={css.spacer} aria-hidden>
      <td colSpan={columns} style={{ height }} />
    </tr>
  );
}

function Head<T>({ columns, sorting, onSort }: Props<T>) {
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

function Row<T>({ row, columns, onRow, index }: Props<T> & { row: T; index?: number }) {
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
