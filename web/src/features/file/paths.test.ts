import { describe, expect, it } from 'vitest';
import { coded, crumbs, folderOf, isArchive, join, letters, parent, shown, wrongName } from './paths';

describe('paths', () => {
  it('are put together and taken apart', () => {
    expect(join('.', 'a')).toBe('a');
    expect(join('a/b', 'c')).toBe('a/b/c');
    expect(parent('a/b/c')).toBe('a/b');
    expect(parent('a')).toBe('.');
    expect(crumbs('.')).toEqual([]);
    expect(crumbs('a/b%25')).toEqual([
      { path: 'a', name: 'a' },
      { path: 'a/b%25', name: 'b%' },
    ]);
  });

  it('show what people typed, whatever is in it', () => {
    for (const name of ['50%', '100%25', 'ä ö.txt', '<script>', '😀']) expect(shown(coded(name))).toBe(name);
    expect(shown('a%ff%feb')).toBe('a��b');
  });

  it('make marks visible that would turn a name around', () => {
    expect(shown('gpj\u202eexe.txt')).toBe('gpj�exe.txt');
    expect(shown('a%0ab')).toBe('a�b');
  });

  it('refuse names that are none', () => {
    expect(wrongName('')).toBe('empty');
    expect(wrongName('..')).toBe('dots');
    expect(wrongName('a/b')).toBe('slash');
    expect(wrongName('ä'.repeat(128))).toBe('long');
    expect(wrongName('a b')).toBe('');
  });

  it('read folders', () => {
    expect(folderOf('')).toBe('.');
    expect(folderOf('/')).toBe('.');
    expect(folderOf('/a//b/')).toBe('a/b');
    expect(folderOf('a/../b')).toBeUndefined();
    expect(folderOf('50%')).toBe('50%25');
  });

  it('know archives and modes', () => {
    expect(isArchive('World.TAR.GZ')).toBe(true);
    expect(isArchive('notes.txt')).toBe(false);
    expect(letters('0755')).toBe('rwxr-xr-x');
    expect(letters('0640')).toBe('rw-r-----');
  });
});
