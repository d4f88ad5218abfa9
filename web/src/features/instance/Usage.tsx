import { bytes, cores, mebibytes, t } from '@/text';
import { Meter } from '@/ui';
import type { Figures } from './figures';
import type { ListedInstance } from './model';

interface Props {
  instance: Pick<ListedInstance, 'cpu' | 'memory' | 'disk'>;
  figures: Figures | undefined;
}

/** What of its CPU time it uses now. */
export function CpuMeter({ instance, figures }: Props) {
  const value = figures?.running ? figures.cpu : 0;
  const text = figures ? t('instance.ofCores', { used: cores(value), total: cores(instance.cpu) }) : `– / ${cores(instance.cpu)}`;
  return <Meter label={t('common.cpu')} value={value} max={instance.cpu} text={text} />;
}

export function MemoryMeter({ instance, figures }: Props) {
  const value = figures?.running ? figures.memory_bytes : 0;
  return <Meter label={t('common.memory')} value={value} max={instance.memory * 1_048_576} text={figures ? `${bytes(value)} / ${mebibytes(instance.memory)}` : `– / ${mebibytes(instance.memory)}`} />;
}

export function DiskMeter({ instance, figures }: Props) {
  const known = figures && figures.disk_used_bytes >= 0;
  const value = known ? figures.disk_used_bytes : 0;
  return <Meter label={t('common.disk')} value={value} max={instance.disk * 1_048_576} text={known ? `${bytes(value)} / ${mebibytes(instance.disk)}` : `– / ${mebibytes(instance.disk)}`} />;
}
