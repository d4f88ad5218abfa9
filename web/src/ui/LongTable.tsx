import { useVirtualizer } from '@tanstack/react-virtual';
import { useRef } from 'react';
import { Head, Row, type TableProps } from './DataTable';
import css from './ui.module.css';

const rowHeight = 40;

/** A table whose rows exist only while they are in sight: see DataTable. */
export default function LongTable<T>(props: TableProps<T>) {
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
