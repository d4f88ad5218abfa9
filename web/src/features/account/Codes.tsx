import { Button, Group, Modal, Stack, Text } from '@mantine/core';
import { t } from '@/text';
import { CopyButton } from '@/ui';
import css from './account.module.css';

/** Recovery codes, the one time that they are shown. */
export function Codes({ codes, onClose }: { codes: string[] | undefined; onClose: () => void }) {
  return (
    // A click beside it must not lose what never comes again.
    <Modal opened={!!codes?.length} onClose={onClose} title={t('account.codesShown')} closeOnClickOutside={false} closeOnEscape={false}>
      <Stack gap="md">
        <Text>{t('account.codesShownHint')}</Text>
        <ul className={`${css.codes} mono`}>{codes?.map((code) => <li key={code}>{code}</li>)}</ul>
        <Group justify="flex-end" gap="xs">
          <CopyButton text={(codes ?? []).join('\n')} />
          <Button variant="filled" onClick={onClose}>
            {t('account.codesKept')}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
