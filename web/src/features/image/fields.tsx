// Inputs that several parts of the editor are made of.
import { ActionIcon, Button, Group, NumberInput, Textarea } from '@mantine/core';
import { IconArrowDown, IconArrowUp, IconPlus, IconTrash } from '@tabler/icons-react';
import { useState, type ReactNode } from 'react';
import { t, type TextKey } from '@/text';
import type { Submit } from '@/ui';
import { linesOf, moved, wrongBeneath, type Definition } from './definition';
import css from './image.module.css';

export interface PartProps {
  def: Definition;
  set: (change: Partial<Definition>) => void;
  submit: Submit;
}

export function Lines({ label, hint, value, error, onChange }: { label: TextKey; hint: TextKey; value: string[]; error?: string | undefined; onChange: (to: string[]) => void }) {
  const [text, setText] = useState(value.join('\n'));
  return (
    <Textarea
      label={t(label)}
      description={t(hint)}
      autosize
      minRows={2}
      classNames={{ input: 'mono' }}
      spellCheck={false}
      value={text}
      error={error}
      onChange={(e) => {
        setText(e.currentTarget.value);
        onChange(linesOf(e.currentTarget.value));
      }}
    />
  );
}

export function Seconds({ label, hint, value, error, onChange }: { label: TextKey; hint: TextKey; value: number | undefined; error?: string | undefined; onChange: (to: number) => void }) {
  return <NumberInput label={t(label)} description={t(hint)} suffix=" s" min={0} value={value ?? ''} error={error} onChange={(to) => onChange(Number(to))} />;
}

interface RowsProps<T> {
  rows: readonly T[];
  onChange: (rows: T[]) => void;
  /** What the button that adds one says, and what it adds. */
  add: string;
  fresh: () => T;
  /** A row's name, for the buttons that move and remove it. */
  name: (row: T, at: number) => string;
  children: (row: T, set: (change: Partial<T>) => void, at: number) => ReactNode;
  /** Their order means something. */
  ordered?: boolean;
}

/** Rows of a form: added, moved and removed. */
export function Rows<T extends object>({ rows, onChange, add, fresh, name, children, ordered }: RowsProps<T>) {
  const set = (at: number, change: Partial<T>) => onChange(rows.map((row, n) => (n === at ? { ...row, ...change } : row)));
  return (
    <div className={css.rows}>
      {rows.map((row, at) => (
        <div key={at} className={css.row} role="group" aria-label={name(row, at)}>
          <div className={css.rowFields}>{children(row, (change) => set(at, change), at)}</div>
          <RowButtons rows={rows} at={at} name={name(row, at)} onChange={onChange} ordered={!!ordered} />
        </div>
      ))}
      <div>
        <Button leftSection={<IconPlus size={14} aria-hidden />} onClick={() => onChange([...rows, fresh()])}>
          {add}
        </Button>
      </div>
    </div>
  );
}

/** Up, down, away. */
export function RowButtons<T>({ rows, at, name, onChange, ordered }: { rows: readonly T[]; at: number; name: string; onChange: (rows: T[]) => void; ordered: boolean }) {
  return (
    <Group gap={2} wrap="nowrap" className={css.rowButtons}>
      {ordered && (
        <>
          <ActionIcon aria-label={t('image.rowUp', { name })} disabled={at === 0} onClick={() => onChange(moved(rows, at, -1))}>
            <IconArrowUp size={16} />
          </ActionIcon>
          <ActionIcon aria-label={t('image.rowDown', { name })} disabled={at === rows.length - 1} onClick={() => onChange(moved(rows, at, 1))}>
            <IconArrowDown size={16} />
          </ActionIcon>
        </>
      )}
      <ActionIcon aria-label={t('image.rowRemove', { name })} onClick={() => onChange(rows.filter((_, n) => n !== at))}>
        <IconTrash size={16} />
      </ActionIcon>
    </Group>
  );
}

/** What is wrong with a part as a whole, or with what no input of it shows. */
export function Wrong({ submit, at, shown = /^$/ }: { submit: Submit; at: readonly string[]; shown?: RegExp }) {
  const told = at.flatMap((place) => wrongBeneath(submit.fields, place, shown));
  if (told.length === 0) return null;
  return (
    <ul className={css.wrong} role="alert">
      {told.map((each) => (
        <li key={each}>{each}</li>
      ))}
    </ul>
  );
}
