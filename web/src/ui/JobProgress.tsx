import { Progress } from '@mantine/core';
import { tAny } from '@/text';
import { reason } from './problem';
import { StateBadge } from './StateBadge';

interface Props {
  /** A job as the API shows it. */
  job: { state: string; percent: number; step?: string; message?: string; failure?: { message?: string } };
}

/** How far a job is: state, step and bar; the reason when it failed. */
export function JobProgress({ job }: Props) {
  const working = job.state === 'running' || job.state === 'queued' || job.state === 'waiting';
  const step = job.step ? tAny(`job.step_${job.step}`, job.step) : '';
  const text = job.failure ? reason(job.failure) : job.state === 'succeeded' ? '' : (job.message ?? step);
  return (
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
  );
}
