import { Button, Group, NumberInput, Select, Stack, Switch, TextInput } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { t } from '@/text';
import { Section } from '@/ui';
import { asKind, kindOfValue, wrongAt, type Patch, type PatchSet, type ValueKind } from './definition';
import { RowButtons, Rows, Wrong, type PartProps } from './fields';
import css from './image.module.css';

const parsers = ['file', 'properties', 'ini', 'json', 'yaml', 'xml', 'toml'] as const;
const kinds: readonly ValueKind[] = ['text', 'number', 'boolean', 'null'];

/** Files that are changed before each start. */
export function Patches({ def, set, submit }: PartProps) {
  const patches = def.patches ?? [];
  const onChange = (to: Patch[]) => set({ patches: to });
  return (
    <Section title={t('image.patches')} hint={t('image.patchesHint')}>
      <Wrong submit={submit} at={['patches']} shown={/^patches\.\d+\.(path|parser|set\.\d+\.(match|value|if))$/} />
      <div className={css.rows}>
        {patches.length === 0 && <p className="quiet">{t('image.patchesNone')}</p>}
        {patches.map((each, at) => (
          <PatchCard key={at} patch={each} at={at} all={patches} submit={submit} onChange={onChange} />
        ))}
        <div>
          <Button leftSection={<IconPlus size={14} aria-hidden />} onClick={() => onChange([...patches, { path: '', parser: 'properties', set: [{ match: '', value: '' }] }])}>
            {t('image.patchAdd')}
          </Button>
        </div>
      </div>
    </Section>
  );
}

interface CardProps {
  patch: Patch;
  at: number;
  all: Patch[];
  submit: PartProps['submit'];
  onChange: (to: Patch[]) => void;
}

function PatchCard({ patch, at, all, submit, onChange }: CardProps) {
  const set = (to: Partial<Patch>) => onChange(all.map((each, n) => (n === at ? { ...each, ...to } : each)));
  const wrong = (field: string) => wrongAt(submit.fields, `patches.${at}.${field}`);
  const rows = patch.set ?? [];
  const bad = Object.keys(submit.fields).some((field) => new RegExp(`patches[.[]${at}\\b`).test(field));
  const name = patch.path || t('image.patch');
  return (
    <details className={css.card} open={bad || patch.path === '' || undefined} aria-label={name}>
      <summary>
        <strong className={`mono ${bad ? css.bad : ''}`}>{name}</strong>
        <span className={css.tag}>{patch.parser}</span>
        <span className="quiet">{t('common.entries', { count: rows.length })}</span>
      </summary>
      <div className={css.cardBody}>
        <Stack gap="md">
          <Group align="flex-start" gap="sm">
            <TextInput label={t('image.patchPath')} description={t('image.patchPathHint')} classNames={{ input: 'mono' }} spellCheck={false} value={patch.path} error={wrong('path')} onChange={(e) => set({ path: e.currentTarget.value })} style={{ flex: '2 1 14rem' }} />
            <Select label={t('image.parser')} description={t(`image.parser_${patch.parser}`)} value={patch.parser} data={[...parsers]} error={wrong('parser')} onChange={(to) => set({ parser: to as Patch['parser'] })} style={{ flex: '1 1 12rem' }} />
            <RowButtons rows={all} at={at} name={name} ordered onChange={onChange} />
          </Group>
          <Rows<PatchSet> ordered rows={rows} onChange={(to) => set({ set: to })} add={t('image.patchSetAdd')} fresh={() => ({ match: '', value: '' })} name={(row, n) => row.match || String(n + 1)}>
            {(row, change, n) => (
              <>
                <TextInput label={t(patch.parser === 'file' ? 'image.patchLine' : 'image.patchKey')} classNames={{ input: 'mono' }} spellCheck={false} value={row.match} error={wrong(`set.${n}.match`)} onChange={(e) => change({ match: e.currentTarget.value })} />
                <Select data-narrow label={t('image.patchKind')} value={kindOfValue(row.value)} data={kinds.map((kind) => ({ value: kind, label: t(`image.kind_${kind}`) }))} onChange={(kind) => change({ value: asKind(row.value, kind as ValueKind) })} />
                <PatchValue row={row} error={wrong(`set.${n}.value`)} onChange={(to) => change({ value: to })} />
                <TextInput label={t('image.patchIf')} placeholder={t('image.patchIfAny')} classNames={{ input: 'mono' }} spellCheck={false} value={row.if ?? ''} error={wrong(`set.${n}.if`)} onChange={(e) => change({ if: e.currentTarget.value })} />
              </>
            )}
          </Rows>
        </Stack>
      </div>
    </details>
  );
}

function PatchValue({ row, error, onChange }: { row: PatchSet; error: string | undefined; onChange: (to: unknown) => void }) {
  const kind = kindOfValue(row.value);
  if (kind === 'null') return <TextInput label={t('image.patchValue')} value="null" readOnly />;
  if (kind === 'boolean') return <Switch label={t('image.patchValue')} checked={row.value === true} onChange={(e) => onChange(e.currentTarget.checked)} mt="1.8rem" />;
  if (kind === 'number') return <NumberInput label={t('image.patchValue')} value={Number(row.value)} error={error} onChange={(to) => onChange(Number(to))} />;
  return <TextInput data-wide label={t('image.patchValue')} classNames={{ input: 'mono' }} spellCheck={false} value={typeof row.value === 'string' ? row.value : ''} error={error} onChange={(e) => onChange(e.currentTarget.value)} />;
}
