import { Button, Group, NumberInput, PasswordInput, Select, Stack, Switch, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { call, keys, type View } from '@/api';
import { t } from '@/text';
import { ErrorNotice, Facts, FormEnd, notifyDone, RowSkeletons, Section, useSubmit } from '@/ui';
import { useChange } from './change';
import { may, verbs, type Instance } from './model';
import { usePower } from './Power';
import { changed, codesOf, isSecret, kindOf, switchWords, wrongValue, type Variable } from './startup';
import css from './instance.module.css';

/** What an instance is started with, and what happens when it ends by itself. */
export default function StartupTab({ instance }: { instance: Instance }) {
  const image = useQuery({
    queryKey: keys.images(instance.image_id),
    queryFn: ({ signal }) => call('get', '/api/v1/images/{id}', { path: { id: instance.image_id }, signal }),
    staleTime: 300_000,
  });
  if (image.isPending) return <RowSkeletons />;
  if (image.error) return <ErrorNotice error={image.error} retry={() => void image.refetch()} />;
  return (
    <>
      <Variables key={`v${instance.generation}`} instance={instance} image={image.data} />
      <ImageSection key={`i${instance.generation}`} instance={instance} image={image.data} />
      <Crash key={`c${instance.generation}`} instance={instance} image={image.data} />
    </>
  );
}

interface Props {
  instance: Instance;
  image: View<'ImageView'>;
}

function Variables({ instance, image }: Props) {
  const change = useChange(instance.id);
  const power = usePower(instance);
  const held = instance.variables;
  const known = image.variables ?? [];
  const others = Object.keys(held).filter((name) => !known.some((each) => each.name === name));
  const all: Variable[] = [...known, ...others.map((name) => ({ name }))];
  const start = Object.fromEntries(all.map((each) => [each.name, held[each.name] ?? each.default ?? '']));
  const [values, setValues] = useState(start);
  const [tried, setTried] = useState(false);
  const edits = changed(start, values);
  const dirty = Object.keys(edits).length > 0;
  const bad = all.some((each) => wrongValue(each, values[each.name] ?? '') !== '');
  const send = useSubmit(async () => {
    await change({ variables: edits });
    notifyDone(t('instance.changeRestart'));
  }, all.map((each) => `variables.${each.name}`));
  const running = verbs(instance).restart;
  return (
    <Section
      title={t('instance.variables')}
      hint={t('instance.variablesHint')}
      actions={
        running && !dirty && may(instance, 'power') ? (
          <Button loading={power.busy === 'restart'} onClick={() => power.order('restart')}>
            {t('instance.restartNow')}
          </Button>
        ) : undefined
      }
    >
      {all.length === 0 ? (
        <p className="quiet">{t('instance.variablesNone')}</p>
      ) : (
        <form
          onSubmit={(e) => {
            e.preventDefault();
            setTried(true);
            if (!bad && dirty) void send.run();
          }}
        >
          <Stack gap="md">
            <div className={css.grid}>
              {all.map((each) => {
                const value = values[each.name] ?? '';
                const wrong = wrongValue(each, value);
                const error = send.of(`variables.${each.name}`) ?? (wrong === 'number' || (wrong && tried) ? t(wrong === 'number' ? 'instance.variableNumber' : 'instance.variableEmpty') : undefined);
                return <Field key={each.name} variable={each} value={value} error={error} onChange={(to) => setValues((before) => ({ ...before, [each.name]: to }))} />;
              })}
            </div>
            <ErrorNotice error={send.error} />
            <Group justify="flex-end" gap="xs">
              {dirty && <Button onClick={() => setValues(start)}>{t('common.cancel')}</Button>}
              <Button type="submit" variant="filled" loading={send.busy} disabled={!dirty}>
                {t('common.save')}
              </Button>
            </Group>
          </Stack>
        </form>
      )}
    </Section>
  );
}

interface FieldProps {
  variable: Variable;
  value: string;
  error: string | undefined;
  onChange: (to: string) => void;
}

function Field({ variable, value, error, onChange }: FieldProps) {
  const kind = kindOf(variable);
  const [on, off] = switchWords(variable);
  const hint = [variable.description, variable.default ? t('instance.variableDefault', { value: variable.default }) : ''].filter(Boolean).join(' · ');
  const common = { label: variable.name, description: hint || undefined, error, required: !!variable.required, autoComplete: 'off', spellCheck: false };
  if (kind === 'switch') {
    return <Switch label={variable.name} description={hint || undefined} checked={value === on} onChange={(e) => onChange(e.currentTarget.checked ? on : off)} />;
  }
  if (isSecret(variable.name)) return <PasswordInput {...common} autoComplete="new-password" value={value} onChange={(e) => onChange(e.currentTarget.value)} />;
  return <TextInput {...common} inputMode={kind === 'number' ? 'decimal' : 'text'} value={value} onChange={(e) => onChange(e.currentTarget.value)} />;
}

function ImageSection({ instance, image }: Props) {
  const change = useChange(instance.id);
  const ready = [image.ready_line, ...(image.ready_lines ?? [])].filter((each): each is string => !!each);
  const send = useSubmit(() => Promise.resolve());
  const choices = [...new Set([instance.reference, ...(image.references ?? [])])];
  const [reference, setReference] = useState(instance.reference);
  const save = useSubmit(async () => {
    await change({ reference });
    notifyDone(t('instance.changeRestart'));
  }, ['reference']);
  return (
    <Section title={image.name} hint={image.description}>
      <Stack gap="md">
        {choices.length > 1 && (
          <Group align="flex-end" gap="xs">
            <Select label={t('instance.image')} description={t('instance.imageHint')} value={reference} onChange={(to) => setReference(to ?? reference)} data={choices} error={save.of('reference')} style={{ flex: '1 1 16rem', maxWidth: '28rem' }} />
            <Button size="sm" disabled={reference === instance.reference} loading={save.busy} onClick={() => void save.run()}>
              {t('common.save')}
            </Button>
          </Group>
        )}
        <ErrorNotice error={save.error ?? send.error} />
        <Facts
          of={[
            [t('instance.image'), choices.length === 1 && <span className="mono">{instance.reference}</span>],
            [t('instance.startCommand'), (image.command_line || image.command?.join(' ')) && <span className="mono">{image.command_line || image.command?.join(' ')}</span>],
            [t('instance.ready'), ready.length > 0 ? ready.map((each) => <div key={each} className="mono">{each}</div>) : t('instance.readyNone')],
            [t('instance.stopHow'), image.stop_command && <span className="mono">{image.stop_command}</span>],
          ]}
        />
      </Stack>
    </Section>
  );
}

type Restart = '' | 'on-failure' | 'always' | 'never';

function Crash({ instance, image }: Props) {
  const change = useChange(instance.id);
  const now = instance.crash_policy;
  const def = image.crash_policy ?? {};
  const [restart, setRestart] = useState<Restart>((now.restart as Restart) ?? '');
  const [limit, setLimit] = useState<string | number>(now.limit || '');
  const [span, setSpan] = useState<string | number>(now.window_seconds || '');
  const [quiet, setQuiet] = useState<string | number>(now.quiet_seconds || '');
  const [codes, setCodes] = useState((now.clean_codes ?? []).join(', '));
  const clean = codesOf(codes);
  const send = useSubmit(async () => {
    await change({
      crash_policy: {
        ...(restart ? { restart } : {}),
        ...(limit ? { limit: Number(limit) } : {}),
        ...(span ? { window_seconds: Number(span) } : {}),
        ...(quiet ? { quiet_seconds: Number(quiet) } : {}),
        ...(clean && clean.length > 0 ? { clean_codes: clean } : {}),
      },
    });
    notifyDone(t('instance.changeSent'));
  });
  return (
    <Section title={t('instance.crash')} hint={t('instance.crashHint')}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          if (clean) void send.run();
        }}
      >
        <Stack gap="md">
          <div className={css.grid}>
            <Select
              label={t('instance.crashRestart')}
              value={restart}
              onChange={(to) => setRestart((to ?? '') as Restart)}
              data={(['', 'on-failure', 'always', 'never'] as const).map((each) => ({ value: each, label: each === '' ? t('instance.crash_image') : t(`instance.crash_${each}`) }))}
            />
            <NumberInput label={t('instance.crashLimit')} placeholder={String(def.limit || 5)} min={-1} allowDecimal={false} value={limit} onChange={setLimit} />
            <NumberInput label={t('instance.crashWindow')} placeholder={String(def.window_seconds || 600)} min={0} allowDecimal={false} value={span} onChange={setSpan} />
            <NumberInput label={t('instance.crashQuiet')} placeholder={String(def.quiet_seconds || 600)} min={0} allowDecimal={false} value={quiet} onChange={setQuiet} />
            <TextInput label={t('instance.crashCodes')} description={t('instance.crashCodesHint')} value={codes} onChange={(e) => setCodes(e.currentTarget.value)} error={clean ? undefined : t('instance.crashCodesBad')} />
          </div>
          <FormEnd submit={send} disabled={!clean}>
            {t('common.save')}
          </FormEnd>
        </Stack>
      </form>
    </Section>
  );
}
