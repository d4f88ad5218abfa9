import { Select } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { keys, list, useCan, type View } from '@/api';
import { mebibytes, t } from '@/text';

type Node = View<'NodeView'>;

/** Nodes that take instances now; undefined while they are not there, or may not be seen. */
export function useTakingNodes(): Node[] | undefined {
  const may = useCan()('nodes.read');
  const found = useQuery({ queryKey: keys.nodes('list', 'room'), queryFn: () => list('/api/v1/nodes', { query: { limit: 100 } }), enabled: may });
  return found.data?.items.filter((each) => each.state === 'online' && !each.maintenance);
}

interface Props {
  label?: string;
  nodes: readonly Node[] | undefined;
  /** MiB that have to be free there. */
  needs: { memory: number; disk: number };
  /** Said where no node is. */
  none?: string;
  /** Empty: the controller chooses. */
  value: string;
  error: string | undefined;
  onChange: (id: string) => void;
}

/** Where an instance shall be. */
export function NodeSelect({ label = t('deploy.node'), nodes, needs, none = t('deploy.nodeNone'), value, error, onChange }: Props) {
  return (
    <Select
      label={label}
      description={nodes?.length === 0 ? none : undefined}
      searchable
      value={value}
      error={error}
      onChange={(id) => onChange(id ?? '')}
      data={[
        { value: '', label: t('deploy.nodeAuto') },
        ...(nodes ?? []).map((each) => ({
          value: each.id,
          label: `${each.name} (${t('deploy.nodeRoom', { memory: mebibytes(each.memory_free), disk: mebibytes(each.disk_free) })})`,
          disabled: each.memory_free < needs.memory || each.disk_free < needs.disk,
        })),
      ]}
    />
  );
}
