import { Button, Group, Select, Stack, Switch } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { call, keys, useCan, type View } from '@/api';
import { keepsRules, referenceChoices, VariableForm } from '@/parts';
import { t } from '@/text';
import { ErrorNotice, Facts, Form, notifyDone, RowSkeletons, Section, useSubmit } from '@/ui';
import { useChange } from './change';
import { CrashForm } from './CrashForm';
import { changed, needOf, startOf, told, variablesOf } from './variables';
import type { Instance } from './model';
import css from './instance.module.css';

type Image = View<'ImageView'>;

/** What an instance is started with, and what happens when it ends by itself. */
export default function StartupTab({ instance }: { instance: Instance }) {
  const path = { id: instance.image_id };
  const image = useQuery({ queryKey: keys.images(instance.image_id), queryFn: ({ signal }) => call('get', '/api/v1/images/{id}', { path, signal }), staleTime: 300_000 });
  const schema = useQuery({ queryKey: keys.images(instance.image_id, 'schema'), queryFn: ({ signal }) => call('get', '/api/v1/images/{id}/schema', { path, signal }), staleTime: 300_000 });
  const error = image.error ?? schema.error;
  if (error) return <ErrorNotice error={error} retry={() => void Promise.all([image.refetch(), schema.refetch()])} />;
  if (!image.data || !schema.data) return <RowSkeletons />;
  return (
    <>
      {instance.outdated && <Outdated instance={instance} />}
      <Startup key={`v${instance.generation}`} instance={instance} image={image.data} schema={schema.data} />
      <CrashForm key={`c${instance.generation}`} instance={instance} image={image.data} />
    </>
  );
}

interface Props {
  instance: Instance;
  image: Image;
  schema: View<'ImageSchemaView'>;
}

interface Choice {
  reference: string;
  startup: string;
  pull: string;
  pin: boolean;
}

const choiceFields = ['reference', 'startup', 'pull', 'digest', 'pin'];

function Startup({ instance, image, schema }: Props) {
  const change = useChange(instance.id);
  const staff = useCan()('instances.write');
  const variables = variablesOf(schema, image, instance.variables);
  const kept = instance.secrets ?? [];
  const start = startOf(variables, instance.variables);
  const [values, setValues] = useState(start);
  const first: Choice = { reference: instance.reference, startup: instance.startup ?? '', pull: instance.pull ?? '', pin: !!instance.digest };
  const [choice, setChoice] = useState(first);
  const edits = changed(start, values);
  const moved = Object.fromEntries(Object.entries(choice).filter(([name, value]) => value !== first[name as keyof Choice]));
  const dirty = Object.keys(edits).length + Object.keys(moved).length > 0;
  const submit = useSubmit(async () => {
    const need = await change({ ...moved, ...(Object.keys(edits).length > 0 ? { variables: edits } : {}) });
    notifyDone(told(need));
  }, [...choiceFields, ...variables.map((each) => `variables.${each.name}`)]);
  return (
    <Form noValidate run={() => dirty && submit.run()}>
      <Section title={t('instance.variables')} hint={t('instance.variablesHint')}>
        {variables.length === 0 ? (
          <p className="quiet">{t('instance.variablesNone')}</p>
        ) : (
          <VariableForm
            variables={variables}
            values={values}
            start={start}
            tried={Object.keys(submit.fields).length > 0}
            kept={kept}
            staff={false}
            of={(name) => submit.of(`variables.${name}`)}
            onChange={(name, to) => {
              submit.forget(`variables.${name}`);
              setValues((before) => ({ ...before, [name]: to }));
            }}
          />
        )}
      </Section>
      <Chosen {...{ instance, image, choice, staff }} of={submit.of} set={(to) => setChoice((before) => ({ ...before, ...to }))} />
      <div className={css.startupEnd}>
        <ErrorNotice error={submit.error} />
        <Group justify="flex-end" gap="xs">
          {dirty && (
            <span className={css.needs} role="status">
              {t(`instance.need_${needOf(instance, [...Object.keys(moved), ...Object.keys(edits)])}`)} {!keepsRules(variables, values, kept) && t('instance.rulesBroken')}
            </span>
          )}
          {dirty && (
            <Button
              onClick={() => {
                setValues(start);
                setChoice(first);
                submit.reset();
              }}
            >
              {t('common.cancel')}
            </Button>
          )}
          <Button type="submit" variant="filled" loading={submit.busy} disabled={!dirty}>
            {t('common.save')}
          </Button>
        </Group>
      </div>
    </Form>
  );
}

