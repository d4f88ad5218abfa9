import { Button, Group } from '@mantine/core';
import { IconAlertTriangle, IconMapOff } from '@tabler/icons-react';
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
  const gone = isGone(error);
  const title = t(gone ? 'error.pageTitle' : 'error.title');
  useTitle(title);
  const id = requestId(error);
  return (
    <div role="alert">
      <EmptyState
        main
        icon={gone ? IconMapOff : IconAlertTriangle}
        title={title}
        action={
          <Group justify="center">
            {!gone && (
              <Button variant="filled" onClick={retry}>
                {t('common.retry')}
              </Button>
            )}
            <Button component={Link} href="/" variant={gone ? 'filled' : 'default'}>
              {t('error.home')}
            </Button>
          </Group>
        }
      >
        {sentence(error)} {id && t('error.requestId', { id })}
      </EmptyState>
    </div>
  );
}
