import { Button, NumberInput, SimpleGrid, Stack, Stepper, Text, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { lazy, Suspense, useState } from 'react';
import { useLocation, useSearchParams } from 'wouter';
import { call, keys, list, once, type View } from '@/api';
import { speakOfAll, t } from '@/text';
import { ErrorNotice, Form, FormEnd, PageHeader, PageSkeleton, RowSkeletons, Section, useSubmit } from '@/ui';
import { stepOf } from './step';

// The first step is what somebody meets who sees the panel for the first time: the others come when they are gone to.
const worded = <T,>(load: Promise<T>) => Promise.all([load, speakOfAll()]).then(([found]) => found);
const NodeCommand = lazy(() => import('@/parts/NodeCommand').then((m) => ({ default: m.NodeCommand })));
const ImagePicker = lazy(() => worded(import('@/parts/ImagePicker').then((m) => ({ default: m.ImagePicker }))));
const SettingsStep = lazy(() => worded(import('./SettingsStep')));
const DeployStep = lazy(() => worded(import('./DeployStep')));

/**
 * Leads from an empty install to a first running instance. Where somebody is
 * follows from what there is: he may leave and come back.
 */
export default function WelcomePage() {
  const [params, setParams] = useSearchParams();
  const [image, setImage] = useState<View<'ImageView'>>();
  const [, go] = useLocation();
  const nodes = useQuery({ queryKey: keys.nodes('list', 'welcome'), queryFn: () => list('/api/v1/nodes', { query: { limit: 100 } }) });
  const job = params.get('job') ?? '';
  const instance = params.get('instance') ?? '';
  if (nodes.error && !nodes.data) return <ErrorNotice error={nodes.error} retry={() => void nodes.refetch()} />;
  if (!nodes.data) return <PageSkeleton />;
  const online = nodes.data.items.find((each) => each.state === 'online');
  const step = stepOf({ online: !!online, image: !!image, job: !!job });
  const leave = () => {
    localStorage.setItem('berth.welcome', 'left');
    go('/overview');
  };
  return (
    <>
      <PageHeader title={t('onboarding.title')} actions={<Button onClick={leave}>{t('onboarding.later')}</Button>} />
      <Stepper active={step} size="sm" mb="lg" onStepClick={(to) => to === 1 && step === 2 && setImage(undefined)} allowNextStepsSelect={false}>
        <Stepper.Step label={t('onboarding.node')} description={t('onboarding.nodeShort')} allowStepSelect={false} />
        <Stepper.Step label={t('onboarding.image')} description={t('onboarding.imageShort')} allowStepSelect={step === 2} />
        <Stepper.Step label={t('onboarding.settings')} description={t('onboarding.settingsShort')} allowStepSelect={false} />
        <Stepper.Step label={t('onboarding.deploy')} description={t('onboarding.deployShort')} allowStepSelect={false} />
      </Stepper>
      <Suspense fallback={<RowSkeletons />}>
        {step === 0 && <NodeStep waiting={nodes.data.items[0]} />}
        {step === 1 && (
          <Section title={t('onboarding.imageTitle')} hint={t('onboarding.imageHint')}>
            <ImagePicker value="" onChoose={setImage} />
          </Section>
        )}
        {step === 2 && image && online && (
          <SettingsStep image={image} node={online} back={() => setImage(undefined)} done={(made) => setParams({ instance: made.instance.id, ...(made.job ? { job: made.job.id } : {}) }, { replace: true })} />
        )}
        {step === 3 && <DeployStep job={job} instance={instance} again={() => setParams({}, { replace: true })} />}
      </Suspense>
    </>
  );
}

// --- 1: a node ---------------------------------------------------------------

function NodeStep({ waiting }: { waiting: View<'NodeView'> | undefined }) {
  const [held, setHeld] = useState<{ node: string; enrolment: View<'EnrolmentView'> }>();
  const [form, setForm] = useState({ name: 'node-1', address: '', memory: 8192, disk: 102_400 });
  const [create] = useState(once);
  const submit = useSubmit(async () => {
    const made = await create((key) => call('post', '/api/v1/nodes', { body: { ...form, port: 8443 } as View<'NodeBody'>, idempotencyKey: key }));
    setHeld({ node: made.node.id, enrolment: made.enrolment });
  }, ['name', 'address', 'memory', 'disk']);
  const renew = useSubmit(async () => {
    if (!waiting) return;
    setHeld({ node: waiting.id, enrolment: await call('post', '/api/v1/nodes/{id}/enrolment-key', { path: { id: waiting.id } }) });
  });
  if (held) {
    return (
      <Section title={t('node.commandTitle')}>
        <NodeCommand {...held} />
      </Section>
    );
  }
  if (waiting) {
    return (
      <Section title={t('onboarding.nodeAway', { name: waiting.name })}>
        <Stack gap="sm" align="flex-start">
          <Text>{t(waiting.state === 'offline' ? 'node.offlineDo' : 'onboarding.nodeAgain')}</Text>
          <ErrorNotice error={renew.error} />
          {waiting.state !== 'offline' && (
            <Button variant="filled" loading={renew.busy} onClick={() => void renew.run()}>
              {t('node.commandNew')}
            </Button>
          )}
        </Stack>
      </Section>
    );
  }
  return (
    <Section title={t('onboarding.nodeTitle')} hint={t('onboarding.nodeHint')}>
      <Form run={submit.run}>
        <Stack gap="md">
          <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="sm">
            <TextInput label={t('node.name')} description={t('node.nameHint')} required value={form.name} error={submit.of('name')} onChange={(e) => setForm({ ...form, name: e.currentTarget.value })} />
            <TextInput label={t('node.address')} description={t('node.addressHint')} required value={form.address} error={submit.of('address')} onChange={(e) => setForm({ ...form, address: e.currentTarget.value })} />
            <NumberInput label={t('node.memoryFor')} suffix=" MiB" required min={64} step={1024} thousandSeparator=" " value={form.memory} error={submit.of('memory')} onChange={(value) => setForm({ ...form, memory: Number(value) })} />
            <NumberInput label={t('node.diskFor')} suffix=" MiB" required min={64} step={1024} thousandSeparator=" " value={form.disk} error={submit.of('disk')} onChange={(value) => setForm({ ...form, disk: Number(value) })} />
          </SimpleGrid>
          <FormEnd submit={submit}>
            {t('common.continue')}
          </FormEnd>
        </Stack>
      </Form>
    </Section>
  );
}
