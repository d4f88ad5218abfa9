import { useQuery } from '@tanstack/react-query';
import { Link } from 'wouter';
import { keys, list } from '@/api';
import { t, tAny } from '@/text';
import { DataTable, RelativeTime, Section } from '@/ui';
import { NodeName } from './NodeName';

/** What is moving between nodes now; nothing is shown when nothing is. */
export function Moves() {
  const moves = useQuery({ queryKey: keys.nodes('moves'), queryFn: () => list('/api/v1/moves', { query: { limit: 100 } }) });
  if (!moves.data || moves.data.total === 0) return null;
  return (
    <Section title={t('node.moves')} flush>
      <DataTable
        label={t('node.moves')}
        rows={moves.data.items}
        rowKey={(move) => move.instance_id + move.job_id}
        columns={[
          { key: 'instance', title: t('job.instance'), cell: (move) => <Link href={`/instances/${move.instance_id}`}>{move.instance_id}</Link> },
          { key: 'from', title: t('node.movesFrom'), cell: (move) => <NodeName id={move.from_node_id} /> },
          { key: 'to', title: t('node.movesTo'), cell: (move) => (move.to_node_id ? <NodeName id={move.to_node_id} /> : '–') },
          { key: 'stage', title: t('node.movesStage'), cell: (move) => <Link href={`/jobs/${move.job_id}`}>{tAny(`node.stage_${move.stage}`, move.stage)}</Link> },
          { key: 'at', title: t('common.created'), wide: true, cell: (move) => <RelativeTime at={move.created_at} /> },
        ]}
      />
    </Section>
  );
}
