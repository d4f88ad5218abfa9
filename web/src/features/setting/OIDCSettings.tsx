import { ActionIcon, Button, Group, PasswordInput, Select, SimpleGrid, Stack, Switch, Text, TextInput } from '@mantine/core';
import { IconPlus, IconTrash } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { call, keys, useCan, type View } from '@/api';
import { t } from '@/text';
import { CopyField, ErrorNotice, notifyDone, notifyError, RowSkeletons, useSubmit } from '@/ui';
import { SettingsForm } from './SettingsForm';

type Held = View<'OIDCSettingsView'>;

export function OIDCSettings() {
  const held = useQuery({ queryKey: keys.settings('oidc'), queryFn: () => call('get', '/api/v1/settings/oidc') });
  if (held.error && !held.data) return <ErrorNotice error={held.error} retry={() => void held.refetch()} />;
  return held.data ? <Form held={held.data} /> : <RowSkeletons />;
}

const fields = ['issuer', 'client_id', 'client_secret', 'button', 'default_role_id', 'group_claim', 'group_roles'];

function Form({ held }: { held: Held }) {
  const [form, setForm] = useState(held);
  const [secret, setSecret] = useState('');
  const client = useQueryClient();
  const set = (change: Partial<Held>) => setForm((before) => ({ ...before, ...change }));
  const submit = useSubmit(async () => {
    const { issuer, client_id, button, link_by_email, create_users, default_role_id, group_claim, group_roles } = form;
    const body = { issuer, client_id, button, link_by_email, create_users, default_role_id, group_claim, group_roles: group_roles ?? [], ...(secret ? { client_secret: secret } : {}) };
    client.setQueryData(keys.settings('oidc'), await call('patch', '/api/v1/settings/oidc', { body }));
    setSecret('');
    notifyDone(t('common.saved'));
    await client.invalidateQueries({ queryKey: keys.panel });
  }, fields);
  const test = () =>
    call('post', '/api/v1/settings/oidc/test')
      .then(() => notifyDone(t('setting.oidcAnswers')))
      .catch(notifyError);
  return (
    <SettingsForm title={t('setting.oidc')} hint={t('setting.oidcHint')} submit={submit} actions={held.issuer && <Button onClick={() => void test()}>{t('setting.oidcTest')}</Button>}>
      <TextInput label={t('setting.issuer')} description={t('setting.issuerHint')} placeholder="https://login.example.org/realms/main" value={form.issuer} error={submit.of('issuer')} onChange={(e) => set({ issuer: e.currentTarget.value })} />
      <div>
        <Text size="sm" fw={500} mb={4}>
          {t('setting.redirect')}
        </Text>
        {form.redirect_uri ? <CopyField label={t('setting.redirect')} text={form.redirect_uri} wrap /> : <Text size="sm" c="dimmed">{t('setting.redirectNone')}</Text>}
      </div>
      <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="sm">
        <TextInput label={t('setting.clientId')} autoComplete="off" value={form.client_id} error={submit.of('client_id')} onChange={(e) => set({ client_id: e.currentTarget.value })} />
        <PasswordInput label={t('setting.clientSecret')} placeholder={held.has_client_secret ? t('setting.secretKept') : ''} autoComplete="new-password" value={secret} error={submit.of('client_secret')} onChange={(e) => setSecret(e.currentTarget.value)} />
        <TextInput label={t('setting.button')} description={t('setting.buttonHint')} value={form.button} error={submit.of('button')} onChange={(e) => set({ button: e.currentTarget.value })} />
      </SimpleGrid>
      <Switch label={t('setting.linkByEmail')} description={t('setting.linkByEmailHint')} checked={form.link_by_email} onChange={(e) => set({ link_by_email: e.currentTarget.checked })} />
      <Switch label={t('setting.createUsers')} description={t('setting.createUsersHint')} checked={form.create_users} onChange={(e) => set({ create_users: e.currentTarget.checked })} />
      <Groups form={form} set={set} error={submit.of('group_roles')} />
    </SettingsForm>
  );
}

function Groups({ form, set, error }: { form: Held; set: (change: Partial<Held>) => void; error: string | undefined }) {
  const may = useCan()('users.read');
  const roles = useQuery({ queryKey: keys.roles('list'), queryFn: () => call('get', '/api/v1/roles'), enabled: may }).data ?? [];
  const data = [{ value: '', label: t('role.none') }, ...roles.map((each) => ({ value: each.id, label: each.name }))];
  const rows = form.group_roles ?? [];
  const change = (at: number, to: Partial<View<'GroupRole'>>) => set({ group_roles: rows.map((each, n) => (n === at ? { ...each, ...to } : each)) });
  return (
    <Stack gap="sm">
      <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="sm">
        <Select label={t('setting.defaultRole')} description={t('setting.defaultRoleHint')} value={form.default_role_id} data={data} onChange={(role) => set({ default_role_id: role ?? '' })} />
        <TextInput label={t('setting.groupClaim')} description={t('setting.groupClaimHint')} placeholder="groups" value={form.group_claim} onChange={(e) => set({ group_claim: e.currentTarget.value })} />
      </SimpleGrid>
      {rows.map((row, at) => (
        <Group key={at} gap="xs" align="flex-end" wrap="nowrap">
          <TextInput label={t('setting.group')} value={row.group} onChange={(e) => change(at, { group: e.currentTarget.value })} style={{ flex: 1 }} />
          <Select label={t('role.one')} value={row.role_id} data={data} onChange={(role) => change(at, { role_id: role ?? '' })} style={{ flex: 1 }} />
          <ActionIcon mb={3} aria-label={t('setting.groupRemove', { group: row.group })} onClick={() => set({ group_roles: rows.filter((_, n) => n !== at) })}>
            <IconTrash size={16} />
          </ActionIcon>
        </Group>
      ))}
      <Text c="red" size="sm">
        {error}
      </Text>
      <div>
        <Button leftSection={<IconPlus size={14} aria-hidden />} onClick={() => set({ group_roles: [...rows, { group: '', role_id: '' }] })}>
          {t('setting.groupAdd')}
        </Button>
      </div>
    </Stack>
  );
}
