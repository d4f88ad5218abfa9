import { Button, Group, Skeleton, Stack, Text, TextInput } from '@mantine/core';
import { lazy, Suspense } from 'react';
import type { View } from '@/api';
import { t } from '@/text';
import { Section } from '@/ui';
import { wrongAt } from './definition';
import { Rows, Wrong, type PartProps } from './fields';

const TextEditor = lazy(() => import('@/parts/editor/TextEditor'));

/** What a new volume gets: files, and a script that installs. */
export function Install({ def, set, submit, may }: PartProps & { may: boolean }) {
  const wrong = (...places: string[]) => wrongAt(submit.fields, ...places);
  const { script } = def;
  const change = (to: Partial<NonNullable<typeof script>>) => set({ script: { image: '', text: '', ...script, ...to } });
  return (
    <>
      <Section title={t('image.downloads')} hint={t('image.downloadsHint')}>
        <Wrong submit={submit} at={['install']} shown={/^install\.\d+\.(uri|path|sha256)$/} />
        <Rows<View<'Download'>> rows={def.install ?? []} onChange={(install) => set({ install })} add={t('image.downloadAdd')} fresh={() => ({ uri: '', path: '' })} name={(row, at) => row.path || String(at + 1)} ordered>
          {(row, to, at) => (
            <>
              <TextInput data-wide label={t('image.downloadUri')} placeholder="https://" classNames={{ input: 'mono' }} spellCheck={false} value={row.uri} error={wrong(`install.${at}.uri`)} onChange={(e) => to({ uri: e.currentTarget.value })} />
              <TextInput label={t('image.downloadPath')} classNames={{ input: 'mono' }} spellCheck={false} value={row.path} error={wrong(`install.${at}.path`)} onChange={(e) => to({ path: e.currentTarget.value })} />
              <TextInput label={t('image.downloadSum')} placeholder={t('common.optional')} classNames={{ input: 'mono' }} spellCheck={false} value={row.sha256 ?? ''} error={wrong(`install.${at}.sha256`)} onChange={(e) => to({ sha256: e.currentTarget.value })} />
            </>
          )}
        </Rows>
      </Section>
      <Section
        title={t('image.script')}
        hint={t('image.scriptHint')}
        actions={
          script && (
            <Button color="red" variant="subtle" onClick={() => set({ script: undefined })}>
              {t('image.scriptRemove')}
            </Button>
          )
        }
      >
        {!script ? (
          <Group gap="sm">
            <Button onClick={() => change({ entrypoint: 'bash', text: '#!/bin/bash\nset -e\ncd /mnt/server\n' })}>{t('image.scriptAdd')}</Button>
          </Group>
        ) : (
          <Stack gap="sm">
            <Wrong submit={submit} at={['script']} shown={/^script\.(image|entrypoint|text)$/} />
            <Group align="flex-start" gap="sm">
              <TextInput label={t('image.scriptImage')} description={t('image.scriptImageHint')} placeholder="debian:stable-slim" required classNames={{ input: 'mono' }} spellCheck={false} value={script.image} error={wrong('script.image')} onChange={(e) => change({ image: e.currentTarget.value })} style={{ flex: '2 1 16rem' }} />
              <TextInput label={t('image.scriptEntrypoint')} description={t('image.scriptEntrypointHint')} placeholder="bash" classNames={{ input: 'mono' }} spellCheck={false} value={script.entrypoint ?? ''} error={wrong('script.entrypoint')} onChange={(e) => change({ entrypoint: e.currentTarget.value })} style={{ flex: '1 1 10rem' }} />
            </Group>
            <Suspense fallback={<Skeleton height="22rem" />}>
              <TextEditor label={t('image.scriptText')} name="install.sh" value={script.text} readOnly={!may} onChange={(text) => change({ text })} />
            </Suspense>
            {wrong('script.text') && (
              <Text c="red" size="sm" role="alert">
                {wrong('script.text')}
              </Text>
            )}
          </Stack>
        )}
      </Section>
    </>
  );
}
