import { Tabs } from '@mantine/core';
import { useEffect, useRef, type ReactNode } from 'react';
import { intoView } from './intoView';

interface Props {
  /** The value of the tab that is open. */
  open: string;
  children: ReactNode;
}

/** The tabs of a page. On a phone they scroll: the open one is always seen. */
export function TabList({ open, children }: Props) {
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => {
    intoView(list.current?.querySelector('[aria-selected=true]'));
  }, [open]);
  return (
    <Tabs.List ref={list} mb="md">
      {children}
    </Tabs.List>
  );
}
