import { Anchor, Button, Group, Stack } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { Link, useParams } from 'wouter';
import { call, keys, useMe, type View } from '@/api';
import { useProof } from '@/parts';
import { t } from '@/text';
import { Dialog, ErrorNotice, ErrorPage, Form, notifyDone, notifyError, PageHeader, PageSkeleton, Section, StateBadge, useSubmit } from '@/ui';
import { DeleteUser } from './DeleteUser';
import { Invitation } from './Invitation';
import { useCovers } from './roles';
import { QuotaFields, userFields, UserFields, type UserForm } from './UserFields';
import { UserInstances, UserKeys, UserSSHKeys, UserUse } from './UserThings';

type User = View<'UserDetailView'>;

export default function UserPage() {
  const { id } = useParams<{ id: string }>();
  const user = useQuery({ queryKey: keys.users(id), queryFn: () => call('get', '/api/v1/users/{id}', { path: { id } }) });
  if (user.error && !user.data) return <ErrorPage error={user.error} retry={() => void user.refetch()} />;
  if (!user.data) return <PageSkeleton />;
  return (
    <>
      <PageHeader
        title={user.data.username}
        beside={<StateBadge state={user.data.disabled ? 'disabled' : 'active'} />}
        crumb={
          <Anchor component={Link} href="/users">
            {t('user.title')}
          </Anchor>
        }
        actions={<Actions user={user.data} />}
      />
      <Editor key={user.data.updated_at} user={user.data} />
      <UserInstances user={user.data} />
      <UserKeys user={user.data} />
      <SSHKeys user={user.data} />
    </>
  );
}

function SSHKeys({ user }: { user: User }) {
  return useCovers(user) ? <UserSSHKeys user={user} /> : null;
}

function Actions({ user }: { user: User }) {
  const may = useCovers(user);
  const me = useMe();
  const client = useQueryClient();
  const [sent, setSent] = useState<View<'InviteView'>>();
  const [deleting, setDeleting] = useState(false);
  const [inviting, setInviting] = useState(false);
  const { guard, dialog } = useProof();
  if (!may) return null;
  const path = { id: user.id };
  const invite = () => {
    setInviting(true);
    return guard(() => call('post', '/api/v1/users/{id}/invite', { path, body: {} })).then(setSent).catch(notifyError).finally(() => setInviting(false));
  };
  const disable = () =>
    guard(() => call('patch', '/api/v1/users/{id}', { path, body: { disabled: !user.disabled } }))
      .then(() => {
        notifyDone(t(user.disabled ? 'user.enabled' : 'user.disabledDone'));
        return client.invalidateQueries({ queryKey: keys.users() });
      })
      .catch(notifyError);
  return (
    <>
      <Button loading={inviting} onClick={() => void invite()} disabled={user.disabled}>
        {t('user.newLink')}
      </Button>
      {user.id !== me.user.id && <Button onClick={() => void disable()}>{t(user.disabled ? 'user.enable' : 'user.disable')}</Button>}
      {user.id !== me.user.id && (
        <Button color="red" variant="light" onClick={() => setDeleting(true)}>
          {t('common.delete')}
        </Button>
      )}
      <Dialog of={sent} onClose={() => setSent(undefined)} title={() => t('user.newLink')}>
        {(link) => <Invitation sent={link} email={user.email} />}
      </Dialog>
      {dialog}
      <DeleteUser user={user} opened={deleting} close={() => setDeleting(false)} />
    </>
  );
}

function Editor({ user }: { user: User }) {
  const [form, setForm] = useState<UserForm>({ username: user.username, email: user.email, admin: user.admin, role: user.role_id ?? '', quota: user.quota });
  const client = useQueryClient();
  const may = useCovers(user);
  const me = useMe();
  const { guard, dialog } = useProof();
  const set = (change: Partial<UserForm>) => setForm((before) => ({ ...before, ...change }));
  const submit = useSubmit(async () => {
    const { username, email, admin, role, quota } = form;
    await guard(() =>
      call('patch', '/api/v1/users/{id}', {
        path: { id: user.id },
        body: {
          ...(username === user.username ? {} : { username }),
          ...(email === user.email ? {} : { email }),
          ...(me.admin && admin !== user.admin ? { admin } : {}),
          ...(role === (user.role_id ?? '') ? {} : { role_id: role || null }),
          ...(JSON.stringify(quota) === JSON.stringify(user.quota) ? {} : { quota }),
        },
      }),
    );
    notifyDone(t('user.saved'));
    await client.invalidateQueries({ queryKey: keys.users() });
  }, userFields);
  return (
    <>
      <Form run={submit.run}>
        <fieldset disabled={!may} style={{ border: 0, margin: 0, padding: 0, minWidth: 0 }}>
          <Section title={t('user.one')}>
            <UserFields form={form} set={set} submit={submit} />
          </Section>
          <Section title={t('user.quota')} hint={t('user.quotaHint')}>
            <Stack gap="md">
              <UserUse user={user} />
              <QuotaFields form={form} set={set} submit={submit} />
              <ErrorNotice error={submit.error} />
              {may && (
                <Group justify="flex-end">
                  <Button type="submit" variant="filled" loading={submit.busy}>
                    {t('common.save')}
                  </Button>
                </Group>
              )}
            </Stack>
          </Section>
        </fieldset>
      </Form>
      {dialog}
    </>
  );
}
