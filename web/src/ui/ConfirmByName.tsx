import { Button, Group, Stack, Text, TextInput } from '@mantine/core';
import { useState, type ReactNode } from 'react';
import { t } from '@/text';
import { Dialog } from './Dialog';
import { ErrorNotice } from './ErrorNotice';
import { Form } from './Form';

interface Props {
  opened: boolean;
  onClose: () => void;
  title: string;
  /** What will happen. */
  children: ReactNode;
  /** What has to be typed; without it a click is enough. */
  name?: string;
  confirm: string;
  run: () => Promise<unknown>;
}

/** Asks before what cannot be undone: the thing's name has to be typed. */
export function ConfirmByName(props: Props) {
  return (
    <Dialog of={props.opened ? props : undefined} onClose={props.onClose} title={(of) => of.title}>
      {(of) => <Question {...of} />}
    </Dialog>
  );
}

function Question({ onClose, children, name, confirm, run }: Props) {
  const [typed, setTyped] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const go = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await run();
      onClose();
    } catch (cause) {
      setError(cause);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Form run={() => !busy && (!name || typed === name) && go()}>
      <Stack gap="md">
        <Text component="div">{children}</Text>
        {name && (
          <TextInput
            data-autofocus
            label={t('common.typeName', { name })}
            value={typed}
            onChange={(e) => setTyped(e.currentTarget.value)}
            autoComplete="off"
            spellCheck={false}
          />
        )}
        <ErrorNotice error={error} />
        <Group justify="flex-end" gap="xs">
          <Button onClick={onClose}>{t('common.cancel')}</Button>
          <Button type="submit" variant="filled" color="red" loading={busy} disabled={!!name && typed !== name}>
            {confirm}
          </Button>
        </Group>
      </Stack>
    </Form>
  );
}
