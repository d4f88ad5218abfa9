import { Button, NumberInput, Select, SimpleGrid, Stack, Switch, TagsInput, TextInput } from '@mantine/core';
import { t, tAny } from '@/text';
import { Section } from '@/ui';
import { codesOf, wrongAt, type Definition } from './definition';
import { Lines, Rows, Seconds, Wrong, type PartProps } from './fields';

/** How it is started, when it is ready, how it ends. */
export function Start(props: PartProps) {
  const { def, set, submit } = props;
  const wrong = (...places: string[]) => wrongAt(submit.fields, ...places);
  return (
    <>
      <Section title={t('image.start')}>
        <Stack gap="sm">
          <Select
            maw="32rem"
            label={t('image.launch')}
            description={t(def.launch === 'entrypoint' ? 'image.launchEntrypointHint' : 'image.launchCommandHint')}
            value={def.launch || 'command'}
            error={wrong('launch')}
            data={(['command', 'entrypoint'] as const).map((each) => ({ value: each, label: t(`image.launch_${each}`) }))}
            onChange={(to) => set({ launch: to as 'command' })}
          />
          <TagsInput
            label={t('image.entrypoint')}
            description={t('image.entrypointHint')}
            classNames={{ input: 'mono' }}
            splitChars={[]}
            allowDuplicates
            value={def.entrypoint ?? []}
            error={wrong('entrypoint')}
            onChange={(entrypoint) => set({ entrypoint })}
          />
          <Commands {...props} />
          <Lines label="image.readyLines" hint="image.readyHint" value={[def.ready_line ?? '', ...(def.ready_lines ?? [])].filter(Boolean)} error={wrong('ready_line', 'ready_lines')} onChange={([first, ...more]) => set({ ready_line: first ?? '', ready_lines: more })} />
          <Lines label="image.env" hint="image.envHint" value={def.env ?? []} error={wrong('env')} onChange={(env) => set({ env })} />
          <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="sm">
            <TextInput label={t('image.volume')} description={t('image.volumeHint')} classNames={{ input: 'mono' }} value={def.volume ?? ''} error={wrong('volume')} onChange={(e) => set({ volume: e.currentTarget.value })} />
            <Seconds label="image.startTimeout" hint="image.startTimeoutHint" value={def.start_timeout_seconds} error={wrong('start_timeout_seconds')} onChange={(value) => set({ start_timeout_seconds: value })} />
          </SimpleGrid>
          <Switch label={t('image.tty')} description={t('image.ttyHint')} checked={!def.no_tty} onChange={(e) => set({ no_tty: !e.currentTarget.checked })} />
        </Stack>
      </Section>
      <Stop {...props} />
    </>
  );
}

// One line, or several to choose from.
function Commands({ def, set, submit }: PartProps) {
  const commands = def.commands ?? [];
  const line = def.command_line ?? (def.command ?? []).join(' ');
  const wrong = (...places: string[]) => wrongAt(submit.fields, ...places);
  if (commands.length === 0) {
    return (
      <div>
        <TextInput
          label={t('image.commandLine')}
          description={t('image.commandHint')}
          classNames={{ input: 'mono' }}
          spellCheck={false}
          value={line}
          error={wrong('command_line', 'command', 'commands')}
          onChange={(e) => set({ command_line: e.currentTarget.value, command: [] })}
        />
        <Button mt="xs" onClick={() => set({ commands: [{ name: t('image.commandFirst'), line }, { name: '', line: '' }], command_line: '', command: [] })}>
          {t('image.commandSeveral')}
        </Button>
      </div>
    );
  }
  return (
    <div>
      <div className="quiet">{t('image.commandsHint')}</div>
      <Wrong submit={submit} at={['commands']} shown={/^commands\.\d+\.(name|line)$/} />
      <Rows
        ordered
        rows={commands}
        onChange={(to) => set({ commands: to })}
        add={t('image.commandAdd')}
        fresh={() => ({ name: '', line: '' })}
        name={(row, at) => row.name || String(at + 1)}
      >
        {(row, change, at) => (
          <>
            <TextInput label={t('common.name')} value={row.name} error={wrong(`commands.${at}.name`)} onChange={(e) => change({ name: e.currentTarget.value })} />
            <TextInput data-wide label={t('image.commandLine')} classNames={{ input: 'mono' }} spellCheck={false} value={row.line} error={wrong(`commands.${at}.line`)} onChange={(e) => change({ line: e.currentTarget.value })} />
          </>
        )}
      </Rows>
    </div>
  );
}

function Stop({ def, set, submit }: PartProps) {
  const policy = def.crash_policy ?? {};
  const crash = (change: Partial<NonNullable<Definition['crash_policy']>>) => set({ crash_policy: { ...policy, ...change } });
  const wrong = (...places: string[]) => wrongAt(submit.fields, ...places);
  const restarts = ['on-failure', 'always', 'never'] as const;
  return (
    <Section title={t('image.stop')}>
      <Wrong submit={submit} at={['crash_policy']} />
      <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="sm">
        <TextInput label={t('image.stopCommand')} description={t('image.stopHint')} classNames={{ input: 'mono' }} value={def.stop_command ?? ''} error={wrong('stop_command')} onChange={(e) => set({ stop_command: e.currentTarget.value })} />
        <Seconds label="image.stopGrace" hint="image.stopGraceHint" value={def.stop_grace_seconds} error={wrong('stop_grace_seconds')} onChange={(value) => set({ stop_grace_seconds: value })} />
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
