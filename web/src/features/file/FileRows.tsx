import { ActionIcon, Checkbox, Menu } from '@mantine/core';
import { IconChevronDown, IconChevronUp, IconDots, IconFile, IconFileText, IconFileZip, IconFolder, IconLink, type Icon } from '@tabler/icons-react';
import { useVirtualizer } from '@tanstack/react-virtual';
import { createElement, useEffect, useRef, type ReactNode } from 'react';
import { bytes, t } from '@/text';
import { RelativeTime } from '@/ui';
import { isArchive, looksBinary, shown } from './paths';
import type { Entry, SortBy } from './store';
import css from './file.module.css';

interface Props {
  label: string;
  entries: Entry[];
  chosen: ReadonlySet<string>;
  onChosen: (paths: ReadonlySet<string>) => void;
  onOpen: (entry: Entry) => void;
  /** What can be done with one: the items of its menu. */
  menu: (entry: Entry) => ReactNode;
  sort: SortBy;
  down: boolean;
  onSort: (by: SortBy) => void;
  /** The end is in sight. */
  onEnd: () => void;
}

const rowHeight = 40;

function Sign({ entry }: { entry: Entry }) {
  const props = { size: 18, stroke: 1.5, 'aria-hidden': true } as const;
  const icons: Record<string, Icon> = { dir: IconFolder, link: IconLink, archive: IconFileZip, binary: IconFile, text: IconFileText };
  return createElement(icons[lookOf(entry)] ?? IconFile, props);
}

function lookOf(entry: Entry): string {
  if (entry.kind !== 'file') return entry.kind;
  if (isArchive(entry.name)) return 'archive';
  return looksBinary(entry.name) ? 'binary' : 'text';
}

/** A folder's entries; only those in sight exist. */
export function FileRows(props: Props) {
  const { entries, chosen, onChosen } = props;
  const box = useRef<HTMLDivElement>(null);
  // eslint-disable-next-line react-hooks/incompatible-library -- it has to draw anew at each scroll
  const virtual = useVirtualizer({ count: entries.length, getScrollElement: () => box.current, estimateSize: () => rowHeight, overscan: 12, initialRect: { width: 800, height: 600 } });
  const rows = virtual.getVirtualItems();
  const last = rows.at(-1)?.index ?? 0;
  const { onEnd } = props;
  useEffect(() => {
    if (last >= entries.length - 20) onEnd();
  }, [last, entries.length, onEnd]);
  const all = entries.length > 0 && entries.every((each) => chosen.has(each.path));
  return (
    <div role="table" aria-label={props.label} aria-rowcount={entries.length + 1} className={css.table}>
      <div role="row" className={css.head}>
        <span role="columnheader">
          <Checkbox
            size="xs"
            aria-label={t('file.chooseAll')}
            checked={all}
            indeterminate={!all && chosen.size > 0}
            onChange={() => onChosen(all ? new Set() : new Set(entries.map((each) => each.path)))}
          />
        </span>
        <Heading by="name" text={t('common.name')} {...props} />
        <Heading by="size" text={t('file.size')} {...props} />
        <Heading by="mtime" text={t('common.changed')} {...props} />
        <span role="columnheader" className="hidden">
          {t('common.actions')}
        </span>
      </div>
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- a region that scrolls has to be reached by keyboard */}
      <div ref={box} className={css.rows} role="rowgroup" tabIndex={0}>
        <div style={{ height: virtual.getTotalSize(), position: 'relative' }}>
          {rows.map((item) => {
            const entry = entries[item.index];
            return entry && <Row key={entry.path} {...props} entry={entry} index={item.index} start={item.start} />;
          })}
        </div>
      </div>
    </div>
  );
}

function Heading({ by, text, sort, down, onSort }: Props & { by: SortBy; text: string }) {
  const active = sort === by;
  const Arrow = down ? IconChevronDown : IconChevronUp;
  return (
    <span role="columnheader" aria-sort={active ? (down ? 'descending' : 'ascending') : 'none'} className={css[by]}>
      <button type="button" className={css.sort} onClick={() => onSort(by)}>
        {text}
        <Arrow size={14} aria-hidden opacity={active ? 1 : 0} />
      </button>
    </span>
  );
}

function Row({ entry, index, start, chosen, onChosen, onOpen, menu }: Props & { entry: Entry; index: number; start: number }) {
  const name = shown(entry.name);
  const picked = chosen.has(entry.path);
  const flip = () => {
    const next = new Set(chosen);
    if (!next.delete(entry.path)) next.add(entry.path);
    onChosen(next);
  };
  return (
    <div role="row" aria-rowindex={index + 2} aria-selected={picked} className={css.row} style={{ transform: `translateY(${start}px)` }}>
      <span role="cell">
        <Checkbox size="xs" aria-label={t('file.choose', { name })} checked={picked} onChange={flip} />
      </span>
      <span role="cell" className={css.name}>
        <Sign entry={entry} />
        <button type="button" className={css.open} onClick={() => onOpen(entry)} title={name}>
          {name}
        </button>
        {entry.target && <span className={css.target}>→ {shown(entry.target)}</span>}
      </span>
      <span role="cell" className={css.size}>
        {entry.kind === 'file' ? bytes(entry.size) : ''}
      </span>
      <span role="cell" className={css.mtime}>
        <RelativeTime at={entry.mtime} />
      </span>
      <span role="cell">
        <Menu>
          <Menu.Target>
            <ActionIcon aria-label={t('file.actionsOf', { name })}>
              <IconDots size={16} />
            </ActionIcon>
          </Menu.Target>
          <Menu.Dropdown>{menu(entry)}</Menu.Dropdown>
        </Menu>
      </span>
    </div>
  );
}
