import { Anchor, Button, Group, SimpleGrid, Switch, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Link, useLocation, useSearchParams } from 'wouter';
import { call, keys, once, useCan, useMe, type View } from '@/api';
import { bodyOf, ChoiceFields, emptyForm, ImagePicker, JobLive, LimitFields, NodeSelect, PortFields, PresetField, UserSelect, useTakingNodes, VariableFields, withImage, type DeployForm } from '@/parts';
import { t } from '@/text';
import { Form, FormEnd, PageHeader, Section, useSubmit } from '@/ui';

type Made = View<'InstanceJobView'>;

/** Deploys an instance: what, for whom, where; then how it goes, which the address names, so that a reload comes back to it. */
export default function DeployPage() {
  const [params, setParams] = useSearchParams();
  const [, go] = useLocation();
  const [id, job] = [params.get('instance'), params.get('job')];
  const follow = (instance: string, work: string) => setParams({ instance, job: work }, { replace: true });
  const made = useQuery({ queryKey: keys.instances(id ?? 'none'), queryFn: ({ signal }) => call('get', '/api/v1/instances/{id}', { path: { id: id ?? '' }, signal }), enabled: !!id });
  return (
    <>
      <PageHeader
        title={made.data?.name ?? t('deploy.title')}
        crumb={
          <Anchor component={Link} href="/instances">
            {t('nav.instances')}
          </Anchor>
        }
      />
      {id && job ? (
        <Progress key={job} id={id} job={job} onRetry={(again) => follow(id, again)} />
      ) : (
        <Questions done={({ instance, job: first }) => (first ? follow(instance.id, first.id) : go(`/instances/${instance.id}`, { replace: true }))} />
      )}
    </>
  );
}

function Progress({ id, job, onRetry }: { id: string; job: string; onRetry: (job: string) => void }) {
  const [, go] = useLocation();
  const [failed, setFailed] = useState(false);
  const to = `/instances/${id}`;
  return (
    <Section title={t(failed ? 'deploy.progressFailed' : 'deploy.progress')} hint={t(failed ? 'deploy.progressFailedHint' : 'deploy.progressHint')}>
      <JobLive id={job} onRetry={onRetry} onEnd={(ended) => (ended.state === 'succeeded' ? go(to, { replace: true }) : setFailed(true))} />
      <Group justify="flex-end" mt="md">
        <Button component={Link} href={to} variant="filled">
          {t('deploy.toInstance')}
        </Button>
      </Group>
    </Section>
  );
}

const fields = ['name', 'owner_id', 'image_id', 'reference', 'startup', 'node_id', 'memory', 'cpu', 'disk', 'ports', 'variables'];

function Questions({ done }: { done: (made: Made) => void }) {
  const me = useMe();
  const [params] = useSearchParams();
  const [form, setForm] = useState<DeployForm>(() => emptyForm(params.get('owner') ?? me.user.id));
  const [image, setImage] = useState<View<'ImageView'>>();
  const [create] = useState(once);
  const choose = (chosen: View<'ImageView'>) => {
    setImage(chosen);
    setForm((before) => withImage(before, chosen));
  };
  const asked = useAsked(params.get('image'));
  if (asked && !image) choose(asked);
  const set = (change: Partial<DeployForm>) => setForm((before) => ({ ...before, ...change }));
  const known = [...fields, ...(image?.variables ?? []).map((each) => `variables.${each.name}`), ...form.ports.flatMap((_, at) => [`ports[${at}].host`, `ports[${at}].container`])];
  const submit = useSubmit(async () => {
    done(await create((key) => call('post', '/api/v1/instances', { body: bodyOf(form, image), idempotencyKey: key })));
  }, known);
  return (
    <Form noValidate run={() => image && submit.run()}>
      <Section title={t('deploy.image')}>
        <ImagePicker
          value={form.image}
          onChoose={choose}
        />
      </Section>
      {image && <Chosen {...{ image, form, set, submit }} />}
      <FormEnd submit={submit} cancel="/instances" disabled={!image || !form.owner || !form.name.trim()} apart>
        {t('deploy.submit')}
      </FormEnd>
    </Form>
  );
}

/** The image that a link here names. */
function useAsked(id: string | null): View<'ImageView'> | undefined {
  return useQuery({ queryKey: keys.images(id ?? 'none'), queryFn: ({ signal }) => call('get', '/api/v1/images/{id}', { path: { id: id ?? '' }, signal }), enabled: !!id }).data;
}

interface ChosenProps {
  image: View<'ImageView'>;
  form: DeployForm;
  set: (change: Partial<DeployForm>) => void;
  submit: ReturnType<typeof useSubmit>;
}

function Chosen({ image, form, set, submit }: ChosenProps) {
  const nodes = useTakingNodes();
  return (
    <>
      <Section title={t('deploy.about')}>
        <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="sm">
          <TextInput label={t('common.name')} required value={form.name} error={submit.of('name')} onChange={(e) => set({ name: e.currentTarget.value })} />
          <OwnerField form={form} set={set} error={submit.of('owner_id')} />
          <ChoiceFields image={image} form={form} set={set} submit={submit} />
          <NodeSelect nodes={nodes} needs={form} value={form.node} error={submit.of('node_id')} onChange={(node) => set({ node })} />
          <PresetField image={image} form={form} set={set} />
        </SimpleGrid>
      </Section>
      <Section title={t('deploy.limits')}>
        <LimitFields form={form} set={set} submit={submit} />
      </Section>
      <Section title={t('deploy.ports')} hint={t('deploy.portsHint')}>
        <PortFields form={form} set={set} submit={submit} />
      </Section>
      {(image.variables ?? []).length > 0 && (
        <Section title={t('deploy.variables')}>
          <VariableFields image={image} form={form} set={set} submit={submit} />
        </Section>
      )}
      <Section>
        <Switch label={t('deploy.start')} checked={form.start} onChange={(e) => set({ start: e.currentTarget.checked })} />
      </Section>
    </>
  );
}

interface FieldProps {
  form: DeployForm;
  set: (change: Partial<DeployForm>) => void;
  error: string | undefined;
}

function OwnerField({ form, set, error }: FieldProps) {
  const may = useCan()('users.read');
  const me = useMe();
  if (may) return <UserSelect label={t('deploy.owner')} value={form.owner} onChange={(owner) => set({ owner })} error={error} />;
  return <TextInput label={t('deploy.owner')} value={me.user.username} readOnly error={error} />;
}
