import { NumberInput, Select, Stack, TextInput } from '@mantine/core';
import { useState } from 'react';
import type { View } from '@/api';
import { t } from '@/text';
import { Form, FormEnd, notifyDone, Section, useSubmit } from '@/ui';
import { useChange } from './change';
import type { Instance } from './model';
import { codesOf } from './variables';
import css from './instance.module.css';

interface Props {
  instance: Instance;
  image: View<'ImageView'>;
}

type Restart = '' | 'on-failure' | 'always' | 'never';

/** What is done when it ends by itself. */
export function CrashForm({ instance, image }: Props) {
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
      <Form run={() => clean && send.run()}>
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
      </Form>
    </Section>
  );
}
