import { Stack, Switch, Text, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useLocation } from 'wouter';
import { call, keys, once, useCan, type View } from '@/api';
import { NodeSelect, UserSelect, useTakingNodes } from '@/parts';
import { t } from '@/text';
import { Form, FormEnd, useSubmit } from '@/ui';

/** Deploys another instance with the settings of one. */
export function Clone({ instance, close }: { instance: View<'InstanceView'>; close: () => void }) {
  const may = useCan();
  const [form, setForm] = useState({ name: t('instance.cloneName', { name: instance.name }), owner: instance.owner_id, node: '', start: true });
  const [create] = useState(once);
  const [, go] = useLocation();
  const client = useQueryClient();
  const nodes = useTakingNodes();
  const set = (to: Partial<typeof form>) => setForm((before) => ({ ...before, ...to }));
  const submit = useSubmit(async () => {
    const body = { name: form.name.trim(), start: form.start, ...(form.node ? { node_id: form.node } : {}), ...(form.owner === instance.owner_id ? {} : { owner_id: form.owner }) };
    const made = await create((key) => call('post', '/api/v1/instances/{id}/clone', { path: { id: instance.id }, body, idempotencyKey: key }));
    close();
    go(`/instances/${made.instance.id}`);
    await client.invalidateQueries({ queryKey: keys.instances('list') });
  }, ['name', 'owner_id', 'node_id']);
  return (
    <Form noValidate run={submit.run}>
      <Stack gap="sm">
        <Text>{t('instance.cloneText')}</Text>
        <TextInput data-autofocus label={t('common.name')} required value={form.name} error={submit.of('name')} onChange={(e) => set({ name: e.currentTarget.value })} />
        {may('users.read') && <UserSelect label={t('deploy.owner')} value={form.owner} onChange={(owner) => set({ owner: owner || instance.owner_id })} error={submit.of('owner_id')} />}
        <NodeSelect nodes={nodes} needs={instance} value={form.node} error={submit.of('node_id')} onChange={(node) => set({ node })} />
        <Switch label={t('deploy.start')} checked={form.start} onChange={(e) => set({ start: e.currentTarget.checked })} />
        <FormEnd submit={submit} cancel={close} disabled={!form.name.trim()}>
          {t('instance.clone')}
        </FormEnd>
      </Stack>
    </Form>
  );
}
