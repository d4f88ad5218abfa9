import { t } from '@/text';
import type { ListedInstance } from './model';

/** Why nothing can run here now, whatever the container did last; nothing when it can. */
export function heldBy(instance: Pick<ListedInstance, 'status' | 'suspended' | 'suspend_reason'>): string | undefined {
  if (instance.status === 'deleting') return t('instance.heldDeleting');
  if (instance.suspended) {
    const reason = instance.suspend_reason;
    return reason ? `${t('instance.suspendedTitle')}. ${t('instance.reason', { reason })}` : `${t('instance.suspendedTitle')}.`;
  }
  if (instance.status === 'installing') return t('instance.heldInstalling');
  if (instance.status === 'failed') return t('instance.heldFailed');
  return undefined;
}
