import { ActionIcon, Button, Group, SegmentedControl, TextInput } from '@mantine/core';
import { IconTrash } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { call, keys, list, useAhead, useCan, type Page, type View } from '@/api';
import { InstanceLink, withNames } from '@/parts';
import { t } from '@/text';
import { DataTable, EmptyState, ErrorNotice, Form, notifyDone, notifyError, Pager, Section, useFilters, useSubmit } from '@/ui';
import type { Node } from './node';

type Use = '' | 'free' | 'used';

/** The addresses and ports that a node's instances take. */
export function Ports({ node }: { node: Node }) {
  const filters = useFilters('tab', 'use');
  const may = useCan()('nodes.write');
  const client = useQueryClient();
  const query = { page: filters.page, limit: 100, ...(filters.values.use ? { use: filters.values.use as 'free' } : {}) };
  const path = { id: node.id };
  const queryKey = keys.nodes(node.id, 'ports', query);
  const ahead = useAhead<Page<View<'AllocationView'>>>(queryKey);
  const ports = useQuery({
    queryKey,
    queryFn: async ({ signal }) => withNames(await list('/api/v1/nodes/{id}/allocations', { path, query, signal }), signal),
    placeholderData: (before) => before,
  });
  const again = () => client.invalidateQueries({ queryKey: keys.nodes(node.id, 'ports') });
  const remove = (allocation: string) =>
    ahead(
      (page) => ({ ...page, items: page.items.filter((each) => each.id !== allocation), total: page.total - 1 }),
      () => call('delete', '/api/v1/nodes/{id}/allocations/{allocation}', { path: { id: node.id, allocation } }),
    ).catch(notifyError);
  return (
    <>
      {may && <AddPorts node={node} done={again} />}
      <Section
        title={t('node.tabPorts')}
        flush
        actions={
          <SegmentedControl
            size="xs"
            aria-label={t('node.portsUse')}
            value={filters.values.use}
            onChange={(to) => filters.set('use', to as Use)}
            data={[
              { value: '', label: t('node.portsAll') },
              { value: 'free', label: t('node.portsFree') },
              { value: 'used', label: t('node.portsUsed') },
            ]}
          />
        }
      >
        <DataTable
          label={t('node.tabPorts')}
          rows={ports.data?.items}
          error={ports.error}
          rowKey={(each) => each.id}
          height="60vh"
          empty={<EmptyState title={t('node.portsEmpty')}>{t('node.portsEmptyHint')}</EmptyState>}
          columns={[
            { key: 'port', title: t('node.portsField'), cell: (each) => <span className="mono">{`${each.ip}:${each.port}`}</span> },
            {
              key: 'use',
              title: t('node.portsInstance'),
              cell: (each) =>
                each.instance_id ? (
                  <>
                    <InstanceLink id={each.instance_id} names={ports.data?.names ?? new Map()} />
                    {each.container_port ? ` → ${each.container_port}` : ''}
                  </>
                ) : (
                  <span className="quiet">{t('node.portsFree')}</span>
                ),
            },
            {
              key: 'remove',
              title: '',
              end: true,
              width: '4rem',
              cell: (each) =>
                may && !each.instance_id ? (
                  <ActionIcon aria-label={t('node.portsRemove', { port: String(each.port) })} onClick={() => void remove(each.id)}>
                    <IconTrash size={16} />
                  </ActionIcon>
                ) : null,
            },
          ]}
        />
        {ports.data && <Pager {...ports.data} onPage={filters.toPage} />}
      </Section>
    </>
  );
}

function AddPorts({ node, done }: { node: Node; done: () => Promise<void> }) {
  const [text, setText] = useState('');
  const [ip, setIp] = useState('');
  const submit = useSubmit(async () => {
    const ports = text.split(/[\s,]+/).filter(Boolean);
    const { made } = await call('post', '/api/v1/nodes/{id}/allocations', { path: { id: node.id }, body: { ports, ...(ip ? { ip } : {}) } });
    notifyDone(made > 0 ? t('node.portsMade', { count: made }) : t('node.portsThere'));
    setText('');
    await done();
  }, ['ports', 'ip']);
  return (
    <Section title={t('node.portsAdd')} hint={t('node.portsAddHint')}>
      <Form run={submit.run}>
        <Group align="flex-end" gap="sm">
          <TextInput label={t('node.portsField')} placeholder="25565-25600" required value={text} error={submit.of('ports')} onChange={(e) => setText(e.currentTarget.value)} style={{ flex: '2 1 14rem' }} />
          <TextInput label={t('node.portsIp')} placeholder={node.bind_address} value={ip} error={submit.of('ip')} onChange={(e) => setIp(e.currentTarget.value)} style={{ flex: '1 1 10rem' }} />
          <Button type="submit" variant="filled" loading={submit.busy} mb={2}>
            {t('common.add')}
          </Button>
        </Group>
        <ErrorNotice error={submit.error} />
      </Form>
    </Section>
  );
}
