import { ActionIcon, Button, Group, NumberInput, Radio, Stack, Switch, Textarea } from '@mantine/core';
import { IconPlus, IconTrash } from '@tabler/icons-react';
import { useState } from 'react';
import { useCan, type View } from '@/api';
import { bytes, t } from '@/text';
import { CopyButton, DataTable, EmptyState, ErrorNotice, Facts, Form, FormEnd, notifyDone, Section, useSubmit } from '@/ui';
import { useChange } from './change';
import { told } from './variables';
import { portAddress, type Instance } from './model';
import { useHost } from './Overview';
import css from './instance.module.css';

/** The ports of an instance, and what it may reach. */
export default function NetworkTab({ instance }: { instance: Instance }) {
  const edits = useCan()('instances.write');
  return (
    <>
      {edits ? <EditPorts key={`p${instance.generation}`} instance={instance} /> : <Ports instance={instance} />}
      {edits ? <EditReach key={`n${instance.generation}`} instance={instance} /> : <Reach instance={instance} />}
    </>
  );
}

type Port = View<'InstancePortView'>;

function Ports({ instance }: { instance: Instance }) {
  const host = useHost(instance);
  return (
    <Section flush title={t('instance.ports')} hint={t('instance.portsHint')}>
      <DataTable<Port>
        label={t('instance.ports')}
        rows={instance.ports ?? []}
        rowKey={(port) => `${port.ip}:${port.host}`}
        empty={<EmptyState title={t('instance.portsNone')} />}
        columns={[
          {
            key: 'address',
            title: t('instance.portPublic'),
            cell: (port) => (
              <Group gap={4} wrap="nowrap">
                <span className="mono">{portAddress(port, host)}</span>
                <CopyButton text={portAddress(port, host)} />
              </Group>
            ),
          },
          { key: 'container', title: t('instance.portContainer'), cell: (port) => <span className="mono">{port.container}</span>, end: true },
          { key: 'primary', title: t('instance.portPrimary'), cell: (port) => (port.primary ? t('common.yes') : ''), end: true },
        ]}
      />
    </Section>
  );
}

interface Draft {
  key: number;
  container: string | number;
  host: string | number;
  primary: boolean;
}

function EditPorts({ instance }: { instance: Instance }) {
  const host = useHost(instance);
  const change = useChange(instance.id);
  const [ports, setPorts] = useState<Draft[]>(() => (instance.ports ?? []).map((port, key) => ({ key, container: port.container, host: port.host, primary: !!port.primary })));
  const set = (key: number, to: Partial<Draft>) => setPorts((before) => before.map((each) => (each.key === key ? { ...each, ...to } : to.primary ? { ...each, primary: false } : each)));
  const bad = ports.some((each) => !Number(each.container));
  const send = useSubmit(async () => {
    const need = await change({ ports: ports.map((each) => ({ container: Number(each.container), ...(each.host ? { host: Number(each.host) } : {}), ...(each.primary ? { primary: true } : {}) })) });
    notifyDone(told(need));
  });
  return (
    <Section
      title={t('instance.ports')}
      hint={t('instance.portsHint')}
      actions={
        <Button leftSection={<IconPlus size={14} aria-hidden />} onClick={() => setPorts((before) => [...before, { key: Math.max(-1, ...before.map((each) => each.key)) + 1, container: '', host: '', primary: before.length === 0 }])}>
          {t('instance.portAdd')}
        </Button>
      }
    >
      <Stack gap="md">
        {ports.length === 0 && <p className="quiet">{t('instance.portsNone')}</p>}
        {ports.map((each) => (
          <div key={each.key} className={css.ports}>
            <NumberInput label={t('instance.portHost')} placeholder={t('instance.portAuto')} min={1} max={65535} allowDecimal={false} hideControls value={each.host} onChange={(to) => set(each.key, { host: to })} />
            <NumberInput label={t('instance.portContainer')} min={1} max={65535} allowDecimal={false} hideControls required withAsterisk={false} value={each.container} onChange={(to) => set(each.key, { container: to })} />
            <Radio label={t('instance.portPrimary')} checked={each.primary} onChange={() => set(each.key, { primary: true })} aria-label={t('instance.portMakePrimary', { port: String(each.host || each.container) })} pb={6} />
            <Group gap={4} wrap="nowrap">
              {!!each.host && <CopyButton text={`${host}:${each.host}`} />}
              <ActionIcon size="lg" aria-label={t('instance.portRemove', { port: String(each.host || each.container) })} onClick={() => setPorts((before) => before.filter((one) => one.key !== each.key))}>
                <IconTrash size={16} />
              </ActionIcon>
            </Group>
          </div>
        ))}
        <ErrorNotice error={send.error} />
        <Group justify="flex-end">
          <Button variant="filled" loading={send.busy} disabled={bad} onClick={() => void send.run()}>
            {t('common.save')}
          </Button>
        </Group>
      </Stack>
    </Section>
  );
}

