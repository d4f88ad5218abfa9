import { Drawer } from '@mantine/core';
import { useMounted } from '@mantine/hooks';
import type { ReactNode } from 'react';
import { t } from '@/text';

interface Props {
  opened: boolean;
  onClose: () => void;
  children: ReactNode;
}

/** The sidebar on a phone. */
export default function MenuDrawer({ opened, onClose, children }: Props) {
  // It opens a moment after it is there: only then it slides in, and knows what had the focus before.
  const here = useMounted();
  return (
    <Drawer opened={opened && here} onClose={onClose} title={t('nav.menu')} size="17rem" padding="sm">
      {children}
    </Drawer>
  );
}
