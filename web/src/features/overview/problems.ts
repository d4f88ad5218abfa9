import type { View } from '@/api';
import { reason } from '@/ui';

export interface Problem {
  key: string;
  /** How much it matters: the worst stand first. */
  weight: number;
  state: string;
  kind: 'nodeOffline' | 'nodeRevoked' | 'nodePending' | 'engineAway' | 'nodeOutdated' | 'crashed' | 'failed' | 'jobFailed';
  name: string;
  detail: string;
  to: string;
}

interface Known {
  nodes: readonly View<'NodeView'>[];
  instances: readonly View<'InstanceView'>[];
  jobs: readonly View<'JobView'>[];
}

/** What needs somebody, the worst first. */
export function problemsOf({ nodes, instances, jobs }: Known): Problem[] {
  const out: Problem[] = [];
  for (const node of nodes) {
    const one = (kind: Problem['kind'], weight: number, state: string, detail = '') => out.push({ key: `${kind}-${node.id}`, weight, state, kind, name: node.name, detail, to: `/nodes/${node.id}` });
    if (node.state === 'offline') one('nodeOffline', 1, 'offline', node.reason);
    else if (node.state === 'revoked') one('nodeRevoked', 3, 'revoked');
    else if (node.state === 'unconfigured') one('nodePending', 6, 'pending');
    else if (!node.engine.reachable) one('engineAway', 1, 'failed', node.engine.message);
    if (node.outdated && node.state === 'online') one('nodeOutdated', 7, 'waiting', node.release);
  }
  for (const each of instances) {
    if (each.status !== 'crashed' && each.status !== 'failed') continue;
    out.push({ key: each.id, weight: each.status === 'crashed' ? 2 : 4, state: each.status, kind: each.status, name: each.name, detail: each.failure ? reason(each.failure) : '', to: `/instances/${each.id}` });
  }
  // Of an instance that is named already its jobs say nothing new.
  const named = new Set(out.map((each) => each.key));
  for (const job of jobs) {
    if (job.instance_id && named.has(job.instance_id)) continue;
    out.push({ key: job.id, weight: 5, state: 'failed', kind: 'jobFailed', name: job.kind, detail: job.failure ? reason(job.failure) : '', to: `/jobs/${job.id}` });
  }
  return out.sort((a, b) => a.weight - b.weight || a.name.localeCompare(b.name));
}

/** Jobs that failed within a day and were not done again since, as far as is known. */
export function recentFailures(jobs: readonly View<'JobView'>[], now: number): View<'JobView'>[] {
  const again = new Set(jobs.map((job) => job.retry_of));
  return jobs.filter((job) => job.state === 'failed' && !again.has(job.id) && now - new Date(job.finished_at ?? job.created_at).getTime() < 86_400_000);
}
