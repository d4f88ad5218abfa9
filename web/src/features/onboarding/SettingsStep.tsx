import { Button, Group, SimpleGrid, Stack, TextInput } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { call, idempotencyKey, keys, list, useMe, type View } from '@/api';
import { bodyOf, emptyForm, LimitFields, PortFields, UserSelect, VariableFields, withImage, type DeployForm } from '@/parts';
import { t } from '@/text';
import { ErrorNotice, Form, Section, useSubmit } from '@/ui';
import { poolRange } from './step';

interface Props {
  image: View<'ImageView'>;
  node: View<'NodeView'>;
  back: () => void;
  done: (made: View<'InstanceJobView'>) => void;
}

/** Whose it is, how much it may have, and at which ports it is reached. */
export default function SettingsStep({ image, node, back, done }: Props) {
  const me = useMe();
  const client = useQueryClient();
  const [form, setForm] = useState<DeployForm>(() => withImage({ ...emptyForm(me.user.id), node: node.id }, image));
  const set = (change: Partial<DeployForm>) => setForm((before) => ({ ...before, ...change }));
  const path = { id: node.id };
  const pool = useQuery({ queryKey: keys.nodes(node.id, 'ports', 'free'), queryFn: () => list('/api/v1/nodes/{id}/allocations', { path, query: { use: 'free', limit: 1 } }) });
  const needs = pool.data?.total === 0 && form.ports.some((row) => row.container !== '' && row.host === '');
  const submit = useSubmit(
    async () => {
      if (needs) await call('post', '/api/v1/nodes/{id}/allocations', { path, body: { ports: [poolRange] } });
      const made = await call('post', '/api/v1/instances', { body: bodyOf(form, image), idempotencyKey: idempotencyKey() });
      done(made);
      await client.invalidateQueries({ queryKey: keys.instances() });
    },
    ['name', 'owner_id', 'memory', 'cpu', 'disk', 'ports', ...(image.variables ?? []).map((each) => `variables.${each.name}`)],
  );
  return (
    <Form run={submit.run}>
      <Section title={image.name} hint={image.description}>
        <Stack gap="md">
          <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="sm">
            <TextInput label={t('common.name')} required value={form.name} error={submit.of('name')} onChange={(e) => set({ name: e.currentTarget.value })} />
            <UserSelect label={t('deploy.owner')} value={form.owner} onChange={(owner) => set({ owner })} error={submit.of('owner_id')} />
          </SimpleGrid>
          <LimitFields form={form} set={set} submit={submit} />
        </Stack>
      </Section>
      <Section title={t('deploy.ports')} hint={needs ? t('onboarding.pool', { range: poolRange, name: node.name }) : t('deploy.portsHint')}>
        <PortFields form={form} set={set} submit={submit} />
      </Section>
      {(image.variables ?? []).length > 0 && (
        <Section title={t('deploy.variables')}>
          <VariableFields image={image} form={form} set={set} submit={submit} />
        </Section>
      )}
      <ErrorNotice error={submit.error} />
      <Group justify="flex-end" gap="xs" mt="md">
        <Button onClick={back}>{t('common.back')}</Button>
        <Button type="submit" variant="filled" loading={submit.busy} disabled={pool.isPending}>
          {t('deploy.submit')}
        </Button>
      </Group>
    </Form>
  );
}