interface ChosenProps {
  instance: Instance;
  image: Image;
  choice: Choice;
  staff: boolean;
  of: (field: string) => string | undefined;
  set: (to: Partial<Choice>) => void;
}

// Which container image it runs, and by which command it is started.
function Chosen({ instance, image, choice, staff, of, set }: ChosenProps) {
  const references = referenceChoices(image, instance.reference);
  const commands = image.commands ?? [];
  const name = choice.startup || (commands[0]?.name ?? '');
  const line = commands.find((each) => each.name === name)?.line ?? (image.command_line || image.command?.join(' '));
  const ready = [image.ready_line, ...(image.ready_lines ?? [])].filter((each): each is string => !!each);
  return (
    <Section title={image.name} hint={image.description}>
      <Stack gap="md">
        <div className={css.grid}>
          {references.length > 1 && <Select label={t('instance.image')} description={t('instance.imageHint')} allowDeselect={false} value={choice.reference} data={references} error={of('reference')} onChange={(to) => set({ reference: to ?? choice.reference })} />}
          {commands.length > 1 && <Select label={t('instance.startCommand')} description={t('instance.startCommandHint')} allowDeselect={false} value={name} data={commands.map((each) => each.name)} error={of('startup')} onChange={(to) => set({ startup: to === commands[0]?.name && !instance.startup ? '' : (to ?? '') })} />}
          {staff && (
            <Select
              label={t('instance.pull')}
              description={t('instance.pullHint')}
              allowDeselect={false}
              value={choice.pull}
              error={of('pull')}
              data={[{ value: '', label: t('instance.crash_image') }, ...(['missing', 'always', 'never'] as const).map((each) => ({ value: each, label: t(`image.pull_${each}`) }))]}
              onChange={(to) => set({ pull: to ?? '' })}
            />
          )}
        </div>
        {staff && (instance.runs_digest || instance.digest) && (
          <Switch label={t('instance.pin')} description={t('instance.pinHint')} error={of('pin') ?? of('digest')} checked={choice.pin} onChange={(e) => set({ pin: e.currentTarget.checked })} />
        )}
        <Facts
          of={[
            [t('instance.image'), references.length === 1 && <span className="mono">{instance.reference}</span>],
            [t('instance.digest'), (instance.digest || instance.runs_digest) && <span className="mono">{instance.digest || instance.runs_digest}</span>],
            [t('instance.startCommand'), line && <span className="mono">{line}</span>],
            [
              t('instance.ready'),
              ready.length > 0
                ? ready.map((each) => (
                    <div key={each} className="mono">
                      {each}
                    </div>
                  ))
                : t('instance.readyNone'),
            ],
            [t('instance.stopHow'), image.stop_command && <span className="mono">{image.stop_command}</span>],
          ]}
        />
      </Stack>
    </Section>
  );
}

// The image was changed after this was made from it.
function Outdated({ instance }: { instance: Instance }) {
  const submit = useSubmit(async () => {
    await call('post', '/api/v1/instances/{id}/refresh', { path: { id: instance.id } });
    notifyDone(t('instance.refreshed'));
  });
  return (
    <div className={css.told} data-tone="busy" role="status">
      <div>
        <p>
          <strong>{t('instance.outdated')}</strong>
        </p>
        <p>{t('instance.outdatedHint')}</p>
        <ErrorNotice error={submit.error} />
      </div>
      <Button loading={submit.busy} onClick={() => void submit.run()}>
        {t('instance.refresh')}
      </Button>
    </div>
  );
}
