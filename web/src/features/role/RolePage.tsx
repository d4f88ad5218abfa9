import { Anchor, Button, Checkbox, Stack, Text, TextInput, Title } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { Link, useLocation, useParams } from 'wouter';
import { call, keys, useCan, type View } from '@/api';
import { useProof } from '@/parts';
import { t, tAny } from '@/text';
import { ConfirmByName, ErrorPage, Form, FormEnd, notifyDone, PageHeader, PageSkeleton, Section, useSubmit } from '@/ui';
import { grouped, toggled } from './role';

export default function RolePage() {
  const { id } = useParams<{ id?: string }>();
  const role = useQuery({ queryKey: keys.roles(id ?? 'new'), queryFn: () => call('get', '/api/v1/roles/{id}', { path: { id: id ?? '' } }), enabled: !!id });
  const permissions = useQuery({ queryKey: keys.roles('permissions'), queryFn: () => call('get', '/api/v1/permissions') });
  const error = role.error ?? permissions.error;
  if (error) return <ErrorPage error={error} retry={() => void Promise.all([id && role.refetch(), permissions.refetch()])} />;
  if (!permissions.data || (id && !role.data)) return <PageSkeleton />;
  return <Editor key={role.data?.updated_at ?? 'new'} role={role.data} all={permissions.data.permissions ?? []} />;
}

function Editor({ role, all }: { role: View<'RoleView'> | undefined; all: View<'PermissionView'>[] }) {
  const [name, setName] = useState(role?.name ?? '');
  const [description, setDescription] = useState(role?.description ?? '');
  const [chosen, setChosen] = useState<string[]>([...(role?.permissions ?? [])]);
  const [deleting, setDeleting] = useState(false);
  const [, go] = useLocation();
  const client = useQueryClient();
  const may = useCan()('roles.write');
  const { guard, dialog } = useProof();
  const submit = useSubmit(async () => {
    const body = { name, description, permissions: chosen };
    await guard<unknown>(() => (role ? call('patch', '/api/v1/roles/{id}', { path: { id: role.id }, body }) : call('post', '/api/v1/roles', { body })));
    notifyDone(t('role.saved'));
    await client.invalidateQueries({ queryKey: keys.roles() });
    go('/roles');
  }, ['name', 'description', 'permissions']);
  return (
    <>
      <PageHeader
        title={role?.name ?? t('role.add')}
        crumb={
          <Anchor component={Link} href="/roles">
            {t('role.title')}
          </Anchor>
        }
        actions={role && may && <Button color="red" variant="light" onClick={() => setDeleting(true)}>{t('common.delete')}</Button>}
      />
      <Form run={submit.run}>
        <Section>
          <Stack gap="sm" maw="34rem">
            <TextInput label={t('common.name')} required disabled={!may} value={name} error={submit.of('name')} onChange={(e) => setName(e.currentTarget.value)} />
            <TextInput label={t('role.description')} disabled={!may} value={description} error={submit.of('description')} onChange={(e) => setDescription(e.currentTarget.value)} />
          </Stack>
        </Section>
        <Section title={t('role.permissions')} hint={t('role.permissionsHint')}>
          <Stack gap="md">
            {grouped(all).map(([word, found]) => (
              <div key={word} role="group" aria-label={tAny(`role.group_${word}`, word)}>
                <Title order={3} mb={4}>
                  {tAny(`role.group_${word}`, word)}
                </Title>
                <Stack gap={6}>
                  {found.map((each) => (
                    <Checkbox
                      key={each.permission}
                      checked={chosen.includes(each.permission)}
                      disabled={!may || (!each.held && !chosen.includes(each.permission))}
                      onChange={(e) => setChosen(toggled(chosen, each.permission, e.currentTarget.checked, all.map((one) => one.permission)))}
                      label={tAny(`role.permission_${each.permission}`, each.text)}
                      description={each.held ? each.permission : `${each.permission} · ${t('role.notHeld')}`}
                    />
                  ))}
                </Stack>
              </div>
            ))}
            <Text c="red" size="sm">
              {submit.of('permissions')}
            </Text>
          </Stack>
        </Section>
        {may && (
          <FormEnd submit={submit} cancel="/roles" apart>
            {t('common.save')}
          </FormEnd>
        )}
      </Form>
      {role && (
        <ConfirmByName
          opened={deleting}
          onClose={() => setDeleting(false)}
          title={t('role.deleteTitle', { name: role.name })}
          name={role.name}
          confirm={t('common.delete')}
          run={async () => {
            await guard(() => call('delete', '/api/v1/roles/{id}', { path: { id: role.id } }));
            go('/roles');
            await client.invalidateQueries({ queryKey: keys.roles('list') });
          }}
        >
          {t('role.deleteText', { count: role.users })}
        </ConfirmByName>
      )}
      {dialog}
    </>
  );
}
