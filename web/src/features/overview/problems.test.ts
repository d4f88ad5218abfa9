import { expect, it } from 'vitest';
import type { View } from '@/api';
import { speak } from '@/text';
import { problemsOf, recentFailures } from './problems';

const node = (more: object) => ({ id: 'n', name: 'n', state: 'online', engine: { reachable: true }, outdated: false, ...more }) as View<'NodeView'>;
const instance = (status: string) => ({ id: status, name: status, status }) as View<'InstanceView'>;

it('puts the worst first, and says nothing of what is well', () => {
  const found = problemsOf({
    nodes: [node({ id: 'old', outdated: true }), node({ id: 'well' }), node({ id: 'off', state: 'offline', reason: 'no answer' })],
    instances: [instance('failed'), instance('running'), instance('crashed')],
    jobs: [],
  });
  expect(found.map((each) => each.kind)).toEqual(['nodeOffline', 'crashed', 'failed', 'nodeOutdated']);
});

it('names a failed instance once, not its failed jobs too', () => {
  const job = (id: string, more: object) => ({ id, kind: 'deploy', ...more }) as View<'JobView'>;
  const found = problemsOf({ nodes: [], instances: [instance('failed')], jobs: [job('its', { instance_id: 'failed' }), job('other', { instance_id: 'well' }), job('none', {})] });
  expect(found.map((each) => each.key)).toEqual(['failed', 'other', 'none']);
});

it('leaves out failures that are old or were done again', () => {
  const now = Date.parse('2026-01-02T00:00:00Z');
  const job = (id: string, finished_at: string, more = {}) => ({ id, state: 'failed', finished_at, created_at: finished_at, ...more }) as View<'JobView'>;
  const jobs = [job('old', '2025-12-01T00:00:00Z'), job('again', '2026-01-01T20:00:00Z'), job('new', '2026-01-01T21:00:00Z', { retry_of: 'again' })];
  expect(recentFailures(jobs, now).map((each) => each.id)).toEqual(['new']);
});

it('says why in the language that is spoken', async () => {
  await speak('de');
  const failed = { ...instance('failed'), failure: { code: 'REGISTRY_DOWN', message: "registry r.example can't be reached from this node, so image r.example/a:1 can't be fetched" } } as View<'InstanceView'>;
  expect(problemsOf({ nodes: [], instances: [failed], jobs: [] })[0]?.detail).toBe('Die Registry r.example ist von diesem Node aus nicht erreichbar, das Image r.example/a:1 lässt sich darum nicht holen.');
});
