import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import { call, ended, keys, list, useJob, type View } from '@/api';
import { t, tAny } from '@/text';
import { JobProgress, notifyError, Section } from '@/ui';

/** Long work with files: under way, or failed just now. */
export function FileJobs({ instance, onEnd }: { instance: string; onEnd: () => void }) {
  const found = useQuery({
    queryKey: keys.jobs('list', { instance }),
    queryFn: ({ signal }) => list('/api/v1/jobs', { query: { instance_id: instance, limit: 20 }, signal }),
  });
  const all = found.data?.items.filter((job) => job.kind.startsWith('file.') && job.kind !== 'file.stop');
  // What was over before the page was opened is no news. All else is, also what failed
  // so soon that nobody ever saw it under way.
  const [old, setOld] = useState<ReadonlySet<string>>();
  if (all && !old) setOld(new Set(all.filter((job) => ended(job.state)).map((job) => job.id)));
  const open = (old ? (all ?? []) : []).filter((job) => !old?.has(job.id)).sort((a, b) => Number(ended(a.state)) - Number(ended(b.state)));
  return (
    <>
      {open.slice(0, 5).map((job) => (
        <Open key={job.id} first={job} onEnd={onEnd} />
      ))}
    </>
  );
}

function Open({ first, onEnd }: { first: View<'JobView'>; onEnd: () => void }) {
  const job = useJob(first.id).job ?? first;
  const over = ended(job.state);
  const told = useRef(false);
  useEffect(() => {
    if (!over || told.current) return;
    told.current = true;
    onEnd();
    if (job.failure) notifyError(job.failure);
  }, [over, onEnd, job.failure]);
  if (over) return null;
  return (
    <Section
      title={tAny(`job.kind_${job.kind}`, job.kind)}
      actions={<Button onClick={() => void call('post', '/api/v1/jobs/{id}/cancel', { path: { id: job.id } }).catch(notifyError)}>{t('common.cancel')}</Button>}
    >
      <JobProgress job={job} />
    </Section>
  );
}
