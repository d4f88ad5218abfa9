import { Loader, Stack, Tabs, Text } from '@mantine/core';
import { IconCircleCheck } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { call, keys, type View } from '@/api';
import { t } from '@/text';
import { CopyField, RelativeTime } from '@/ui';
import css from './parts.module.css';

interface Props {
  node: string;
  enrolment: View<'EnrolmentView'>;
}

/** What to run on a machine so that it becomes a node; turns green when it has. */
export function NodeCommand({ node, enrolment }: Props) {
  return (
    <Stack gap="sm">
      <Tabs defaultValue="install">
        <Tabs.List>
          <Tabs.Tab value="install">{t('node.commandInstall')}</Tabs.Tab>
          {enrolment.enrol_command && <Tabs.Tab value="enrol">{t('node.commandEnrol')}</Tabs.Tab>}
        </Tabs.List>
        <Tabs.Panel value="install" pt="sm">
          <Text size="sm" mb="xs">
            {t('node.commandInstallHint')}
          </Text>
          <CopyField label={t('node.commandInstall')} text={enrolment.command ?? enrolment.enrol_command ?? enrolment.key ?? ''} wrap />
        </Tabs.Panel>
        <Tabs.Panel value="enrol" pt="sm">
          <Text size="sm" mb="xs">
            {t('node.commandEnrolHint')}
          </Text>
          <CopyField label={t('node.commandEnrol')} text={enrolment.enrol_command ?? ''} wrap />
        </Tabs.Panel>
      </Tabs>
      <Text size="sm" c="dimmed">
        {t('node.commandEnds')} <RelativeTime at={enrolment.expires_at} />
      </Text>
      <Arrival node={node} />
    </Stack>
  );
}

// The node's own events make its answer old: nothing is asked for by a clock.
function Arrival({ node: id }: { node: string }) {
  const { data: node } = useQuery({ queryKey: keys.nodes(id), queryFn: () => call('get', '/api/v1/nodes/{id}', { path: { id } }) });
  const here = node?.state === 'online';
  return (
    <div className={`${css.waiting} ${here ? css.arrived : ''}`} role="status">
      {here ? <IconCircleCheck size={20} aria-hidden color="var(--good)" /> : <Loader size={18} aria-hidden />}
      <span>{here ? t('node.arrived', { name: node.name, release: node.release ?? '' }) : node?.enrolled_at ? t('node.arriving') : t('node.waiting')}</span>
    </div>
  );
}
