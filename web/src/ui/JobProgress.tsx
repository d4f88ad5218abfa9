import { Progress } from '@mantine/core';
import { bytes, t, tAny } from '@/text';
import { StateBadge } from './StateBadge';
import css from './ui.module.css';

interface Part {
  name: string;
  state: string;
  done_bytes: number;
  /** 0 while nobody knows. */
  total_bytes: number;
}

interface Props {
  /** A job as the API shows it. */
  job: { state: string; percent: number; step?: string; message?: string; failure?: { message?: string }; parts?: Part[] | null };
}

/** How far a job is: state, step and bar, the parts of the step; the sentence when it failed. */
export function JobProgress({ job }: Props) {
  const working = job.state === 'running' || job.state === 'queued' || job.state === 'waiting';
  const step = job.step ? tAny(`job.step_${job.step}`, job.step) : '';
  const text = job.failure?.message ?? (job.state === 'succeeded' ? '' : (job.message ?? step));
  const parts = working ? (job.parts ?? []) : [];
  return (
    <>
      <div aria-live="polite">
        <StateBadge state={job.state} /> <span className="quiet">{text}</span>
        {working && (
          <Progress
            mt={6}
            size="sm"
            value={job.percent >= 0 ? job.percent : 100}
            animated={job.percent < 0}
            aria-label={step || job.state}
          />
        )}
      </div>
      {parts.length > 0 && (
        // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- a region that scrolls has to be reached by keyboard
        <ul className={css.layers} aria-label={t('job.parts')} tabIndex={0}>
          {parts.map((part) => (
            <li key={part.name} className={css.layer}>
              <span className="mono">{part.name}</span>
              <Progress size="xs" value={shareOf(part)} animated={part.state === 'extracting'} aria-label={part.name} />
              <span className="quiet">
                {tAny(`job.part_${part.state}`, part.state)}
                {part.state === 'downloading' && part.total_bytes > 0 && ` ${t('common.ofTotal', { used: bytes(part.done_bytes), total: bytes(part.total_bytes) })}`}
              </span>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

/** How much of a part is there, in percent. What is being unpacked is all there. */
function shareOf(part: Part): number {
  if (part.state === 'done' || part.state === 'extracting') return 100;
  return part.total_bytes > 0 ? Math.min(100, (part.done_bytes / part.total_bytes) * 100) : 0;
}
