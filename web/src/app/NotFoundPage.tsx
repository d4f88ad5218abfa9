import { Button } from '@mantine/core';
import { IconMapOff } from '@tabler/icons-react';
import { Link } from 'wouter';
import { t } from '@/text';
import { EmptyState, useTitle } from '@/ui';

export function NotFoundPage() {
  useTitle(t('error.pageTitle'));
  return (
    <EmptyState
      main
      icon={IconMapOff}
      title={t('error.pageTitle')}
      action={
        <Button component={Link} href="/" variant="filled">
          {t('error.home')}
        </Button>
      }
    >
      {t('error.pageHint')}
    </EmptyState>
  );
}
