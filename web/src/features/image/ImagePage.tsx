import { Anchor, Button, NumberInput, Select, SimpleGrid, Stack, Switch, TagsInput, Textarea, TextInput } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { Link, useLocation, useParams } from 'wouter';
import { call, keys, useCan, type View } from '@/api';
import { t, tAny, type TextKey } from '@/text';
import { ConfirmByName, ErrorNotice, FormEnd, notifyDone, PageHeader, PageSkeleton, Section, type Submit, useSubmit } from '@/ui';
import { codesOf, definitionOf, linesOf, trimmed, type Definition } from './definition';
import { Variables } from './Variables';

export default function ImagePage() {
  const { id } = useParams<{ id?: string }>();
  const image = useQuery({ queryKey: keys.images(id ?? 'new'), queryFn: () => call('get', '/api/v1/images/{id}', { path: { id: id ?? '' } }), enabled: !!id });
  if (image.error) return <ErrorNotice error={image.error} retry={() => void image.refetch()} />;
  if (id && !image.data) return <PageSkeleton />;
  return <Editor key={image.data?.updated_at ?? 'new'} image={image.data} />;
}

interface PartProps {
  def: Definition;
  set: (change: Partial<Definition>) => void;
  submit: Submit;
}

function Editor({ image }: { image: View<'ImageView'> | undefined }) {
  const [name, setName] = useState(image?.name ?? '');
  const [def, setDef] = useState<Definition>(() => (image ? definitionOf(image) : ({ references: [] } as unknown as Definition)));
  const [deleting, setDeleting] = useState(false);
  const [, go] = useLocation();
  const client = useQueryClient();
  const may = useCan()('images.write');
  const set = (change: Partial<Definition>) => setDef((before) => ({ ...before, ...change }));
  const submit = useSubmit(async () => {
    const definition = trimmed(def);
    const saved = image
      ? await call('patch', '/api/v1/images/{id}', { path: { id: image.id }, body: { ...(name === image.name ? {} : { name }), definition } })
      : await call('post', '/api/v1/images', { body: { name, ...definition } as View<'ImageBody'> });
    notifyDone(t('image.saved'));
    await client.invalidateQueries({ queryKey: keys.images() });
    if (!image) go(`/images/${saved.id}`);
  }, ['name', 'references', 'definition.references']);
  const parts = { def, set, submit };
  return (
    <>
      <PageHeader
        title={image?.name ?? t('image.add')}
        crumb={
          <Anchor component={Link} href="/images">
            {t('image.title')}
          </Anchor>
        }
        actions={
          image &&
          may && (
            <Button color="red" variant="light" onClick={() => setDeleting(true)}>
              {t('common.delete')}
            </Button>
          )
        }
      />
      <form
        onSubmit={(e) => {
          e.preventDefault();
          void submit.run();
        }}
      >
        <fieldset disabled={!may} style={{ border: 0, margin: 0, padding: 0, minWidth: 0 }}>
          <Section title={t('image.about')}>
            <Stack gap="sm">
              <TextInput label={t('common.name')} required value={name} error={submit.of('name')} onChange={(e) => setName(e.currentTarget.value)} />
              <Textarea label={t('image.description')} autosize minRows={2} value={def.description ?? ''} onChange={(e) => set({ description: e.currentTarget.value })} />
              <TagsInput
                label={t('image.references')}
                description={t('image.referencesHint')}
                required
                value={def.references ?? []}
                error={submit.of('references') ?? submit.of('definition.references')}
                onChange={(references) => set({ references })}
              />
            </Stack>
          </Section>
          <Start {...parts} />
          <Stop {...parts} />
          <Section title={t('image.variables')} hint={t('image.variablesHint')}>
            <Variables value={def.variables ?? []} onChange={(variables) => set({ variables })} />
          </Section>
        </fieldset>
        {may && (
          <FormEnd submit={submit} cancel="/images" apart>
            {t('common.save')}
          </FormEnd>
        )}
      </form>
      {image && (
        <ConfirmByName
          opened={deleting}
          onClose={() => setDeleting(false)}
          title={t('image.deleteTitle', { name: image.name })}
          name={image.name}
          confirm={t('common.delete')}
          run={async () => {
            await call('delete', '/api/v1/images/{id}', { path: { id: image.id } });
            go('/images');
            await client.invalidateQueries({ queryKey: keys.images('list') });
          }}
        >
          {t('image.deleteText')}
        </ConfirmByName>
      )}
    </>
  );
}

