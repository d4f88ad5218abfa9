import { Modal } from '@mantine/core';
import { useState, type ReactNode } from 'react';

interface Props<T> {
  /** What it is about: it is open as long as there is something. */
  of: T | undefined;
  onClose: () => void;
  title: (of: T) => string;
  size?: 'lg' | 'xl';
  children: (of: T) => ReactNode;
}

/**
 * A window above the page. While it fades it shows what it showed, so that nothing
 * jumps or says nonsense on its way out; nobody can press anything there any more.
 */
export function Dialog<T>({ of, onClose, title, size, children }: Props<T>) {
  const [last, setLast] = useState(of);
  if (of !== undefined && of !== last) setLast(of);
  return (
    <Modal opened={of !== undefined} onClose={onClose} title={last !== undefined && title(last)} size={size}>
      <div inert={of === undefined}>{last !== undefined && children(last)}</div>
    </Modal>
  );
}
