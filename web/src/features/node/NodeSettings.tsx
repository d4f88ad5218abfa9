import { Stack } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { call, keys, type View } from '@/api';
import { t } from '@/text';
import { Form, FormEnd, notifyDone, Section, useSubmit } from '@/ui';
import { nodeFields, NodeFields, type NodeForm } from './NodeFields';
import type { Node } from './node';

/** What of a form differs from how the node is. */
export function changed(node: Node, form: NodeForm): View<'NodeChangeBody'> {
  return Object.fromEntries(nodeFields.filter((field) => JSON.stringify(form[field]) !== JSON.stringify(node[field])).map((field) => [field, form[field]]));
}

export function NodeSettings({ node }: { node: Node }) {
  const [form, setForm] = useState<NodeForm>(() => Object.fromEntries(nodeFields.map((field) => [field, node[field]])) as unknown as NodeForm);
  const client = useQueryClient();
  const submit = useSubmit(async () => {
    await call('patch', '/api/v1/nodes/{id}', { path: { id: node.id }, body: changed(node, form) });
    notifyDone(t('node.saved'));
    await client.invalidateQueries({ queryKey: keys.nodes() });
  }, nodeFields);
  return (
    <Section title={t('node.tabSettings')}>
      <Form run={submit.run}>
        <Stack gap="md">
          <NodeFields form={form} set={(change) => setForm({ ...form, ...change })} submit={submit} all />
          <FormEnd submit={submit} disabled={Object.keys(changed(node, form)).length === 0}>
            {t('common.save')}
          </FormEnd>
        </Stack>
      </Form>
    </Section>
  );
}
