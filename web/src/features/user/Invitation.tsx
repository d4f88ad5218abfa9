import { Text } from '@mantine/core';
import type { View } from '@/api';
import { t } from '@/text';
import { CopyField, RelativeTime } from '@/ui';

/** An invitation that went out: by mail, or a link to hand over. */
export function Invitation({ sent, email }: { sent: View<'InviteView'>; email: string }) {
  return (
    <div role="status">
      <Text mb="xs">{sent.link ? t('user.linkHint') : t('user.mailed', { email })}</Text>
      {sent.link && <CopyField label={t('user.link')} text={sent.link} wrap />}
      <Text size="sm" c="dimmed" mt="xs">
        {t('user.linkEnds')} <RelativeTime at={sent.expires_at} />
      </Text>
    </div>
  );
}
