import { cores, mebibytes, t } from '@/text';
import { Meter } from '@/ui';
import { giveable, type Node } from './node';

/** What of a node is given away to instances. */
export function Given({ node, of, named }: { node: Node; of: 'memory' | 'disk' | 'cpu'; named?: boolean }) {
  const word = named ? `${t(`common.${of}`)} ` : '';
  if (of === 'cpu') {
    const max = node.cpu_free === undefined ? 0 : node.cpu_used + node.cpu_free;
    const used = cores(node.cpu_used);
    return <Meter label={t('common.cpu')} value={node.cpu_used} max={max} text={word + (max ? t('common.ofTotal', { used, total: cores(max) }) : t('common.cores', { count: node.cpu_used }))} />;
  }
  const [used, max] =
    of === 'memory'
      ? [node.memory_used, giveable(node.memory, node.memory_factor, node.memory_reserve)]
      : [node.disk_used, giveable(node.disk, node.disk_factor, node.disk_reserve)];
  return <Meter label={t(`common.${of}`)} value={used} max={max} text={word + t('common.ofTotal', { used: mebibytes(used), total: mebibytes(max) })} />;
}
