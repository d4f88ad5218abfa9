import { Select, SimpleGrid, Stack, TagsInput, Textarea, TextInput } from '@mantine/core';
import { t, tAny } from '@/text';
import { Facts, Section } from '@/ui';
import { references, withReferences, wrongAt } from './definition';
import { Rows, Wrong, type PartProps } from './fields';

/** What an image is, and the container images behind it. */
export function General({ def, set, submit, name, setName }: PartProps & { name: string; setName: (to: string) => void }) {
  const wrong = (...places: string[]) => wrongAt(submit.fields, ...places);
  const rows = references(def);
  const policies = ['missing', 'always', 'never'] as const;
  return (
    <>
      <Section title={t('image.about')}>
        <Stack gap="sm">
          <TextInput label={t('common.name')} required value={name} error={wrong('name')} onChange={(e) => setName(e.currentTarget.value)} />
          <Textarea label={t('image.description')} autosize minRows={2} maxRows={12} value={def.description ?? ''} error={wrong('description')} onChange={(e) => set({ description: e.currentTarget.value })} />
          <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="sm">
            <TagsInput label={t('image.tags')} description={t('image.tagsHint')} value={def.tags ?? []} error={wrong('tags')} onChange={(tags) => set({ tags })} />
            <TextInput label={t('image.author')} description={t('image.authorHint')} value={def.author ?? ''} error={wrong('author')} onChange={(e) => set({ author: e.currentTarget.value })} />
          </SimpleGrid>
        </Stack>
      </Section>
      <Section title={t('image.references')} hint={t('image.referencesHint')}>
        <Wrong submit={submit} at={['references', 'labels']} shown={/^(references|labels)\.\d+$/} />
        <Rows
          ordered
          rows={rows.length > 0 ? rows : [{ reference: '', label: '' }]}
          onChange={(to) => set(withReferences(to))}
          add={t('image.referenceAdd')}
          fresh={() => ({ reference: '', label: '' })}
          name={(row, at) => row.label || row.reference || String(at + 1)}
        >
          {(row, change, at) => (
            <>
              <TextInput data-wide label={t('image.reference')} placeholder="nginx:1.27" classNames={{ input: 'mono' }} spellCheck={false} value={row.reference} error={wrong(`references.${at}`)} onChange={(e) => change({ reference: e.currentTarget.value })} />
              <TextInput label={t('image.referenceLabel')} placeholder={row.reference} value={row.label} error={wrong(`labels.${at}`)} onChange={(e) => change({ label: e.currentTarget.value })} />
            </>
          )}
        </Rows>
        <Select
          mt="md"
          maw="24rem"
          label={t('image.pull')}
          value={def.pull || 'missing'}
          error={wrong('pull')}
          data={policies.map((each) => ({ value: each, label: t(`image.pull_${each}`) }))}
          onChange={(to) => set({ pull: to as (typeof policies)[number] })}
        />
      </Section>
      {def.source && (
        <Section title={t('image.source')}>
          <Facts
            of={[
              [t('image.format'), tAny(`image.format_${def.source.format}`, def.source.format)],
              [t('image.uuid'), def.source.uuid && <span className="mono">{def.source.uuid}</span>],
              [t('image.updateUrl'), def.source.update_url && <span className="mono">{def.source.update_url}</span>],
              [t('image.kept'), Object.keys(def.kept ?? {}).length > 0 && <span className="mono">{Object.keys(def.kept ?? {}).join(', ')}</span>],
            ]}
          />
        </Section>
      )}
    </>
  );
}
