import { Button } from '@mantine/core';
import { IconAlertTriangle, IconMapOff } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import { Link } from 'wouter';
import { t } from '@/text';
import { EmptyState } from './EmptyState';
import { isGone, requestId, sentence } from './problem';
import { useTitle } from './useTitle';

interface Props {
  error: unknown;
  retry: () => void;
}

/** Instead of a page whose thing could not be had: what went wrong, and the way on. */
export function ErrorPage({ error, retry }: Props) {
  return <div role="alert">{isGone(error) ? <NotThere>{sentence(error)}</NotThere> : <Failed error={error} retry={retry} />}</div>;
}

/** Instead of a page that is not there, or not for whoever asks. */
export function NotThere({ children }: { children: ReactNode }) {
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
      {children}
    </EmptyState>
  );
}

function Failed({ error, retry }: Props) {
  useTitle(t('error.title'));
  const id = requestId(error);
  return (
    <EmptyState
      main
      icon={IconAlertTriangle}
      title={t('error.title')}
      action={
        <Button variant="filled" onClick={retry}>
          {t('common.retry')}
        </Button>
      }
    >
      {sentence(error)} {id && t('error.requestId', { id })}
    </EmptyState>
  );
}
