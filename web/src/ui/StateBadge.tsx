import {
  IconAlertTriangle, IconCircleCheck, IconCircleDashed, IconCircleFilled, IconCircleX, IconClock, IconLock, IconPlayerStop, IconProgress, IconQuestionMark,
  IconTool, type Icon,
} from '@tabler/icons-react';
import { tAny } from '@/text';
import css from './ui.module.css';

type Tone = 'good' | 'busy' | 'warn' | 'bad' | 'idle';

// A state is told by its shape and its word; the colour only repeats them.
const looks: Record<string, [Tone, Icon]> = {
  running: ['good', IconCircleFilled],
  online: ['good', IconCircleFilled],
  active: ['good', IconCircleCheck],
  succeeded: ['good', IconCircleCheck],
  starting: ['busy', IconProgress],
  stopping: ['busy', IconProgress],
  installing: ['busy', IconProgress],
  deleting: ['busy', IconProgress],
  moving: ['busy', IconProgress],
  draining: ['busy', IconProgress],
  queued: ['idle', IconClock],
  waiting: ['warn', IconClock],
  pending: ['idle', IconCircleDashed],
  invited: ['idle', IconClock],
  stopped: ['idle', IconPlayerStop],
  cancelled: ['idle', IconCircleX],
  disabled: ['idle', IconLock],
  unknown: ['warn', IconQuestionMark],
  maintenance: ['warn', IconTool],
  suspended: ['warn', IconLock],
  offline: ['bad', IconCircleX],
  crashed: ['bad', IconAlertTriangle],
  failed: ['bad', IconAlertTriangle],
  revoked: ['bad', IconLock],
};

interface Props {
  /** The word that the API uses. */
  state: string;
  /** Instead of the state's own word. */
  label?: string;
}

/** A state, the one way it is shown everywhere. */
export function StateBadge({ state, label }: Props) {
  const [tone, Shape] = looks[state] ?? (['idle', IconQuestionMark] as const);
  return (
    <span className={`${css.badge} ${css[tone]}`} data-state={state}>
      <Shape size={Shape === IconCircleFilled ? 10 : 14} aria-hidden />
      {label ?? tAny(`state.${state}`, state)}
    </span>
  );
}
