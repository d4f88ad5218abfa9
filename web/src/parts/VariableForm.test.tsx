import { screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { useState } from 'react';
import { beforeEach, expect, it, vi } from 'vitest';
import { speak } from '@/text';
import { show } from '../../tests/render';
import type { Variable } from './rules';
import { keepsRules, VariableForm } from './VariableForm';

beforeEach(() => speak('en'));

const variables: Variable[] = [
  { name: 'LEVEL', label: 'Level', description: 'How loud.', default: '2', rules: ['required', 'integer', 'between:1,5'] },
  { name: 'MODE', rules: ['in:calm,loud'] },
  { name: 'TOKEN', secret: true, rules: ['required', 'min:4'] },
  { name: 'FIXED', locked: true, default: 'x' },
];
const start = { LEVEL: '2', MODE: 'calm', TOKEN: '', FIXED: 'x' };

function Form({ tried = false, of = () => undefined, kept = [], seen = () => {} }: { tried?: boolean; of?: (name: string) => string | undefined; kept?: string[]; seen?: (values: object) => void }) {
  const [values, setValues] = useState<Record<string, string>>(start);
  return (
    <VariableForm
      {...{ variables, values, start, tried, of, kept }}
      staff={false}
      onChange={(name, to) => {
        setValues((before) => ({ ...before, [name]: to }));
        seen({ [name]: to });
      }}
    />
  );
}

it('says each rule, and at once what breaks it', async () => {
  show(<Form />);
  const level = screen.getByRole('textbox', { name: 'Level' });
  expect(level).toHaveAccessibleDescription(/How loud\..*A whole number · From 1 to 5 · Default: 2/);
  expect(level).toBeValid();
  await userEvent.clear(level);
  await userEvent.type(level, '9');
  expect(level).toBeInvalid();
  expect(screen.getByText('From 1 to 5')).toBeVisible();
  await userEvent.clear(level);
  await userEvent.type(level, '3');
  expect(level).toBeValid();
});

it('says what is missing once sending was tried', () => {
  show(<Form tried />);
  expect(screen.getByText('This has to be set')).toBeVisible();
});

it('shows no secret that is set, and lets it be', async () => {
  const seen = vi.fn();
  show(<Form tried kept={['TOKEN']} seen={seen} />);
  const token = screen.getByLabelText('TOKEN');
  expect(token).toHaveValue('');
  expect(token).toHaveAttribute('placeholder', 'set; empty keeps it');
  expect(screen.queryByText('This has to be set')).toBeNull();
  await userEvent.type(token, 'abc');
  expect(seen).toHaveBeenLastCalledWith({ TOKEN: 'abc' });
  expect(screen.getByText('At least 4 characters', { selector: '.mantine-InputWrapper-error' })).toBeVisible();
});

it('leaves what is locked alone, and says what the controller said', () => {
  show(<Form of={(name) => (name === 'MODE' ? 'not today' : undefined)} />);
  expect(screen.getByRole('textbox', { name: 'FIXED' })).toBeDisabled();
  expect(screen.getByText('not today')).toBeVisible();
});

it('knows whether all rules are kept', () => {
  expect(keepsRules(variables, start)).toBe(false);
  expect(keepsRules(variables, start, ['TOKEN'])).toBe(true);
  expect(keepsRules(variables, { ...start, TOKEN: 'abcd', LEVEL: '6' })).toBe(false);
});
