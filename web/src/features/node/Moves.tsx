import { useQuery } from '@tanstack/react-query';
import { Link } from 'wouter';
import { keys, list } from '@/api';
import { InstanceLink, NodeName, withNames } from '@/parts';
import { t, tAny } from '@/text';
import { DataTable, RelativeTime, Section } from '@/ui';

/** What is moving between nodes now; nothing is shown when nothing is. */
export function Moves() {
  const moves = useQuery({ queryKey: keys.nodes('moves'), queryFn: async ({ signal }) => withNames(await list('/api/v1/moves', { query: { limit: 100 }, signal }), signal) });
  if (!moves.data || moves.data.total === 0) return null;
  const { names } = moves.data;
  return (
    <Section title={t('node.moves')} flush>
      <DataTable
        label={t('node.moves')}
        rows={moves.data.items}
        rowKey={(move) => move.instance_id + move.job_id}
        columns={[
          { key: 'instance', title: t('job.instance'), cell: (move) => <InstanceLink id={move.instance_id} names={names} /> },
          { key: 'from', title: t('node.movesFrom'), cell: (move) => <NodeName id={move.from_node_id} /> },
          { key: 'to', title: t('node.movesTo'), cell: (move) => (move.to_node_id ? <NodeName id={move.to_node_id} /> : '–') },
          { key: 'stage', title: t('node.movesStage'), cell: (move) => <Link href={`/jobs/${move.job_id}`}>{tAny(`node.stage_${move.stage}`, move.stage)}</Link> },
          { key: 'at', title: t('common.created'), wide: true, cell: (move) => <RelativeTime at={move.created_at} /> },
        ]}
      />
    </Section>
  );
}
