import { Menu, Modal, Select, Stack, Switch, Text, Textarea } from '@mantine/core';
import { IconArrowsExchange, IconCopyPlus, IconLock, IconLockOpen, IconTrash } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useLocation } from 'wouter';
import { call, keys, list, useCan, type View } from '@/api';
import { JobLive } from '@/parts';
import { mebibytes, t } from '@/text';
import { ConfirmByName, FormEnd, notifyDone, notifyError, useSubmit } from '@/ui';
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
      <Modal opened={asked === 'suspend'} onClose={close} title={t('deploy.suspendTitle', { name: instance.name })}>
        {asked === 'suspend' && <Suspend instance={instance} close={close} />}
      </Modal>
      <Modal opened={asked === 'move'} onClose={close} title={t('deploy.moveTitle', { name: instance.name })}>
        {asked === 'move' && (
          <Move
            instance={instance}
            done={(made) => {
              close();
              setJob(made);
            }}
          />
        )}
      </Modal>
      <Modal opened={asked === 'clone'} onClose={close} title={t('instance.cloneTitle', { name: instance.name })}>
        {asked === 'clone' && <Clone instance={instance} close={close} />}
      </Modal>
      <Delete instance={instance} opened={asked === 'delete'} close={close} />
      <Modal opened={!!job} onClose={() => setJob(undefined)} title={t('job.one')} size="lg">
        {job && <JobLive key={job} id={job} onRetry={setJob} />}
      </Modal>
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
    <form
      onSubmit={(e) => {
        e.preventDefault();
        void submit.run();
      }}
    >
      <Stack gap="sm">
        <Text>{t('deploy.suspendText')}</Text>
        <Textarea data-autofocus label={t('deploy.reason')} description={t('deploy.reasonHint')} value={reason} error={submit.of('reason')} autosize minRows={2} onChange={(e) => setReason(e.currentTarget.value)} />
        <FormEnd submit={submit} cancel={close} color="red">
          {t('deploy.suspend')}
        </FormEnd>
      </Stack>
    </form>
  );
}

function Move({ instance, done }: { instance: Instance; done: (job: string | undefined) => void }) {
  const [to, setTo] = useState('');
  const [reassign, setReassign] = useState(true);
  const nodes = useQuery({ queryKey: keys.nodes('list', 'room'), queryFn: () => list('/api/v1/nodes', { query: { limit: 100 } }) });
  const others = (nodes.data?.items ?? []).filter((each) => each.id !== instance.node_id && each.state === 'online' && !each.maintenance);
  const submit = useSubmit(async () => {
    const made = await call('post', '/api/v1/instances/{id}/move', { path: { id: instance.id }, body: { reassign_ports: reassign, ...(to ? { node_id: to } : {}) } });
    done(made.job?.id);
  }, ['node_id']);
  return (
    <form
      onSubmit={(e) => {
        e.preventDefault();
        void submit.run();
      }}
    >
      <Stack gap="sm">
        <Text>{t('deploy.moveText')}</Text>
        <Select
          label={t('deploy.moveTo')}
          value={to}
          error={submit.of('node_id')}
          onChange={(value) => setTo(value ?? '')}
          data={[
            { value: '', label: t('deploy.nodeAuto') },
            ...others.map((each) => ({ value: each.id, label: `${each.name} (${t('deploy.nodeRoom', { memory: mebibytes(each.memory_free), disk: mebibytes(each.disk_free) })})` })),
          ]}
        />
        {nodes.data && others.length === 0 && <Text c="red" size="sm">{t('deploy.moveNowhere')}</Text>}
        <Switch label={t('deploy.reassign')} description={t('deploy.reassignHint')} checked={reassign} onChange={(e) => setReassign(e.currentTarget.checked)} />
        <FormEnd submit={submit} disabled={others.length === 0}>
          {t('deploy.move')}
        </FormEnd>
      </Stack>
    </form>
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
