import { PasswordInput, Select, Switch, TextInput } from '@mantine/core';
import type { ReactNode } from 'react';
import { t } from '@/text';
import { askedOf, brokenBy, choicesOf, isRequired, isSecret, kindOf, said, switchWords, type Variable } from './rules';
import css from './parts.module.css';

interface Props {
  variables: readonly Variable[];
  values: Readonly<Record<string, string>>;
  /** What is set now: what differs from it is checked at once. */
  start: Readonly<Record<string, string>>;
  /** Sending was tried: what is missing is said, too. */
  tried: boolean;
  /** What the controller said of one. */
  of: (name: string) => string | undefined;
  onChange: (name: string, to: string) => void;
  /** Secrets that are set and not shown. */
  kept?: readonly string[];
  /** The caller may change what is locked for customers. */
  staff: boolean;
}

/** Whether nothing in the form breaks a rule. A secret that is set may stay empty. */
export function keepsRules(variables: readonly Variable[], values: Readonly<Record<string, string>>, kept: readonly string[] = []): boolean {
  return variables.every((each) => {
    const value = values[each.name] ?? '';
    return (value === '' && kept.includes(each.name)) || !brokenBy(each, value);
  });
}

/** The variables of an image as a form: each with its rule, and what is wrong with its value. */
export function VariableForm({ variables, values, start, tried, of, onChange, kept = [], staff }: Props) {
  return (
    <div className={css.variables}>
      {variables.map((each) => {
        const value = values[each.name] ?? '';
        const held = kept.includes(each.name);
        const broken = value === '' && held ? undefined : brokenBy(each, value);
        const local = broken && (tried || (value !== (start[each.name] ?? '') && value !== '')) ? said(broken) : undefined;
        return <VariableField key={each.name} variable={each} value={value} held={held} locked={!!each.locked && !staff} error={of(each.name) ?? local} onChange={(to) => onChange(each.name, to)} />;
      })}
    </div>
  );
}

interface FieldProps {
  variable: Variable;
  value: string;
  held: boolean;
  locked: boolean;
  error: string | undefined;
  onChange: (to: string) => void;
}

function VariableField({ variable, value, held, locked, error, onChange }: FieldProps) {
  const kind = kindOf(variable);
  const label = variable.label || variable.name;
  const common = { label, description: <Help variable={variable} locked={locked} />, error, disabled: locked, inputWrapperOrder: ['label', 'input', 'error', 'description'] as ('label' | 'input' | 'error' | 'description')[] };
  const text = { ...common, required: isRequired(variable) && !held, autoComplete: 'off', spellCheck: false, value };
  if (isSecret(variable) && kind !== 'choice' && kind !== 'switch') {
    return <PasswordInput {...text} autoComplete="new-password" placeholder={held ? t('setting.secretKept') : ''} onChange={(e) => onChange(e.currentTarget.value)} />;
  }
  if (kind === 'choice') {
    const choices = choicesOf(variable);
    const extra = value === '' || choices.includes(value) ? [] : [value];
    const data = [...(isRequired(variable) && value !== '' ? [] : [{ value: '', label: t('common.none') }]), ...[...choices, ...extra].filter(Boolean).map((each) => ({ value: each, label: each }))];
    return <Select {...common} withAsterisk={isRequired(variable)} value={value} data={data} onChange={(to) => onChange(to ?? '')} />;
  }
  if (kind === 'switch') {
    const [on, off] = switchWords(variable);
    return <Switch label={label} description={<Help variable={variable} locked={locked} />} error={error} disabled={locked} checked={value === on || /^(true|1|yes|on)$/i.test(value)} onChange={(e) => onChange(e.currentTarget.checked ? on : off)} />;
  }
  return <TextInput {...text} inputMode={kind === 'number' ? 'decimal' : 'text'} onChange={(e) => onChange(e.currentTarget.value)} />;
}

/** What a value has to be, in words. */
function Help({ variable, locked }: { variable: Variable; locked: boolean }): ReactNode {
  const asked = kindOf(variable) === 'choice' || kindOf(variable) === 'switch' ? [] : askedOf(variable).map(said);
  const more = [variable.default && !isSecret(variable) ? t('instance.variableDefault', { value: variable.default }) : '', locked ? t('instance.variableLocked') : ''];
  const rule = [...asked, ...more].filter(Boolean).join(' · ');
  return (
    <>
      {variable.label && variable.label !== variable.name && <span className={`mono ${css.variableName}`}>{variable.name}</span>}
      {variable.description && <span className={css.variableAbout}>{variable.description}</span>}
      {rule && <span className={css.variableAbout}>{rule}</span>}
    </>
  );
}
