import { bytes, cores, mebibytes, t } from '@/text';
import { Meter } from '@/ui';
import type { Figures } from './figures';
import type { ListedInstance } from './model';

interface Props {
  instance: Pick<ListedInstance, 'cpu' | 'memory' | 'disk'>;
  figures: Figures | undefined;
  brief?: boolean;
}

// What doesn't run uses nothing; of what nobody told, nobody knows.
function usedOf(figures: Figures | undefined, pick: (figures: Figures) => number): number | null {
  if (!figures) return null;
  return figures.running ? pick(figures) : 0;
}

/** What of its CPU time it uses now. */
export function CpuMeter({ instance, figures, brief = false }: Props) {
  const value = usedOf(figures, (f) => f.cpu);
  const text = t('instance.ofCores', { used: value === null ? '–' : cores(value), total: cores(instance.cpu), count: instance.cpu });
  return <Meter label={t('common.cpu')} value={value} max={instance.cpu} text={text} brief={brief} />;
}

export function MemoryMeter({ instance, figures, brief = false }: Props) {
  const value = usedOf(figures, (f) => f.memory_bytes);
  return <Meter label={t('common.memory')} value={value} max={instance.memory * 1_048_576} text={t('common.ofTotal', { used: value === null ? '–' : bytes(value), total: mebibytes(instance.memory) })} brief={brief} />;
}

export function DiskMeter({ instance, figures, brief = false }: Props) {
  const value = figures && figures.disk_used_bytes >= 0 ? figures.disk_used_bytes : null;
  return <Meter label={t('common.disk')} value={value} max={instance.disk * 1_048_576} text={t('common.ofTotal', { used: value === null ? '–' : bytes(value), total: mebibytes(instance.disk) })} brief={brief} />;
}
