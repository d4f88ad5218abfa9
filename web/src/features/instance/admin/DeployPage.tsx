import { Anchor, Button, Group, Select, SimpleGrid, Stack, Switch, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Link, useLocation, useSearchParams } from 'wouter';
import { call, keys, list, once, useCan, useMe, type View } from '@/api';
import { bodyOf, ChoiceFields, emptyForm, ImagePicker, JobLive, LimitFields, PortFields, PresetField, UserSelect, VariableFields, withImage, type DeployForm } from '@/parts';
import { mebibytes, t } from '@/text';
import { FormEnd, PageHeader, Section, useSubmit } from '@/ui';

type Made = View<'InstanceJobView'>;

/** Deploys an instance: what, for whom, where; then how it goes. */
export default function DeployPage() {
  const [made, setMade] = useState<Made>();
  return (
    <>
      <PageHeader
        title={made ? made.instance.name : t('deploy.title')}
        crumb={
          <Anchor component={Link} href="/instances">
            {t('nav.instances')}
          </Anchor>
        }
      />
      {made ? <Progress made={made} /> : <Form done={setMade} />}
    </>
  );
}

function Progress({ made }: { made: Made }) {
  const [, go] = useLocation();
  const [job, setJob] = useState(made.job?.id);
  const to = `/instances/${made.instance.id}`;
  return (
    <Section title={t('deploy.progress')} hint={t('deploy.progressHint')}>
      {job && <JobLive key={job} id={job} onRetry={setJob} onEnd={(ended) => ended.state === 'succeeded' && go(to)} />}
      <Group justify="flex-end" mt="md">
        <Button component={Link} href={to} variant="filled">
          {t('deploy.toInstance')}
        </Button>
      </Group>
    </Section>
  );
}

const fields = ['name', 'owner_id', 'image_id', 'reference', 'startup', 'node_id', 'memory', 'cpu', 'disk', 'ports', 'variables'];

function Form({ done }: { done: (made: Made) => void }) {
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
    <form
      noValidate
      onSubmit={(e) => {
        e.preventDefault();
        if (image) void submit.run();
      }}
    >
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
    </form>
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
  return (
    <>
      <Section title={t('deploy.about')}>
        <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="sm">
          <TextInput label={t('common.name')} required value={form.name} error={submit.of('name')} onChange={(e) => set({ name: e.currentTarget.value })} />
          <OwnerField form={form} set={set} error={submit.of('owner_id')} />
          <ChoiceFields image={image} form={form} set={set} submit={submit} />
          <NodeField form={form} set={set} error={submit.of('node_id')} />
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

function NodeField({ form, set, error }: FieldProps) {
  const may = useCan()('nodes.read');
  const nodes = useQuery({ queryKey: keys.nodes('list', 'room'), queryFn: () => list('/api/v1/nodes', { query: { limit: 100 } }), enabled: may });
  const usable = (nodes.data?.items ?? []).filter((each) => each.state === 'online' && !each.maintenance);
  return (
    <Stack gap={0}>
      <Select
        label={t('deploy.node')}
        description={usable.length === 0 && nodes.data ? t('deploy.nodeNone') : undefined}
        searchable
        value={form.node}
        error={error}
        onChange={(node) => set({ node: node ?? '' })}
        data={[
          { value: '', label: t('deploy.nodeAuto') },
          ...usable.map((each) => ({ value: each.id, label: `${each.name} (${t('deploy.nodeRoom', { memory: mebibytes(each.memory_free), disk: mebibytes(each.disk_free) })})`, disabled: each.memory_free < form.memory || each.disk_free < form.disk })),
        ]}
      />
    </Stack>
  );
}
