import { Button, Group, NumberInput, PasswordInput, Select, SimpleGrid, Switch, Text, TextInput } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { call, keys, useCan, useMe, type View } from '@/api';
import { t, tAny } from '@/text';
import { ErrorNotice, Form, notifyDone, RowSkeletons, Section, useSubmit } from '@/ui';
import { SettingsForm } from './SettingsForm';

type Held = View<'MailSettingsView'>;

export function MailSettings() {
  const held = useQuery({ queryKey: keys.settings('mail'), queryFn: () => call('get', '/api/v1/settings/mail') });
  const may = useCan()('settings.write');
  if (held.error && !held.data) return <ErrorNotice error={held.error} retry={() => void held.refetch()} />;
  if (!held.data) return <RowSkeletons />;
  return (
    <>
      <Servers held={held.data} />
      {may && held.data.host !== '' && <TestMail />}
    </>
  );
}

const securities = ['starttls', 'tls', 'none'] as const;

function Servers({ held }: { held: Held }) {
  const [form, setForm] = useState(held);
  const [password, setPassword] = useState('');
  const client = useQueryClient();
  const submit = useSubmit(async () => {
    const { host, port, security, username, from, alerts } = form;
    const body = { host, port, security, username, from, alerts, ...(password ? { password } : {}) };
    client.setQueryData(keys.settings('mail'), await call('patch', '/api/v1/settings/mail', { body }));
    setPassword('');
    notifyDone(t('common.saved'));
    await client.invalidateQueries({ queryKey: keys.panel });
  }, ['host', 'port', 'security', 'username', 'password', 'from', 'alerts']);
  return (
    <SettingsForm title={t('setting.mail')} hint={t('setting.mailHint')} submit={submit}>
      <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="sm">
        <TextInput label={t('setting.host')} placeholder="smtp.example.org" value={form.host} error={submit.of('host')} onChange={(e) => setForm({ ...form, host: e.currentTarget.value })} />
        <NumberInput label={t('setting.port')} min={1} max={65535} value={form.port} error={submit.of('port')} onChange={(port) => setForm({ ...form, port: Number(port) })} />
        <Select
          label={t('setting.security')}
          value={form.security}
          error={submit.of('security')}
          data={securities.map((each) => ({ value: each, label: tAny(`setting.security_${each}`, each) }))}
          onChange={(security) => setForm({ ...form, security: security as 'tls' })}
        />
        <TextInput label={t('setting.from')} placeholder="berth@example.org" value={form.from} error={submit.of('from')} onChange={(e) => setForm({ ...form, from: e.currentTarget.value })} />
        <TextInput label={t('setting.username')} autoComplete="off" value={form.username} error={submit.of('username')} onChange={(e) => setForm({ ...form, username: e.currentTarget.value })} />
        <PasswordInput
          label={t('setting.password')}
          placeholder={held.has_password ? t('setting.secretKept') : ''}
          autoComplete="new-password"
          value={password}
          error={submit.of('password')}
          onChange={(e) => setPassword(e.currentTarget.value)}
        />
      </SimpleGrid>
      <Switch label={t('setting.alerts')} description={t('setting.alertsHint')} checked={form.alerts} onChange={(e) => setForm({ ...form, alerts: e.currentTarget.checked })} />
      {held.waiting > 0 && (
        <Text size="sm" c="dimmed">
          {t('setting.waiting', { count: held.waiting })}
        </Text>
      )}
    </SettingsForm>
  );
}

function TestMail() {
  const me = useMe();
  const [to, setTo] = useState(me.user.email);
  const [sent, setSent] = useState('');
  const submit = useSubmit(async () => {
    setSent('');
    await call('post', '/api/v1/settings/mail/test', { body: { to } });
    setSent(to);
  }, ['to']);
  return (
    <Section title={t('setting.test')} hint={t('setting.testHint')}>
      <Form run={submit.run}>
        <Group align="flex-end" gap="sm" maw="40rem">
          <TextInput type="email" required label={t('user.email')} value={to} error={submit.of('to')} onChange={(e) => setTo(e.currentTarget.value)} style={{ flex: 1 }} />
          <Button type="submit" loading={submit.busy} h="var(--control)">
            {t('setting.testSend')}
          </Button>
        </Group>
        <ErrorNotice error={submit.error} />
        <Text role="status" size="sm" mt="xs">
          {sent && t('setting.testSent', { to: sent })}
        </Text>
      </Form>
    </Section>
  );
}
