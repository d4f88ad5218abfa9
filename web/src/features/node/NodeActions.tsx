import { Button, Menu } from '@mantine/core';
import { IconChevronDown } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useLocation } from 'wouter';
import { call, keys, useAhead, useCan } from '@/api';
import { JobLive } from '@/parts';
import { t } from '@/text';
import { ConfirmByName, Dialog, notifyDone, notifyError, useCommands } from '@/ui';
import type { Node } from './node';

type Asked = 'drain' | 'update' | 'revoke' | 'remove';

/** What can be done with a node. */
export function NodeActions({ node }: { node: Node }) {
  const can = useCan();
  const [asked, setAsked] = useState<Asked>();
  const [job, setJob] = useState<string>();
  const path = { id: node.id };
  const ahead = useAhead<Node>(keys.nodes(node.id));
  const maintenance = async () => {
    const maintenance = !node.maintenance;
    try {
      await ahead(
        (shown) => ({ ...shown, maintenance }),
        () => call('post', '/api/v1/nodes/{id}/maintenance', { path, body: { on: maintenance } }),
      );
      notifyDone(t(maintenance ? 'node.maintenanceDone' : 'node.maintenanceEnded'));
    } catch (error) {
      notifyError(error);
    }
  };
  const write = can('nodes.write');
  useCommands(
    write
      ? [
          { id: 'node.maintenance', label: t(node.maintenance ? 'node.maintenanceOff' : 'node.maintenanceOn'), run: () => void maintenance() },
          { id: 'node.drain', label: t('node.drain'), run: () => setAsked('drain') },
        ]
      : [],
  );
  if (!write && !can('system.write')) return null;
  return (
    <>
      {write && (
        <Button onClick={() => void maintenance()} title={t('node.maintenanceHint')}>
          {t(node.maintenance ? 'node.maintenanceOff' : 'node.maintenanceOn')}
        </Button>
      )}
      <Menu>
        <Menu.Target>
          <Button rightSection={<IconChevronDown size={14} aria-hidden />}>{t('common.actions')}</Button>
        </Menu.Target>
        <Menu.Dropdown>
          {write && <Menu.Item onClick={() => setAsked('drain')}>{t('node.drain')}</Menu.Item>}
          {can('system.write') && <Menu.Item onClick={() => setAsked('update')}>{t('node.update')}</Menu.Item>}
          {write && (
            <>
              <Menu.Divider />
              <Menu.Item color="red" onClick={() => setAsked('revoke')} disabled={node.state === 'unconfigured' || node.state === 'revoked'}>
                {t('node.revoke')}
              </Menu.Item>
              <Menu.Item color="red" onClick={() => setAsked('remove')}>
                {t('node.remove')}
              </Menu.Item>
            </>
          )}
        </Menu.Dropdown>
      </Menu>
      <Questions node={node} asked={asked} close={() => setAsked(undefined)} onJob={setJob} />
      <Dialog of={job} onClose={() => setJob(undefined)} title={() => t('job.one')} size="lg">
        {(id) => <JobLive id={id} onRetry={setJob} />}
      </Dialog>
    </>
  );
}

interface QuestionsProps {
  node: Node;
  asked: Asked | undefined;
  close: () => void;
  onJob: (id: string) => void;
}

function Questions({ node, asked, close, onJob }: QuestionsProps) {
  const client = useQueryClient();
  const [, go] = useLocation();
  const path = { id: node.id };
  const again = () => client.invalidateQueries({ queryKey: keys.nodes() });
  const name = node.name;
  return (
    <>
      <ConfirmByName opened={asked === 'drain'} onClose={close} title={t('node.drainTitle', { name })} confirm={t('node.drain')}
        run={async () => {
          onJob((await call('post', '/api/v1/nodes/{id}/drain', { path })).id);
          await again();
        }}
      >
        {t('node.drainText')}
      </ConfirmByName>
      <ConfirmByName opened={asked === 'update'} onClose={close} title={t('node.updateTitle', { name })} confirm={t('node.update')}
        run={async () => onJob((await call('post', '/api/v1/nodes/{id}/update', { path })).id)}
      >
        {t('node.updateText')}
      </ConfirmByName>
      <ConfirmByName opened={asked === 'revoke'} onClose={close} title={t('node.revokeTitle', { name })} name={name} confirm={t('node.revoke')}
        run={async () => {
          await call('post', '/api/v1/nodes/{id}/revoke', { path });
          notifyDone(t('node.revoked'));
          await again();
        }}
      >
        {t('node.revokeText')}
      </ConfirmByName>
      <ConfirmByName opened={asked === 'remove'} onClose={close} title={t('node.removeTitle', { name })} name={name} confirm={t('node.remove')}
        run={async () => {
          await call('delete', '/api/v1/nodes/{id}', { path });
          notifyDone(t('node.removed'));
          go('/nodes');
          await client.invalidateQueries({ queryKey: keys.nodes('list') });
        }}
      >
        {t('node.removeText')}
      </ConfirmByName>
    </>
  );
}
