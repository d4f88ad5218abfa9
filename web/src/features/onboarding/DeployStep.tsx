import { Button, Group } from '@mantine/core';
import { useState } from 'react';
import { Link, useLocation } from 'wouter';
import { JobLive } from '@/parts';
import { t } from '@/text';
import { Section } from '@/ui';

/** How the first deploy goes on. */
export default function DeployStep({ job, instance, again }: { job: string; instance: string; again: () => void }) {
  const [current, setCurrent] = useState(job);
  const [failed, setFailed] = useState(false);
  const [, go] = useLocation();
  return (
    <Section title={t(failed ? 'deploy.progressFailed' : 'deploy.progress')} hint={t(failed ? 'deploy.progressFailedHint' : 'deploy.progressHint')}>
      <JobLive
        key={current}
        id={current}
        onRetry={(made) => {
          setFailed(false);
          setCurrent(made);
        }}
        onEnd={(ended) => {
          if (ended.state === 'succeeded') go(`/instances/${instance}`);
          else setFailed(true);
        }}
      />
      <Group justify="flex-end" gap="xs" mt="md">
        {failed && <Button onClick={again}>{t('onboarding.again')}</Button>}
        <Button component={Link} href={`/instances/${instance}`} variant="filled">
          {t('deploy.toInstance')}
        </Button>
      </Group>
    </Section>
  );
}
