import { Alert, Button, Stack, Text } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import { useState } from 'react';
import { call, useCan, type View } from '@/api';
import { NodeCommand } from '@/parts';
import { t } from '@/text';
import { notifyError, Section } from '@/ui';
import type { Node } from './node';

/** What is wrong with a node, and what to do about it. */
export function NodeNotices({ node }: { node: Node }) {
  const [enrolment, setEnrolment] = useState<View<'EnrolmentView'>>();
  const may = useCan()('nodes.write');
  const renew = () =>
    call('post', '/api/v1/nodes/{id}/enrolment-key', { path: { id: node.id } })
      .then((made) => setEnrolment(made))
      .catch(notifyError);
  const outside = node.state === 'unconfigured' || node.state === 'revoked';
  const shown = told(node);
  if (shown.length === 0 && !enrolment) return null;
  return (
    <Stack gap="xs" mb="md">
      {shown.map(([text, what]) => (
        <Alert key={text} color={node.state === 'offline' || node.state === 'revoked' ? 'red' : 'yellow'} variant="light" icon={<IconAlertTriangle size={18} aria-hidden />}>
          <Text fw={500}>{text}</Text>
          {what && <Text size="sm">{what}</Text>}
        </Alert>
      ))}
      {may && outside && !enrolment && (
        <div>
          <Button onClick={() => void renew()}>{t('node.commandNew')}</Button>
        </div>
      )}
      {enrolment && (
        <Section title={t('node.commandTitle')} hint={t('node.commandNewHint')}>
          <NodeCommand node={node.id} enrolment={enrolment} />
        </Section>
      )}
    </Stack>
  );
}

function told(node: Node): [string, string?][] {
  const out: [string, string?][] = [];
  if (node.state === 'unconfigured') out.push([t('node.notEnrolled')]);
  if (node.state === 'revoked') out.push([t('state.revoked'), t('node.revokedDo')]);
  if (node.state === 'offline') out.push([t('node.offlineReason', { reason: node.reason ?? t('common.unknown') }), t('node.offlineDo')]);
  if (node.state === 'online' && !node.engine.reachable) out.push([t('node.engineAway', { message: node.engine.message ?? '' })]);
  if (node.state === 'online' && node.firewall && !node.firewall.works) out.push([t('node.firewallOff', { message: node.firewall.message ?? '' })]);
  return out;
}
