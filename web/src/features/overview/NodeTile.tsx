import { useCallback, useState } from 'react';
import { Link } from 'wouter';
import { useLiveStats, type LiveStats, type View } from '@/api';
import { bytes, cores, coresOf, mebibytes, t } from '@/text';
import { Meter, StateBadge } from '@/ui';
import css from './overview.module.css';

type Stats = View<'NodeStatsView'>;

/** A node as a dense tile: how it is, what is given away, what is in use now. */
export function NodeTile({ node }: { node: View<'NodeView'> }) {
  const [stats, setStats] = useState<Stats>();
  useLiveStats('nodes', node.state === 'online' ? node.id : undefined, useCallback((each: LiveStats) => setStats(each as unknown as Stats), []));
  const state = node.state === 'unconfigured' ? 'pending' : node.state === 'online' && node.maintenance ? 'maintenance' : node.state;
  const given = (used: number, free: number) => t('common.ofTotal', { used: mebibytes(used), total: mebibytes(used + free) });
  const now = node.state === 'online' ? stats : undefined;
  return (
    <article className={css.tile} aria-label={node.name}>
      <header>
        <Link href={`/nodes/${node.id}`}>{node.name}</Link>
        <StateBadge state={state} />
      </header>
      <Meter label={t('common.memory')} value={node.memory_used} max={node.memory_used + node.memory_free} text={`${t('common.memory')} ${given(node.memory_used, node.memory_free)}`} />
      <Meter label={t('common.disk')} value={node.disk_used} max={node.disk_used + node.disk_free} text={`${t('common.disk')} ${given(node.disk_used, node.disk_free)}`} />
      <Meter
        label={t('common.cpu')}
        value={node.cpu_used}
        max={node.cpu_free === undefined ? 0 : node.cpu_used + node.cpu_free}
        text={`${t('common.cpu')} ${node.cpu_free === undefined ? coresOf(node.cpu_used) : t('common.ofTotal', { used: cores(node.cpu_used), total: coresOf(node.cpu_used + node.cpu_free) })}`}
      />
      <footer className="quiet nums">
        <span>{t('overview.instances', { count: node.instances })}</span>
        <span>{now ? t('overview.now', { cpu: coresOf(now.cpu), memory: bytes(now.memory_used_bytes) }) : '\u00a0'}</span>
      </footer>
    </article>
  );
}
