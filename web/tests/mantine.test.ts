// Styles of Mantine come component by component: one that is used without its
// own would be drawn naked.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

it('has the styles of every component that is used', () => {
  const loaded = readFileSync('src/ui/mantine.css', 'utf8');
  const missing = new Set<string>();
  const files = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((each) => /\.tsx?$/.test(each));
  for (const file of files) {
    const imports = readFileSync(`src/${file}`, 'utf8').matchAll(/import \{([^}]*)\} from '@mantine\/core'/g);
    for (const name of [...imports].flatMap((m) => (m[1] ?? '').split(',')).map((each) => each.trim())) {
      const own = `@mantine/core/styles/${name}.css`;
      if (existsSync(`node_modules/${own}`) && !loaded.includes(own)) missing.add(name);
    }
  }
  expect([...missing]).toEqual([]);
});