function Reach({ instance: { network } }: { instance: Instance }) {
  const speed = (value: number | undefined) => (value ? t('instance.perSecond', { size: bytes(value) }) : t('common.unlimited'));
  return (
    <Section title={t('instance.reach')} hint={t('instance.askAdmin')}>
      <Facts
        of={[
          [t('instance.reachInternet'), network.offline ? t('common.no') : t('common.yes')],
          [t('instance.reachAllow'), (network.allow ?? []).length > 0 ? <span className="mono">{(network.allow ?? []).join(', ')}</span> : t('common.none')],
          [t('instance.reachInstances'), network.instances ? t('common.yes') : t('common.no')],
          [t('instance.bandIn'), speed(network.in_bytes)],
          [t('instance.bandOut'), speed(network.out_bytes)],
        ]}
      />
    </Section>
  );
}

const mib = 1_048_576;

function EditReach({ instance }: { instance: Instance }) {
  const { network } = instance;
  const change = useChange(instance.id);
  const [offline, setOffline] = useState(!!network.offline);
  const [instances, setInstances] = useState(!!network.instances);
  const [allow, setAllow] = useState((network.allow ?? []).join('\n'));
  const [inMost, setIn] = useState<string | number>(network.in_bytes ? network.in_bytes / mib : '');
  const [outMost, setOut] = useState<string | number>(network.out_bytes ? network.out_bytes / mib : '');
  const send = useSubmit(async () => {
    await change({
      network: {
        offline,
        instances,
        allow: allow.split(/\s+/).filter(Boolean),
        in_bytes: Math.round(Number(inMost || 0) * mib),
        out_bytes: Math.round(Number(outMost || 0) * mib),
      },
    });
    notifyDone(t('instance.changeSent'));
  }, ['network.allow', 'network.in_bytes', 'network.out_bytes']);
  return (
    <Section title={t('instance.reach')}>
      <Form run={send.run}>
        <Stack gap="md">
          <Switch label={t('instance.reachOfflineLabel')} description={t('instance.reachOfflineHint')} checked={offline} onChange={(e) => setOffline(e.currentTarget.checked)} />
          <Switch label={t('instance.reachInstances')} description={t('instance.reachInstancesHint')} checked={instances} onChange={(e) => setInstances(e.currentTarget.checked)} />
          <Textarea label={t('instance.reachAllow')} description={t('instance.reachAllowHint')} classNames={{ input: 'mono' }} minRows={2} autosize value={allow} onChange={(e) => setAllow(e.currentTarget.value)} error={send.of('network.allow')} spellCheck={false} maw="28rem" />
          <div className={css.grid}>
            <NumberInput label={t('instance.bandIn')} description={t('instance.bandHint')} min={0} decimalScale={2} value={inMost} onChange={setIn} error={send.of('network.in_bytes')} />
            <NumberInput label={t('instance.bandOut')} description={t('instance.bandHint')} min={0} decimalScale={2} value={outMost} onChange={setOut} error={send.of('network.out_bytes')} />
          </div>
          <FormEnd submit={send}>
            {t('common.save')}
          </FormEnd>
        </Stack>
      </Form>
    </Section>
  );
}
