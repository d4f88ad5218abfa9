import { memo } from 'react';
import { Link } from 'wouter';
import { t } from '@/text';
import { reason, StateBadge } from '@/ui';
import { useFigures } from './figures';
import { connectAddress, type ListedInstance } from './model';
import { PowerIcons } from './Power';
import { CpuMeter, DiskMeter, MemoryMeter } from './Usage';
import css from './instance.module.css';

/** One instance in the list: what it is, how it stands, what it uses. */
export const InstanceRow = memo(function InstanceRow({ instance }: { instance: ListedInstance }) {
  const figures = useFigures(instance.id);
  return (
    <div className={css.row} data-state={instance.status}>
      <div className={css.rowName}>
        <Link href={`/instances/${instance.id}`} className={css.rowLink}>
          {instance.name}
        </Link>
        <span className={css.rowSub}>
          <span className="mono">{instance.id}</span> {connectAddress(instance.ports)}
        </span>
      </div>
      <div className={css.rowState} title={instance.suspended ? instance.suspend_reason : instance.failure && reason(instance.failure)}>
        <StateBadge state={instance.status} />
      </div>
      <div className={css.rowMeters} aria-label={t('instance.use')} role="group">
        <CpuMeter instance={instance} figures={figures} brief />
        <MemoryMeter instance={instance} figures={figures} brief />
        <DiskMeter instance={instance} figures={figures} brief />
      </div>
      <div className={css.rowPower}>
        <PowerIcons instance={instance} />
      </div>
    </div>
  );
});
