import { Anchor, Button, Group, PasswordInput, SegmentedControl, Stack, Text } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { Link, useLocation } from 'wouter';
import { call, keys, once, usePanel, type View } from '@/api';
import { useProof } from '@/parts';
import { t } from '@/text';
import { Form, FormEnd, notifyDone, PageHeader, Section, useSubmit } from '@/ui';
import { Invitation } from './Invitation';
import { QuotaFields, userFields, UserFields, type UserForm } from './UserFields';

const empty: UserForm = { username: '', email: '', admin: false, role: '', quota: {} };

/** Makes a user: he chooses his password by a link, or gets one here. */
export default function UserNewPage() {
  const [form, setForm] = useState(empty);
  const [how, setHow] = useState('invite');
  const [password, setPassword] = useState('');
  const [create] = useState(once);
  const [sent, setSent] = useState<View<'InviteView'> & { id: string }>();
  const [, go] = useLocation();
  const client = useQueryClient();
  const panel = usePanel();
  const { guard, dialog } = useProof();
  const set = (change: Partial<UserForm>) => setForm((before) => ({ ...before, ...change }));
  const submit = useSubmit(async () => {
    const { role, ...rest } = form;
    const body = { ...rest, ...(role && !form.admin ? { role_id: role } : {}), ...(how === 'password' ? { password } : {}) };
    const user = await guard(() => create((key) => call('post', '/api/v1/users', { body, idempotencyKey: key })));
    await client.invalidateQueries({ queryKey: keys.users() });
    if (how === 'invite') return setSent({ id: user.id, ...(await guard(() => call('post', '/api/v1/users/{id}/invite', { path: { id: user.id }, body: {} }))) });
    notifyDone(t('user.made', { name: user.username }));
    go(`/users/${user.id}`);
  }, userFields);
  return (
    <>
      <PageHeader
        title={t('user.add')}
        crumb={
          <Anchor component={Link} href="/users">
            {t('user.title')}
          </Anchor>
        }
      />
      {sent ? (
        <Section title={t('user.made', { name: form.username })}>
          <Stack gap="md">
            <Invitation sent={sent} email={form.email} />
            <Group justify="flex-end">
              <Button component={Link} href={`/users/${sent.id}`} variant="filled">
                {t('common.continue')}
              </Button>
            </Group>
          </Stack>
        </Section>
      ) : (
        <Form run={submit.run}>
          <Section title={t('user.one')}>
            <UserFields form={form} set={set} submit={submit} />
          </Section>
          <Section title={t('user.quota')} hint={t('user.quotaHint')}>
            <QuotaFields form={form} set={set} submit={submit} />
          </Section>
          <Section title={t('user.access')}>
            <Stack gap="sm" align="flex-start">
              <SegmentedControl
                aria-label={t('user.access')}
                value={how}
                onChange={setHow}
                data={[
                  { value: 'invite', label: t('user.byInvite') },
                  { value: 'password', label: t('user.byPassword') },
                ]}
              />
              {how === 'invite' ? (
                <Text size="sm" c="dimmed">
                  {t(panel?.mail ? 'user.byInviteMail' : 'user.byInviteLink')}
                </Text>
              ) : (
                <PasswordInput w="100%" maw="24rem" label={t('user.password')} description={t('login.newPasswordHint', { count: 8 })} required minLength={8} autoComplete="new-password" value={password} error={submit.of('password')} onChange={(e) => setPassword(e.currentTarget.value)} />
              )}
            </Stack>
          </Section>
          <FormEnd submit={submit} cancel="/users" apart>
            {t(how === 'invite' ? 'user.invite' : 'user.create')}
          </FormEnd>
        </Form>
      )}
      {dialog}
    </>
  );
}
