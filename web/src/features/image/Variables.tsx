import { Button, Checkbox, Group, Select, SimpleGrid, Stack, Switch, TagsInput, Textarea, TextInput } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { useState } from 'react';
import { isRequired, VariableForm } from '@/parts';
import { t, tAny } from '@/text';
import { EmptyState, Section } from '@/ui';
import { wrongAt, type ImageVariable } from './definition';
import { RowButtons, Wrong, type PartProps } from './fields';
import css from './image.module.css';

const types = ['text', 'number', 'boolean', 'password'];

/** What the form of an instance asks for, in its order, and how it will look. */
export function Variables({ def, set, submit }: PartProps) {
  const value = def.variables ?? [];
  const onChange = (variables: ImageVariable[]) => set({ variables });
  const [opened, setOpened] = useState<number>();
  return (
    <>
      <Section title={t('image.variables')} hint={t('image.variablesHint')}>
        <Wrong submit={submit} at={['variables']} shown={/^variables\.\d+\.(name|label|default|rules|description)$/} />
        <div className={css.rows}>
          {value.length === 0 && <p className="quiet">{t('image.variablesNone')}</p>}
          {value.map((each, at) => (
            <VariableCard key={at} variable={each} at={at} all={value} open={opened === at} submit={submit} onChange={onChange} />
          ))}
          <div>
            <Button
              leftSection={<IconPlus size={14} aria-hidden />}
              onClick={() => {
                onChange([...value, { name: '', type: 'text' }]);
                setOpened(value.length);
              }}
            >
              {t('image.variableAdd')}
            </Button>
          </div>
        </div>
      </Section>
      <Preview variables={value} />
    </>
  );
}

interface CardProps {
  variable: ImageVariable;
  at: number;
  all: ImageVariable[];
  open: boolean;
  submit: PartProps['submit'];
  onChange: (to: ImageVariable[]) => void;
}

function VariableCard({ variable, at, all, open, submit, onChange }: CardProps) {
  const set = (to: Partial<ImageVariable>) => onChange(all.map((each, n) => (n === at ? { ...each, ...to } : each)));
  const wrong = (field: string) => wrongAt(submit.fields, `variables.${at}.${field}`, `variables.${variable.name}.${field}`);
  const bad = ['name', 'label', 'default', 'rules', 'description'].some((field) => wrong(field));
  const name = variable.label || variable.name || t('image.variable');
  const signs = (['hidden', 'locked', 'secret'] as const).filter((each) => variable[each]);
  return (
    <details className={css.card} open={open || bad || undefined} aria-label={name}>
      <summary>
        <strong className={bad ? css.bad : undefined}>{name}</strong>
        {variable.label && <span className="mono quiet">{variable.name}</span>}
        <span className="mono quiet">{(variable.rules ?? []).join(' | ')}</span>
        {signs.map((each) => (
          <span key={each} className={css.tag}>
            {t(`image.variable_${each}`)}
          </span>
        ))}
      </summary>
      <div className={css.cardBody}>
        <Stack gap="sm">
          <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="sm">
            <TextInput label={t('image.variableName')} description={t('image.variableNameHint')} required classNames={{ input: 'mono' }} spellCheck={false} value={variable.name} error={wrong('name')} onChange={(e) => set({ name: e.currentTarget.value })} />
            <TextInput label={t('image.variableLabel')} description={t('image.variableLabelHint')} value={variable.label ?? ''} error={wrong('label')} onChange={(e) => set({ label: e.currentTarget.value })} />
            <TextInput label={t('image.variableDefault')} placeholder={variable.secret ? t('setting.secretKept') : undefined} value={variable.default ?? ''} error={wrong('default')} onChange={(e) => set({ default: e.currentTarget.value })} />
            <Select label={t('image.variableType')} value={variable.type || 'text'} data={[...new Set([...types, variable.type || 'text'])].map((type) => ({ value: type, label: tAny(`image.type_${type}`, type) }))} onChange={(type) => set({ type: type ?? 'text' })} />
          </SimpleGrid>
          <TagsInput label={t('image.variableRules')} description={t('image.variableRulesHint')} classNames={{ input: 'mono' }} splitChars={['|']} allowDuplicates value={variable.rules ?? []} error={wrong('rules')} onChange={(rules) => set({ rules })} />
          <Textarea label={t('image.description')} autosize minRows={1} maxRows={6} value={variable.description ?? ''} error={wrong('description')} onChange={(e) => set({ description: e.currentTarget.value })} />
          <Group justify="space-between" gap="sm">
            <Group gap="md">
              <Checkbox label={t('image.variableRequired')} checked={isRequired(variable)} disabled={!variable.required && isRequired(variable)} onChange={(e) => set({ required: e.currentTarget.checked })} />
              {(['hidden', 'locked', 'secret'] as const).map((each) => (
                <Checkbox key={each} label={t(`image.variable_${each}Hint`)} checked={!!variable[each]} onChange={(e) => set({ [each]: e.currentTarget.checked })} />
              ))}
            </Group>
            <RowButtons rows={all} at={at} name={name} ordered onChange={onChange} />
          </Group>
        </Stack>
      </div>
    </details>
  );
}

// The form as people will have it; what is typed here goes nowhere.
function Preview({ variables }: { variables: ImageVariable[] }) {
  const [staff, setStaff] = useState(false);
  const [typed, setTyped] = useState<Record<string, string>>({});
  const shown = variables.filter((each) => each.name && (staff || !each.hidden));
  const start = Object.fromEntries(shown.map((each) => [each.name, each.default ?? '']));
  if (variables.length === 0) return null;
  return (
    <Section title={t('image.preview')} hint={t('image.previewHint')} actions={<Switch label={t('image.previewStaff')} checked={staff} onChange={(e) => setStaff(e.currentTarget.checked)} />}>
      {shown.length === 0 ? (
        <EmptyState title={t('image.previewNone')} />
      ) : (
        <VariableForm variables={shown} values={{ ...start, ...typed }} start={start} tried staff={staff} of={() => undefined} onChange={(name, to) => setTyped((before) => ({ ...before, [name]: to }))} />
      )}
    </Section>
  );
}
