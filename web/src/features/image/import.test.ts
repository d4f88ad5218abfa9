import { expect, it } from 'vitest';
import { calls, chosen, fileMost, worthReading, type Picked } from './picked';
import { asTable, counted, narrowed, type Line } from './report';

const sized = (name: string, size: number): Picked => ({ name, file: { name, size } as File });

it('takes what may define an image, and leaves the rest', () => {
  expect(worthReading(sized('a/egg-x.json', 10))).toBe('yes');
  expect(worthReading(sized('compose.YML', 10))).toBe('yes');
  expect(worthReading(sized('a.json', fileMost + 1))).toBe('large');
  expect(worthReading(sized('README.md', 10))).toBe('other');
  expect(worthReading(sized('repo/.github/x.yml', 10))).toBe('other');
  expect(worthReading(sized('node_modules/x/package.json', 10))).toBe('other');
});

it('names files with their folders', () => {
  const inside = Object.assign(new File(['{}'], 'a.json'), { webkitRelativePath: 'eggs/a.json' });
  expect(chosen([inside, new File(['{}'], 'b.json')]).map((each) => each.name)).toEqual(['eggs/a.json', 'b.json']);
});

it('sends in calls that are neither too large nor too many', () => {
  expect(calls([])).toEqual([]);
  expect(calls(Array.from({ length: 250 }, (_, n) => sized(`${n}`, 10))).map((each) => each.length)).toEqual([100, 100, 50]);
  expect(calls([sized('a', 4 << 20), sized('b', 3 << 20), sized('c', 2 << 20)]).map((each) => each.length)).toEqual([2, 1]);
});

const line = (more: Partial<Line>): Line => ({ file: 'a.json', status: 'imported', format: 'PTDL_v2', name: 'A', changes: [], ignored: [], error: '', ...more });
const lines = [line({}), line({ file: 'b.json', status: 'refused', error: 'line 3, variables: no\tname\nthere' }), line({ file: 'c.json', status: 'skipped', name: '', changes: ['stop: ^C'] })];

it('counts and narrows the report', () => {
  expect(counted(lines)).toEqual({ imported: 1, updated: 0, skipped: 1, refused: 1 });
  expect(narrowed(lines, 'refused', '').map((each) => each.file)).toEqual(['b.json']);
  expect(narrowed(lines, '', 'STOP').map((each) => each.file)).toEqual(['c.json']);
  expect(narrowed(lines, 'imported', 'nothing')).toEqual([]);
});

it('is copied as a table', () => {
  expect(asTable(lines.slice(1))).toBe('file\tstatus\tformat\tname\terror\tchanges\tignored\nb.json\trefused\tPTDL_v2\tA\tline 3, variables: no name there\t\t\nc.json\tskipped\tPTDL_v2\t\t\tstop: ^C\t');
});