function Start({ def, set, submit }: PartProps) {
  return (
    <Section title={t('image.start')}>
      <Stack gap="sm">
        <TextInput
          label={t('image.commandLine')}
          description={t('image.commandHint')}
          classNames={{ input: 'mono' }}
          value={def.command_line ?? (def.command ?? []).join(' ')}
          error={submit.of('definition.command_line') ?? submit.of('command_line')}
          onChange={(e) => set({ command_line: e.currentTarget.value, command: [] })}
        />
        <Lines label="image.readyLines" hint="image.readyHint" value={[def.ready_line ?? '', ...(def.ready_lines ?? [])].filter(Boolean)} onChange={([first, ...more]) => set({ ready_line: first ?? '', ready_lines: more })} />
        <Lines label="image.env" hint="image.envHint" value={def.env ?? []} onChange={(env) => set({ env })} />
        <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="sm">
          <TextInput label={t('image.volume')} description={t('image.volumeHint')} value={def.volume ?? ''} onChange={(e) => set({ volume: e.currentTarget.value })} />
          <Seconds label="image.startTimeout" hint="image.startTimeoutHint" value={def.start_timeout_seconds} onChange={(value) => set({ start_timeout_seconds: value })} />
        </SimpleGrid>
        <Switch label={t('image.tty')} description={t('image.ttyHint')} checked={!def.no_tty} onChange={(e) => set({ no_tty: !e.currentTarget.checked })} />
      </Stack>
    </Section>
  );
}

function Stop({ def, set }: PartProps) {
  const policy = def.crash_policy ?? {};
  const crash = (change: Partial<NonNullable<Definition['crash_policy']>>) => set({ crash_policy: { ...policy, ...change } });
  const restarts = ['on-failure', 'always', 'never'] as const;
  return (
    <Section title={t('image.stop')}>
      <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="sm">
        <TextInput label={t('image.stopCommand')} description={t('image.stopHint')} classNames={{ input: 'mono' }} value={def.stop_command ?? ''} onChange={(e) => set({ stop_command: e.currentTarget.value })} />
        <Seconds label="image.stopGrace" hint="image.stopGraceHint" value={def.stop_grace_seconds} onChange={(value) => set({ stop_grace_seconds: value })} />
        <Select
          label={t('image.restart')}
          description={t('image.restartHint')}
          value={policy.restart ?? 'on-failure'}
          onChange={(value) => crash({ restart: value as (typeof restarts)[number] })}
          data={restarts.map((each) => ({ value: each, label: tAny(`image.restart_${each}`, each) }))}
        />
        <NumberInput label={t('image.crashLimit')} description={t('image.crashLimitHint')} min={-1} value={policy.limit ?? ''} placeholder="5" onChange={(value) => crash({ limit: Number(value) })} />
        <Seconds label="image.crashWindow" hint="image.crashWindowHint" value={policy.window_seconds} onChange={(value) => crash({ window_seconds: value })} />
        <TextInput label={t('image.cleanCodes')} description={t('image.cleanCodesHint')} defaultValue={(policy.clean_codes ?? []).join(', ')} onBlur={(e) => crash({ clean_codes: codesOf(e.currentTarget.value) })} />
      </SimpleGrid>
    </Section>
  );
}

function Lines({ label, hint, value, onChange }: { label: TextKey; hint: TextKey; value: string[]; onChange: (to: string[]) => void }) {
  const [text, setText] = useState(value.join('\n'));
  return (
    <Textarea
      label={t(label)}
      description={t(hint)}
      autosize
      minRows={2}
      classNames={{ input: 'mono' }}
      spellCheck={false}
      value={text}
      onChange={(e) => {
        setText(e.currentTarget.value);
        onChange(linesOf(e.currentTarget.value));
      }}
    />
  );
}

function Seconds({ label, hint, value, onChange }: { label: TextKey; hint: TextKey; value: number | undefined; onChange: (to: number) => void }) {
  return <NumberInput label={t(label)} description={t(hint)} suffix=" s" min={0} value={value ?? ''} onChange={(to) => onChange(Number(to))} />;
}
