import { readdirSync, readFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { de } from './de';
import { said } from './de/said';
import { en } from './en';
import { ago, bytes, isLanguage, mebibytes, speak, spoken, t, tAny } from '.';

const forms = (text: unknown): string[] => (typeof text === 'string' ? [text] : Object.values(text as Record<string, string>));
const names = (text: string): string[] => [...text.matchAll(/\{(\w+)\}/g)].map((m) => m[1] ?? '').sort();

describe('the catalogues', () => {
  const spaces = Object.keys(en) as (keyof typeof en)[];

  it.each(spaces)('%s has the same keys and the same {names} in every language', (space) => {
    const english = en[space] as Record<string, unknown>;
    const german = de[space] as Record<string, unknown>;
    expect(Object.keys(german).sort()).toEqual(Object.keys(english).sort());
    for (const [key, text] of Object.entries(english)) {
      const wanted = new Set(forms(text).flatMap(names));
      for (const form of forms(german[key])) {
        expect([...new Set(names(form))].every((name) => wanted.has(name)), `${space}.${key}: ${form}`).toBe(true);
        expect(form.trim(), `${space}.${key}`).not.toBe('');
      }
    }
  });
});

it('says Sie in German, everywhere', () => {
  for (const [space, texts] of Object.entries(de)) {
    for (const [key, text] of Object.entries(texts)) {
      for (const form of forms(text)) expect(form, `${space}.${key}`).not.toMatch(/(^|[^\p{L}])(du|dein(e|en|er|em|es|s)?|dich|dir)([^\p{L}]|$)/iu);
    }
  }
});

describe('speaking', () => {
  beforeEach(() => speak('en'));

  it('puts values in, numbers as the language writes them', async () => {
    expect(t('common.entries', { count: 1 })).toBe('1 entry');
    expect(t('common.entries', { count: 1234 })).toBe('1,234 entries');
    await speak('de');
    expect(t('common.entries', { count: 1234 })).toBe('1.234 Einträge');
    expect(spoken()).toBe('de');
    expect(document.documentElement.lang).toBe('de');
  });

  it('does not put in what it was not given, nor what a value says', () => {
    expect(t('common.typeName', { name: '{count}<b>' })).toBe('Type {count}<b> to confirm');
    expect(tAny('state.nonsense', 'nonsense')).toBe('nonsense');
    expect(tAny('constructor.name', 'x')).toBe('x');
    expect(tAny('state.constructor', 'x')).toBe('x');
  });

  it('knows its languages', () => {
    expect(isLanguage('de')).toBe(true);
    expect(isLanguage('toString')).toBe(false);
  });

  it('writes sizes and times for people', () => {
    expect(bytes(0)).toBe('0 B');
    expect(bytes(1536)).toBe('1.5 KiB');
    expect(mebibytes(4096)).toBe('4 GiB');
    const now = Date.parse('2026-01-10T12:00:00Z');
    expect(ago('2026-01-10T11:59:40Z', now)).toBe('now');
    expect(ago('2026-01-10T11:55:00Z', now)).toBe('5 minutes ago');
    expect(ago('2026-01-11T12:00:00Z', now)).toBe('tomorrow');
  });
});

it('translates only what the controller and the agent really say', () => {
  const root = `${process.cwd()}/..`;
  const sources = ['controller', 'agent', 'shared'].flatMap((room) =>
    readdirSync(`${root}/${room}`, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.go') && !name.endsWith('_test.go'))
      .map((name) => readFileSync(`${root}/${room}/${name}`, 'utf8')),
  );
  expect(Object.keys(said).filter((words) => !sources.some((text) => text.includes(`"${words}"`)))).toEqual([]);
});

it('has a sentence for every change that is told of', () => {
  const deeds = readFileSync(`${process.cwd()}/../controller/app/testdata/deeds.txt`, 'utf8');
  const types = new Set(deeds.match(/(?<=\s)[a-z_]+\.[a-z_]+(?=\s)/g));
  expect(types.size).toBeGreaterThan(50);
  expect([...types].filter((type) => tAny(`activity.type_${type}`, '') === '')).toEqual([]);
});
