import { NativeSelect, TextInput } from '@mantine/core';
import { IconSearch } from '@tabler/icons-react';
import { useEffect, useState, type ReactNode } from 'react';
import { t } from '@/text';
import css from './ui.module.css';

/** A row above a list that narrows it. */
export function Filters({ children }: { children: ReactNode }) {
  return (
    <div className={css.filters} role="search">
      {children}
    </div>
  );
}

/** Finds as one types, a moment behind. */
export function SearchField({ value, onChange, placeholder }: { value: string; onChange: (to: string) => void; placeholder?: string }) {
  const [typed, setTyped] = useState(value);
  useEffect(() => {
    if (typed === value) return;
    const timer = setTimeout(() => onChange(typed), 250);
    return () => clearTimeout(timer);
  }, [typed, value, onChange]);
  return (
    <TextInput
      wrapperProps={{ 'data-wide': true }}
      type="search"
      aria-label={t('common.search')}
      placeholder={placeholder ?? t('common.search')}
      leftSection={<IconSearch size={16} aria-hidden />}
      value={typed}
      onChange={(e) => setTyped(e.currentTarget.value)}
    />
  );
}

interface ChoiceProps {
  value: string;
  onChange: (to: string) => void;
  data: { value: string; label: string }[];
  /** Above it; with `name` instead it is only told to those who don't see it. */
  label?: string;
  name?: string;
}

/** One of a few. The browser's own list: it costs nothing to load, and phones have a better one than we. */
export function Choice({ value, onChange, data, label, name }: ChoiceProps) {
  return <NativeSelect label={label} aria-label={name} value={value} onChange={(e) => onChange(e.currentTarget.value)} data={data} />;
}
