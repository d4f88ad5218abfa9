import { Menu, Stack, Switch, Text, Textarea } from '@mantine/core';
import { IconArrowsExchange, IconCopyPlus, IconLock, IconLockOpen, IconTrash } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useLocation } from 'wouter';
import { call, keys, useCan, type View } from '@/api';
import { JobLive, NodeSelect, useTakingNodes } from '@/parts';
import { t } from '@/text';
import { ConfirmByName, Dialog, Form, FormEnd, notifyDone, notifyError, useSubmit } from '@/ui';
import { Clone } from './Clone';

type Instance = View<'InstanceView'>;
type Asked = 'suspend' | 'move' | 'clone' | 'delete';

interface Props {
  instance: Instance;
  /** What opens the menu. */
  children: React.ReactNode;
}

/** What an admin does with an instance: suspend, move, delete. Nothing for others. */
export function InstanceAdmin({ instance, children }: Props) {
  const may = useCan()('instances.write');
  const [asked, setAsked] = useState<Asked>();
  const [job, setJob] = useState<string>();
  const client = useQueryClient();
  const close = () => setAsked(undefined);
  if (!may) return null;
  const lift = () =>
    call('post', '/api/v1/instances/{id}/unsuspend', { path: { id: instance.id } })
      .then(() => {
        notifyDone(t('deploy.lifted'));
        return client.invalidateQueries({ queryKey: keys.instances() });
      })
      .catch(notifyError);
  return (
    <>
      <Menu>
        <Menu.Target>{children}</Menu.Target>
        <Menu.Dropdown>
          {instance.suspended ? (
            <Menu.Item leftSection={<IconLockOpen size={16} />} onClick={() => void lift()}>
              {t('deploy.lift')}
            </Menu.Item>
          ) : (
            <Menu.Item leftSection={<IconLock size={16} />} onClick={() => setAsked('suspend')}>
              {t('deploy.suspend')}
            </Menu.Item>
          )}
          <Menu.Item leftSection={<IconArrowsExchange size={16} />} onClick={() => setAsked('move')}>
            {t('deploy.move')}
          </Menu.Item>
          <Menu.Item leftSection={<IconCopyPlus size={16} />} onClick={() => setAsked('clone')}>
            {t('instance.clone')}
          </Menu.Item>
          <Menu.Divider />
          <Menu.Item color="red" leftSection={<IconTrash size={16} />} onClick={() => setAsked('delete')}>
            {t('common.delete')}
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      <Dialog of={asked === 'suspend' || undefined} onClose={close} title={() => t('deploy.suspendTitle', { name: instance.name })}>
        {() => <Suspend instance={instance} close={close} />}
      </Dialog>
      <Dialog of={asked === 'move' || undefined} onClose={close} title={() => t('deploy.moveTitle', { name: instance.name })}>
        {() => (
          <Move
            instance={instance}
            done={(made) => {
              close();
              setJob(made);
            }}
          />
        )}
      </Dialog>
      <Dialog of={asked === 'clone' || undefined} onClose={close} title={() => t('instance.cloneTitle', { name: instance.name })}>
        {() => <Clone instance={instance} close={close} />}
      </Dialog>
      <Delete instance={instance} opened={asked === 'delete'} close={close} />
      <Dialog of={job} onClose={() => setJob(undefined)} title={() => t('job.one')} size="lg">
        {(id) => <JobLive key={id} id={id} onRetry={setJob} />}
      </Dialog>
    </>
  );
}

function Suspend({ instance, close }: { instance: Instance; close: () => void }) {
  const [reason, setReason] = useState('');
  const client = useQueryClient();
  const submit = useSubmit(async () => {
    await call('post', '/api/v1/instances/{id}/suspend', { path: { id: instance.id }, body: { reason } });
    notifyDone(t('deploy.suspended'));
    close();
    await client.invalidateQueries({ queryKey: keys.instances() });
  }, ['reason']);
  return (
    <Form run={submit.run}>
      <Stack gap="sm">
        <Text>{t('deploy.suspendText')}</Text>
        <Textarea data-autofocus label={t('deploy.reason')} description={t('deploy.reasonHint')} value={reason} error={submit.of('reason')} autosize minRows={2} onChange={(e) => setReason(e.currentTarget.value)} />
        <FormEnd submit={submit} cancel={close} color="red">
          {t('deploy.suspend')}
        </FormEnd>
      </Stack>
    </Form>
  );
}

function Move({ instance, done }: { instance: Instance; done: (job: string | undefined) => void }) {
  const [to, setTo] = useState('');
  const [reassign, setReassign] = useState(true);
  const nodes = useTakingNodes()?.filter((each) => each.id !== instance.node_id);
  const submit = useSubmit(async () => {
    const made = await call('post', '/api/v1/instances/{id}/move', { path: { id: instance.id }, body: { reassign_ports: reassign, ...(to ? { node_id: to } : {}) } });
    done(made.job?.id);
  }, ['node_id']);
  return (
    <Form run={submit.run}>
      <Stack gap="sm">
        <Text>{t('deploy.moveText')}</Text>
        <NodeSelect label={t('deploy.moveTo')} nodes={nodes} needs={instance} none={t('deploy.moveNowhere')} value={to} error={submit.of('node_id')} onChange={setTo} />
        <Switch label={t('deploy.reassign')} description={t('deploy.reassignHint')} checked={reassign} onChange={(e) => setReassign(e.currentTarget.checked)} />
        <FormEnd submit={submit} disabled={!nodes?.length}>
          {t('deploy.move')}
        </FormEnd>
      </Stack>
    </Form>
  );
}

function Delete({ instance, opened, close }: { instance: Instance; opened: boolean; close: () => void }) {
  const [forget, setForget] = useState(false);
  const [, go] = useLocation();
  const client = useQueryClient();
  return (
    <ConfirmByName
      opened={opened}
      onClose={close}
      title={t('deploy.deleteTitle', { name: instance.name })}
      name={instance.name}
      confirm={t('common.delete')}
      run={async () => {
        await call('delete', '/api/v1/instances/{id}', { path: { id: instance.id }, query: forget ? { forget: true } : {} } as never);
        notifyDone(t('deploy.deleting'));
        go('/instances');
        await client.invalidateQueries({ queryKey: keys.instances('list') });
      }}
    >
      <Stack gap="sm">
        <span>
          {t('deploy.deleteText')} {t('common.cannotUndo')}
        </span>
        <Switch label={t('deploy.forget')} description={t('deploy.forgetHint')} checked={forget} onChange={(e) => setForget(e.currentTarget.checked)} />
      </Stack>
    </ConfirmByName>
  );
}
