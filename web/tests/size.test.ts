// How much a browser loads before the first page can be used. Measured on what
// was built; `deploy/web.sh test` builds it first.
import { existsSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { en } from '@/text/en';
import { front } from '@/text/en/front';

interface Chunk {
  file: string;
  /** Of one that several pages are in. */
  name?: string;
  isEntry?: boolean;
  imports?: string[];
  css?: string[];
}

const dist = `${process.cwd()}/dist/app`;

const first = ['index.html', 'src/text/en/front.ts'];
const shell = [...first, 'src/app/Shell.tsx'];
const inside = [...shell, 'src/text/en/index.ts'];

// What somebody meets first has 200 kB, whoever he is: a guest, a customer, an
// admin, and an admin on the first day. A page behind those is held where it is.
const pages: Record<string, { roots: string[]; most: number }> = {
  login: { roots: [...first, 'login'], most: 175_000 },
  instances: { roots: [...shell, 'src/features/instance/InstancesPage.tsx'], most: 200_000 },
  overview: { roots: [...shell, 'src/features/overview/OverviewPage.tsx'], most: 200_000 },
  // On the first day the overview leads on to it.
  welcome: { roots: [...shell, 'src/features/overview/OverviewPage.tsx', 'src/features/onboarding/WelcomePage.tsx'], most: 200_000 },
  account: { roots: [...inside, 'src/features/account/AccountPage.tsx'], most: 240_000 },
};

function files(manifest: Record<string, Chunk>, roots: string[]): Set<string> {
  const seen = new Set<string>();
  const found = new Set<string>();
  const named = (name: string) => manifest[name] ?? Object.values(manifest).find((each) => each.name === name);
  const visit = (name: string) => {
    const chunk = named(name);
    expect(chunk, name).toBeDefined();
    if (!chunk || seen.has(name)) return;
    seen.add(name);
    found.add(chunk.file);
    chunk.css?.forEach((each) => found.add(each));
    chunk.imports?.forEach(visit);
  };
  roots.forEach(visit);
  return found;
}

describe.skipIf(!existsSync(`${dist}/manifest.json`))('what a page loads', () => {
  const manifest = existsSync(`${dist}/manifest.json`) ? (JSON.parse(readFileSync(`${dist}/manifest.json`, 'utf8')) as Record<string, Chunk>) : {};

  it.each(Object.keys(pages))('%s stays within its bound', (page) => {
    const { roots, most } = pages[page] ?? { roots: [], most: 0 };
    const sizes = [...files(manifest, roots)].map((file) => [file, gzipSync(readFileSync(`${dist}/${file}`)).length] as const);
    const total = sizes.reduce((sum, [, size]) => sum + size, 0);
    expect(total, JSON.stringify(sizes.sort((a, b) => b[1] - a[1]))).toBeLessThan(most);
  });

  it('keeps the console, the editor and the charts out of the first page', () => {
    for (const file of files(manifest, [...first, 'login'])) {
      const text = readFileSync(`${dist}/${file}`, 'utf8');
      expect(/xterm-helper|cm-editor|uplot/.test(text), file).toBe(false);
    }
  });

  it('has every word that the pages in front say', () => {
    const rest = Object.keys(en).filter((space) => !Object.hasOwn(front, space));
    const key = new RegExp(`[\`'"](${rest.join('|')})\\.\\w+[\`'"]`, 'g');
    const words = files(manifest, [...first, 'src/text/en/index.ts']);
    for (const file of files(manifest, [...shell, 'login', 'src/features/instance/InstancesPage.tsx', 'src/features/overview/OverviewPage.tsx', 'src/features/onboarding/WelcomePage.tsx', 'NodeCommand'])) {
      const said = readFileSync(`${dist}/${file}`, 'utf8').match(key) ?? [];
      expect(words.has(file) ? [] : said, file).toEqual([]);
    }
  });
});
