import { Anchor, Button, Group, Stack } from '@mantine/core';
import { useState } from 'react';
import { Link } from 'wouter';
import { call, once, type View } from '@/api';
import { t } from '@/text';
import { Form, FormEnd, PageHeader, Section, useSubmit } from '@/ui';
import { NodeCommand } from '@/parts';
import { nodeFields, NodeFields, type NodeForm } from './NodeFields';

export default function NodeNewPage() {
  const [form, setForm] = useState<NodeForm>({ name: '', address: '', port: 8443, memory: 8192, disk: 102_400 } as NodeForm);
  const [create] = useState(once);
  const [made, setMade] = useState<View<'NodeEnrolmentView'>>();
  const submit = useSubmit(async () => setMade(await create((key) => call('post', '/api/v1/nodes', { body: form, idempotencyKey: key }))), nodeFields);
  return (
    <>
      <PageHeader
        title={made ? made.node.name : t('node.add')}
        crumb={
          <Anchor component={Link} href="/nodes">
            {t('node.title')}
          </Anchor>
        }
      />
      {made ? (
        <Section title={t('node.commandTitle')}>
          <Stack gap="md">
            <NodeCommand node={made.node.id} enrolment={made.enrolment} />
            <Group justify="flex-end">
              <Button component={Link} href={`/nodes/${made.node.id}`} variant="filled">
                {t('node.toNode')}
              </Button>
            </Group>
          </Stack>
        </Section>
      ) : (
        <Section>
          <Form run={submit.run}>
            <Stack gap="md">
              <NodeFields form={form} set={(change) => setForm({ ...form, ...change })} submit={submit} />
              <FormEnd submit={submit} cancel="/nodes">
                {t('node.create')}
              </FormEnd>
            </Stack>
          </Form>
        </Section>
      )}
    </>
  );
}
