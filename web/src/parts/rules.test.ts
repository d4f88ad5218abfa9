import { beforeEach, describe, expect, it } from 'vitest';
import { speak } from '@/text';
import { askedOf, brokenBy, choicesOf, expression, isRequired, isSecret, kindOf, parseRules, said, switchWords, type Variable } from './rules';

beforeEach(() => speak('en'));

const of = (...rules: string[]): Variable => ({ name: 'A', rules });
const message = (variable: Variable, value: string) => {
  const broken = brokenBy(variable, value);
  return broken ? said(broken) : '';
};

it('reads tokens', () => {
  expect(parseRules(['required', 'max:20', '', 'Nullable', 'in:a,"b,c",d', 'regex:/^a,b:c$/'])).toEqual([
    { name: 'required', args: [] },
    { name: 'max', args: ['20'] },
    { name: 'nullable', args: [] },
    { name: 'in', args: ['a', 'b,c', 'd'] },
    { name: 'regex', args: ['/^a,b:c$/'] },
  ]);
  expect(parseRules(null)).toEqual([]);
});

describe('a value', () => {
  it.each([
    [['required', 'string'], '', 'This has to be set'],
    [['required', 'string'], '  ', 'This has to be set'],
    [['nullable', 'string', 'max:3'], '', ''],
    [['string', 'max:3'], 'äöüx', 'At most 3 characters'],
    [['string', 'max:3'], '🙂🙂🙂', ''],
    [['integer', 'max:3'], '4', 'At most 3'],
    [['integer', 'min:1024'], '80', 'At least 1024'],
    [['numeric', 'between:1,10'], '0.5', 'From 1 to 10'],
    [['between:2,3'], 'x', '2 to 3 characters'],
    [['integer'], '1.5', 'A whole number'],
    [['int'], 'x', 'A whole number'],
    [['numeric'], '-1.5e3', ''],
    [['numeric'], 'many', 'A number'],
    [['boolean'], '1', ''],
    [['boolean'], 'maybe', 'On or off'],
    [['integer'], '007', 'A whole number'],
    [['min_digits:3'], '12', 'At least 3 digits'],
    [['lowercase'], 'aB', 'No capital letters'],
    [['doesnt_start_with:-'], '-x', 'Does not begin with -'],
    [['ascii'], 'ä', 'Characters of ASCII only'],
    [['date'], 'some day', ''],
    [['in:easy,hard'], 'soft', 'One of easy, hard'],
    [['not_in:root'], 'root', 'None of root'],
    [['digits:4'], '12345', 'Exactly 4 digits'],
    [['digits_between:1,5'], '123456', '1 to 5 digits'],
    [['regex:/^[a-z]+$/i'], 'ABC', ''],
    [['regex:/^[a-z]+$/'], 'ABC', 'Has to match /^[a-z]+$/'],
    [['regex:^[a-z]+$'], 'a1', 'Has to match ^[a-z]+$'],
    [['not_regex:/x/'], 'axb', 'Must not match /x/'],
    [['alpha_dash'], 'a-b_1', ''],
    [['alpha_dash'], 'a b', 'Letters, digits, - and _ only'],
    [['alpha_num'], 'a-1', 'Letters and digits only'],
    [['url'], 'https://example.com/x', ''],
    [['url'], 'example', 'An address such as https://example.com'],
    [['ends_with:.jar'], 'server.zip', 'Ends with .jar'],
    [['size:2'], 'abc', 'Exactly 2 characters'],
    [['integer', 'gt:0'], '0', 'More than 0'],
  ])('of %j that is %j: %j', (rules, value, want) => {
    expect(message(of(...rules), value)).toBe(want);
  });

  it('is left to the controller where a rule is unknown or unreadable here', () => {
    expect(message(of('frobnicate:7', 'present', 'constructor'), 'x')).toBe('');
    expect(message(of('regex:/(?P<x>a)(/'), 'b')).toBe('');
    expect(message(of('gt:OTHER'), 'b')).toBe('');
  });

  it('may be said by the type alone, as classic images do', () => {
    expect(message({ name: 'A', type: 'number' }, 'x')).toBe('A number');
    expect(message({ name: 'A', required: true }, '')).toBe('This has to be set');
  });
});

it('says what is asked for', () => {
  expect(askedOf(of('required', 'string', 'max:20', 'alpha_dash')).map(said)).toEqual(['At most 20 characters', 'Letters, digits, - and _ only']);
  expect(askedOf({ name: 'A', type: 'number' }).map(said)).toEqual(['A number']);
});

it('has a field for each kind', () => {
  expect(kindOf(of('required', 'in:a,b'))).toBe('choice');
  expect(choicesOf(of('in:a,b,a'))).toEqual(['a', 'b']);
  expect(kindOf(of('boolean'))).toBe('switch');
  expect(kindOf({ name: 'A', type: 'boolean' })).toBe('switch');
  expect(kindOf(of('Integer'))).toBe('number');
  expect(kindOf({ name: 'A', type: 'text' })).toBe('text');
  expect(isRequired(of('Required'))).toBe(true);
  expect(isRequired(of('nullable'))).toBe(false);
  expect(isSecret({ name: 'RCON_PASSWORD' })).toBe(true);
  expect(isSecret({ name: 'X', secret: true })).toBe(true);
  expect(isSecret({ name: 'MOTD' })).toBe(false);
});

it('writes on and off as the image does', () => {
  expect(switchWords({ default: '0' })).toEqual(['1', '0']);
  expect(switchWords({ default: 'FALSE' })).toEqual(['TRUE', 'FALSE']);
  expect(switchWords({})).toEqual(['true', 'false']);
  expect(switchWords({ default: 'off' })).toEqual(['on', 'off']);
  expect(switchWords({ default: 'off', rules: ['boolean'] })).toEqual(['true', 'false']);
});

it('reads expressions with and without delimiters', () => {
  expect(expression('/^a\\/b$/')?.test('a/b')).toBe(true);
  expect(expression('#^a$#i')?.test('A')).toBe(true);
  expect(expression('^a$')?.test('a')).toBe(true);
  expect(expression('/(/')).toBeUndefined();
});
