import { Button, Group } from '@mantine/core';
import type { ReactNode } from 'react';
import { Link } from 'wouter';
import { t } from '@/text';
import { ErrorNotice } from './ErrorNotice';

interface Props {
  /** What the form sends: see useSubmit. */
  submit: { error: unknown; busy: boolean };
  /** Whereto, or what to do, instead of sending; without there is no such button. */
  cancel?: string | (() => void);
  disabled?: boolean;
  /** red for what takes something away. */
  color?: 'red';
  /** Away from what stands above, where no stack sees to that. */
  apart?: boolean;
  /** What the button that sends says. */
  children: ReactNode;
}

/** How every form ends: what went wrong with it, a way out, and the button that sends it. */
export function FormEnd({ submit, cancel, disabled, color, apart, children }: Props) {
  return (
    <>
      <ErrorNotice error={submit.error} />
      <Group justify="flex-end" gap="xs" mt={apart ? 'md' : undefined}>
        {typeof cancel === 'string' && (
          <Button component={Link} href={cancel}>
            {t('common.cancel')}
          </Button>
        )}
        {typeof cancel === 'function' && <Button onClick={cancel}>{t('common.cancel')}</Button>}
        <Button type="submit" variant="filled" color={color} loading={submit.busy} disabled={disabled}>
          {children}
        </Button>
      </Group>
    </>
  );
}
