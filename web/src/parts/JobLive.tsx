import { Button, Group, Progress, Stack } from '@mantine/core';
import { IconCircle, IconCircleCheck, IconCircleX, IconLoader, type Icon } from '@tabler/icons-react';
import { useEffect, useRef, useState } from 'react';
import { call, ended, useCan, useJob, type View } from '@/api';
import { bytes, dateTime, t, tAny } from '@/text';
import { JobProgress, notifyError } from '@/ui';
import css from './parts.module.css';

interface Props {
  id: string;
  /** Called once, with the job in its last state. */
  onEnd?: (job: View<'JobView'>) => void;
  /** Called with the job that a retry made. */
  onRetry?: (id: string) => void;
  /** Without the buttons that cancel and retry it. */
  quiet?: boolean;
}

/** A job as it goes on: how far, what it does in order, its log, and what can be done about it. */
export function JobLive({ id, onEnd, onRetry, quiet }: Props) {
  const { job, lines } = useJob(id);
  const told = useRef('');
  useEffect(() => {
    if (!job || !ended(job.state) || told.current === job.id) return;
    told.current = job.id;
    onEnd?.(job);
  }, [job, onEnd]);
  if (!job) return <div className={css.jobWait} aria-busy="true" />;
  const parts = ended(job.state) ? [] : (job.parts ?? []);
  return (
    <Stack gap="sm">
      <JobProgress job={job} />
      {job.tasks && job.tasks.length > 0 && <Tasks tasks={job.tasks} />}
      {parts.length > 0 ? <Layers parts={parts} /> : <JobLog lines={lines} />}
      {!quiet && <JobButtons job={job} onRetry={onRetry} />}
    </Stack>
  );
}

/** What can be done about a job: to cancel it while it works, to do it again when it failed. */
export function JobButtons({ job, onRetry }: { job: View<'JobView'>; onRetry?: ((id: string) => void) | undefined }) {
  const [busy, setBusy] = useState(false);
  const may = useCan()('jobs.write');
  if (!may || job.state === 'succeeded') return null;
  const act = async (what: 'cancel' | 'retry') => {
    setBusy(true);
    try {
      if (what === 'cancel') await call('post', '/api/v1/jobs/{id}/cancel', { path: { id: job.id } });
      else onRetry?.((await call('post', '/api/v1/jobs/{id}/retry', { path: { id: job.id } })).id);
    } catch (error) {
      notifyError(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Group gap="xs">
      {!ended(job.state) && (
        <Button onClick={() => void act('cancel')} loading={busy}>
          {t('job.cancel')}
        </Button>
      )}
      {ended(job.state) && onRetry && (
        <Button onClick={() => void act('retry')} loading={busy}>
          {t('job.retry')}
        </Button>
      )}
    </Group>
  );
}

const marks: Record<string, [Icon, string]> = {
  done: [IconCircleCheck, css.done ?? ''],
  running: [IconLoader, css.running ?? ''],
  failed: [IconCircleX, css.failed ?? ''],
};

function Tasks({ tasks }: { tasks: View<'JobTaskView'>[] }) {
  return (
    <ol className={css.tasks}>
      {tasks.map((task) => {
        const [Shape, look] = marks[task.state] ?? [IconCircle, ''];
        return (
          <li key={task.name} className={look} aria-current={task.state === 'running' ? 'step' : undefined}>
            <Shape size={16} aria-hidden />
            {tAny(`job.task_${task.name}`, task.name)}
            <span className="hidden">{tAny(`job.state_${task.state}`, task.state)}</span>
          </li>
        );
      })}
    </ol>
  );
}

/** The layers of an image that is pulled, in the place of the log: what comes and goes there moves nothing else. */
function Layers({ parts }: { parts: View<'JobPartView'>[] }) {
  return (
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
  );
}

/** How much of a part is there, in percent. What is being unpacked is all there. */
function shareOf(part: View<'JobPartView'>): number {
  if (part.state === 'done' || part.state === 'extracting') return 100;
  return part.total_bytes > 0 ? Math.min(100, (part.done_bytes / part.total_bytes) * 100) : 0;
}

/** A log, the newest line in sight until somebody scrolls up. */
function JobLog({ lines }: { lines: View<'JobLineView'>[] }) {
  const box = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  useEffect(() => {
    if (box.current && follows.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines]);
  return (
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- a region that scrolls has to be reached by keyboard
    <div className={css.log} ref={box} tabIndex={0} role="log" aria-label={t('job.log')}
      onScroll={(e) => {
        const at = e.currentTarget;
        follows.current = at.scrollHeight - at.scrollTop - at.clientHeight < 24;
      }}
    >
      {lines.length === 0 && <span className="quiet">{t('job.logEmpty')}</span>}
      {lines.map((line) => (
        <div key={line.seq}>
          <time dateTime={line.at} title={dateTime(line.at, { dateStyle: 'medium', timeStyle: 'medium' })}>
            {dateTime(line.at, { timeStyle: 'medium' })}
          </time>{' '}
          {line.text}
        </div>
      ))}
    </div>
  );
}
