import { Select, Stack, Switch, Text, TextInput } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useLocation } from 'wouter';
import { call, keys, list, once, useCan, type View } from '@/api';
import { UserSelect } from '@/parts';
import { mebibytes, t } from '@/text';
import { FormEnd, useSubmit } from '@/ui';

/** Deploys another instance with the settings of one. */
export function Clone({ instance, close }: { instance: View<'InstanceView'>; close: () => void }) {
  const may = useCan();
  const [form, setForm] = useState({ name: t('instance.cloneName', { name: instance.name }), owner: instance.owner_id, node: '', start: true });
  const [create] = useState(once);
  const [, go] = useLocation();
  const client = useQueryClient();
  const nodes = useQuery({ queryKey: keys.nodes('list', 'room'), queryFn: () => list('/api/v1/nodes', { query: { limit: 100 } }), enabled: may('nodes.read') });
  const usable = (nodes.data?.items ?? []).filter((each) => each.state === 'online' && !each.maintenance);
  const set = (to: Partial<typeof form>) => setForm((before) => ({ ...before, ...to }));
  const submit = useSubmit(async () => {
    const body = { name: form.name.trim(), start: form.start, ...(form.node ? { node_id: form.node } : {}), ...(form.owner === instance.owner_id ? {} : { owner_id: form.owner }) };
    const made = await create((key) => call('post', '/api/v1/instances/{id}/clone', { path: { id: instance.id }, body, idempotencyKey: key }));
    close();
    go(`/instances/${made.instance.id}`);
    await client.invalidateQueries({ queryKey: keys.instances('list') });
  }, ['name', 'owner_id', 'node_id']);
  return (
    <form
      noValidate
      onSubmit={(e) => {
        e.preventDefault();
        void submit.run();
      }}
    >
      <Stack gap="sm">
        <Text>{t('instance.cloneText')}</Text>
        <TextInput data-autofocus label={t('common.name')} required value={form.name} error={submit.of('name')} onChange={(e) => set({ name: e.currentTarget.value })} />
        {may('users.read') && <UserSelect label={t('deploy.owner')} value={form.owner} onChange={(owner) => set({ owner: owner || instance.owner_id })} error={submit.of('owner_id')} />}
        <Select
          label={t('deploy.node')}
          value={form.node}
          error={submit.of('node_id')}
          onChange={(node) => set({ node: node ?? '' })}
          data={[
            { value: '', label: t('deploy.nodeAuto') },
            ...usable.map((each) => ({ value: each.id, label: `${each.name} (${t('deploy.nodeRoom', { memory: mebibytes(each.memory_free), disk: mebibytes(each.disk_free) })})` })),
          ]}
        />
        <Switch label={t('deploy.start')} checked={form.start} onChange={(e) => set({ start: e.currentTarget.checked })} />
        <FormEnd submit={submit} cancel={close} disabled={!form.name.trim()}>
          {t('instance.clone')}
        </FormEnd>
      </Stack>
    </form>
  );
}
