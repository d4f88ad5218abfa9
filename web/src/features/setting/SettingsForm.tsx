import { Button, Group, Stack } from '@mantine/core';
import type { ReactNode } from 'react';
import { useCan } from '@/api';
import { t } from '@/text';
import { ErrorNotice, Form, Section, type Submit } from '@/ui';

interface Props {
  title: string;
  hint?: string;
  submit: Submit;
  /** Beside the button that saves. */
  actions?: ReactNode;
  children: ReactNode;
}

/** One document of settings: read by some, changed by fewer. */
export function SettingsForm({ title, hint, submit, actions, children }: Props) {
  const may = useCan()('settings.write');
  return (
    <Section title={title} hint={hint}>
      <Form run={submit.run}>
        <fieldset disabled={!may} style={{ border: 0, margin: 0, padding: 0, minWidth: 0 }}>
          <Stack gap="sm" maw="40rem">
            {children}
            <ErrorNotice error={submit.error} />
            {may && (
              <Group justify="flex-end" gap="xs">
                {actions}
                <Button type="submit" variant="filled" loading={submit.busy}>
                  {t('common.save')}
                </Button>
              </Group>
            )}
          </Stack>
        </fieldset>
      </Form>
    </Section>
  );
}
