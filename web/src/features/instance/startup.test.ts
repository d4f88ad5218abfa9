import { describe, expect, it } from 'vitest';
import { changed, codesOf, isSecret, kindOf, switchWords, wrongValue } from './startup';

describe('the form of variables', () => {
  it('has a field for each type', () => {
    expect(kindOf({ type: 'Integer' })).toBe('number');
    expect(kindOf({ type: 'boolean' })).toBe('switch');
    expect(kindOf({ type: 'text' })).toBe('text');
    expect(kindOf({})).toBe('text');
  });

  it('writes on and off as the image does', () => {
    expect(switchWords({ default: '0' })).toEqual(['1', '0']);
    expect(switchWords({ default: 'FALSE' })).toEqual(['TRUE', 'FALSE']);
    expect(switchWords({})).toEqual(['true', 'false']);
  });

  it('says what is wrong', () => {
    expect(wrongValue({ name: 'A', required: true }, '')).toBe('empty');
    expect(wrongValue({ name: 'A' }, '')).toBe('');
    expect(wrongValue({ name: 'A', type: 'number' }, '12x')).toBe('number');
    expect(wrongValue({ name: 'A', type: 'number' }, '-1.5')).toBe('');
  });

  it('sends what was changed and nothing else', () => {
    expect(changed({ a: '1', b: '2' }, { a: '1', b: '3', c: '' })).toEqual({ b: '3', c: '' });
  });

  it('hides what looks secret, and reads exit codes', () => {
    expect(isSecret('RCON_PASSWORD')).toBe(true);
    expect(isSecret('MOTD')).toBe(false);
    expect(codesOf('1, 143')).toEqual([1, 143]);
    expect(codesOf('')).toEqual([]);
    expect(codesOf('300')).toBeUndefined();
    expect(codesOf('x')).toBeUndefined();
  });
});
