import { bytes, cores, mebibytes, t } from '@/text';
import { Meter } from '@/ui';
import type { Figures } from './figures';
import type { ListedInstance } from './model';

interface Props {
  instance: Pick<ListedInstance, 'cpu' | 'memory' | 'disk'>;
  figures: Figures | undefined;
  brief?: boolean;
}

/** What of its CPU time it uses now. */
export function CpuMeter({ instance, figures, brief = false }: Props) {
  const value = figures?.running ? figures.cpu : 0;
  const text = t('instance.ofCores', { used: figures ? cores(value) : '–', total: cores(instance.cpu) });
  return <Meter label={t('common.cpu')} value={value} max={instance.cpu} text={text} brief={brief} />;
}

export function MemoryMeter({ instance, figures, brief = false }: Props) {
  const value = figures?.running ? figures.memory_bytes : 0;
  return <Meter label={t('common.memory')} value={value} max={instance.memory * 1_048_576} text={t('common.ofTotal', { used: figures ? bytes(value) : '–', total: mebibytes(instance.memory) })} brief={brief} />;
}

export function DiskMeter({ instance, figures, brief = false }: Props) {
  const known = figures && figures.disk_used_bytes >= 0;
  const value = known ? figures.disk_used_bytes : 0;
  return <Meter label={t('common.disk')} value={value} max={instance.disk * 1_048_576} text={t('common.ofTotal', { used: known ? bytes(value) : '–', total: mebibytes(instance.disk) })} brief={brief} />;
}
