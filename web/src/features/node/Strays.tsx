import { Button, Group, Stack, Text, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { call, keys, list, type View } from '@/api';
import { JobLive, UserSelect } from '@/parts';
import { t } from '@/text';
import { ConfirmByName, DataTable, Dialog, EmptyState, Form, FormEnd, RelativeTime, Section, StateBadge, useSubmit } from '@/ui';
import type { Node } from './node';

type Stray = View<'StrayView'>;

/** Containers with our label that nobody here knows: to be adopted or removed. */
export function Strays({ node }: { node: Node }) {
  const [adopting, setAdopting] = useState<Stray>();
  const [removing, setRemoving] = useState<Stray>();
  const [job, setJob] = useState<string>();
  const strays = useQuery({ queryKey: keys.nodes(node.id, 'strays'), queryFn: () => list('/api/v1/nodes/{id}/strays', { path: { id: node.id }, query: { limit: 100 } }) });
  return (
    <Section title={t('node.tabStrays')} hint={t('node.straysHint')} flush>
      <DataTable
        label={t('node.tabStrays')}
        rows={strays.data?.items}
        error={strays.error}
        retry={() => void strays.refetch()}
        rowKey={(each) => each.instance_id}
        empty={<EmptyState title={t('node.straysEmpty')} />}
        columns={[
          { key: 'id', title: t('node.portsInstance'), cell: (each) => <span className="mono">{each.instance_id}</span> },
          { key: 'state', title: t('node.state'), cell: (each) => <StateBadge state={each.actual} /> },
          { key: 'found', title: t('node.straysFound'), wide: true, cell: (each) => <RelativeTime at={each.found_at} /> },
          {
            key: 'do',
            title: '',
            end: true,
            cell: (each) => (
              <Group gap="xs" justify="flex-end" wrap="nowrap">
                <Button onClick={() => setAdopting(each)}>{t('node.straysAdopt')}</Button>
                <Button color="red" variant="light" onClick={() => setRemoving(each)}>
                  {t('node.straysRemove')}
                </Button>
              </Group>
            ),
          },
        ]}
      />
      <Dialog of={adopting} onClose={() => setAdopting(undefined)} title={(stray) => t('node.straysAdoptTitle', { id: stray.instance_id })}>
        {(stray) => (
          <Adopt
            node={node}
            stray={stray}
            done={(id) => {
              setAdopting(undefined);
              setJob(id);
            }}
          />
        )}
      </Dialog>
      <ConfirmByName
        opened={!!removing}
        onClose={() => setRemoving(undefined)}
        title={t('node.straysRemoveTitle', { id: removing?.instance_id ?? '' })}
        name={removing?.instance_id ?? ''}
        confirm={t('node.straysRemove')}
        run={async () => {
          if (!removing) return;
          const made = await call('post', '/api/v1/nodes/{id}/strays/{instance}/remove', { path: { id: node.id, instance: removing.instance_id }, body: { confirm: removing.instance_id } });
          setJob(made.id);
        }}
      >
        {t('node.straysRemoveText')} {t('common.cannotUndo')}
      </ConfirmByName>
      <Dialog of={job} onClose={() => setJob(undefined)} title={() => t('job.one')} size="lg">
        {(id) => <JobLive id={id} onRetry={setJob} onEnd={() => void strays.refetch()} />}
      </Dialog>
    </Section>
  );
}

function Adopt({ node, stray, done }: { node: Node; stray: Stray; done: (job: string | undefined) => void }) {
  const [owner, setOwner] = useState('');
  const [name, setName] = useState(stray.instance_id);
  const submit = useSubmit(async () => {
    const made = await call('post', '/api/v1/nodes/{id}/strays/{instance}/adopt', { path: { id: node.id, instance: stray.instance_id }, body: { owner_id: owner, name } });
    done(made.job?.id);
  }, ['owner_id', 'name']);
  return (
    <Form run={submit.run}>
      <Stack gap="sm">
        <Text>{t('node.straysAdoptText')}</Text>
        <UserSelect label={t('node.straysOwner')} value={owner} onChange={setOwner} error={submit.of('owner_id')} />
        <TextInput label={t('common.name')} value={name} error={submit.of('name')} onChange={(e) => setName(e.currentTarget.value)} />
        <FormEnd submit={submit} disabled={!owner}>
          {t('node.straysAdopt')}
        </FormEnd>
      </Stack>
    </Form>
  );
}
