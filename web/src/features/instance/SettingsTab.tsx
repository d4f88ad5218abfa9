import { Anchor, Button, Group, Stack, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { call, idempotencyKey, keys, useCan } from '@/api';
import { LimitFields } from '@/parts';
import { t } from '@/text';
import { ConfirmByName, CopyField, ErrorNotice, Form, FormEnd, notifyDone, RowSkeletons, Section, sentence, useSubmit } from '@/ui';
import { useChange } from './change';
import { may, type Instance } from './model';
import { told } from './variables';

/** The name, SFTP, and what is seldom done. */
export default function SettingsTab({ instance }: { instance: Instance }) {
  const edits = may(instance, 'instance.edit');
  const staff = useCan()('instances.write');
  return (
    <>
      {edits && <Name key={instance.name} instance={instance} />}
      {may(instance, 'sftp') && <Sftp instance={instance} />}
      {staff && <Limits key={`l${instance.generation}`} instance={instance} />}
      {instance.disk_state && <Volume instance={instance} edits={staff} />}
      {edits && <Reinstall instance={instance} />}
    </>
  );
}

interface Props {
  instance: Instance;
}

function Name({ instance }: Props) {
  const [name, setName] = useState(instance.name);
  const change = useChange(instance.id);
  const send = useSubmit(async () => {
    await change({ name });
    notifyDone(t('instance.renamed'));
  }, ['name']);
  return (
    <Section title={t('instance.rename')}>
      <Form run={send.run}>
        <Group align="flex-start" gap="xs">
          <TextInput aria-label={t('common.name')} value={name} maxLength={200} onChange={(e) => setName(e.currentTarget.value)} error={send.of('name')} style={{ flex: '1 1 14rem', maxWidth: '28rem' }} />
          <Button type="submit" size="sm" variant="filled" loading={send.busy} disabled={name === instance.name || name.trim() === ''}>
            {t('common.save')}
          </Button>
        </Group>
        <ErrorNotice error={send.error} />
      </Form>
    </Section>
  );
}

function Sftp({ instance }: Props) {
  const found = useQuery({
    queryKey: keys.instances(instance.id, 'sftp'),
    queryFn: ({ signal }) => call('get', '/api/v1/instances/{id}/sftp', { path: { id: instance.id }, signal }),
    retry: false,
    staleTime: 300_000,
  });
  const at = found.data;
  return (
    <Section title={t('instance.sftp')} hint={t('instance.sftpHint')}>
      {found.isPending && <RowSkeletons rows={8} />}
      {found.error && <p className="quiet">{t('instance.sftpOff', { reason: sentence(found.error) })}</p>}
      {at && (
        <Stack gap="sm" maw="40rem">
          {[
            [t('instance.sftpHost'), at.host],
            [t('instance.sftpPort'), String(at.port)],
            [t('instance.sftpUser'), at.username],
            [t('instance.sftpFingerprint'), at.fingerprint],
          ].map(([label = '', text = '']) => (
            <div key={label}>
              <div className="quiet">{label}</div>
              <CopyField label={label} text={text} wrap />
            </div>
          ))}
          <Anchor href={`sftp://${encodeURIComponent(at.username)}@${at.host.includes(':') ? `[${at.host}]` : at.host}:${at.port}`} size="sm">
            {t('instance.sftpLink')}
          </Anchor>
        </Stack>
      )}
    </Section>
  );
}

function Limits({ instance }: Props) {
  const first = { memory: instance.memory, cpu: instance.cpu, disk: instance.disk };
  const [form, setForm] = useState(first);
  const change = useChange(instance.id);
  const edits = Object.fromEntries(Object.entries(form).filter(([name, value]) => value !== first[name as keyof typeof first]));
  const send = useSubmit(async () => {
    notifyDone(told(await change(edits)));
  }, ['memory', 'cpu', 'disk']);
  return (
    <Section title={t('instance.limits')} hint={t('instance.limitsHint')}>
      <Form noValidate run={send.run}>
        <Stack gap="md" maw="44rem">
          <LimitFields form={form} set={(to) => setForm((before) => ({ ...before, ...to }))} submit={send} />
          <FormEnd submit={send} disabled={Object.keys(edits).length === 0}>
            {t('common.save')}
          </FormEnd>
        </Stack>
      </Form>
    </Section>
  );
}

function Volume({ instance, edits }: Props & { edits: boolean }) {
  const [asking, setAsking] = useState(false);
  const disk = instance.disk_state;
  if (!disk) return null;
  return (
    <Section
      title={t('instance.disk')}
      hint={disk.hard ? t('instance.diskHard') : t('instance.diskSoft')}
      actions={disk.convertible && edits ? <Button onClick={() => setAsking(true)}>{t('instance.convert')}</Button> : undefined}
    >
      <p>{disk.message || (disk.convertible ? t('instance.convertHint') : disk.driver)}</p>
      <ConfirmByName
        opened={asking}
        onClose={() => setAsking(false)}
        title={t('instance.convert')}
        confirm={t('instance.convert')}
        run={async () => {
          await call('post', '/api/v1/instances/{id}/convert-volume', { path: { id: instance.id }, idempotencyKey: idempotencyKey() });
          notifyDone(t('instance.convertSent'));
        }}
      >
        {t('instance.convertHint')}
      </ConfirmByName>
    </Section>
  );
}

function Reinstall({ instance }: Props) {
  const [asking, setAsking] = useState<'keep' | 'wipe'>();
  const wipe = asking === 'wipe';
  return (
    <Section title={t('instance.reinstall')}>
      <Stack gap="md">
        <Group justify="space-between" gap="md">
          <p className="quiet" style={{ flex: '1 1 18rem', margin: 0 }}>
            {t('instance.reinstallHint')}
          </p>
          <Button onClick={() => setAsking('keep')}>{t('instance.reinstall')}</Button>
        </Group>
        <Group justify="space-between" gap="md">
          <p className="quiet" style={{ flex: '1 1 18rem', margin: 0 }}>
            {t('instance.wipeHint')} {t('common.cannotUndo')}
          </p>
          <Button color="red" variant="light" onClick={() => setAsking('wipe')}>
            {t('instance.wipe')}
          </Button>
        </Group>
      </Stack>
      <ConfirmByName
        opened={!!asking}
        onClose={() => setAsking(undefined)}
        title={t(wipe ? 'instance.wipeTitle' : 'instance.reinstallTitle', { name: instance.name })}
        confirm={t(wipe ? 'instance.wipe' : 'instance.reinstall')}
        {...(wipe ? { name: instance.name } : {})}
        run={async () => {
          await call('post', '/api/v1/instances/{id}/reinstall', { path: { id: instance.id }, body: { wipe }, idempotencyKey: idempotencyKey() });
          notifyDone(t('instance.reinstallSent'));
        }}
      >
        {wipe ? `${t('instance.wipeHint')} ${t('common.cannotUndo')}` : t('instance.reinstallHint')}
      </ConfirmByName>
    </Section>
  );
}
