import type { View } from '@/api';

export type Node = View<'NodeView'>;

/** The word for how a node is: maintenance only says something of one that answers. */
export function nodeState(node: Pick<Node, 'state' | 'maintenance'>): string {
  if (node.state === 'unconfigured') return 'pending';
  return node.state === 'online' && node.maintenance ? 'maintenance' : node.state;
}

/** What of a node's memory or disk is there to be given away, in MiB. */
export function giveable(total: number, factor: number, reserve: number): number {
  return Math.max(0, Math.floor(total * factor) - reserve);
}

/** How far back the charts go, in seconds, by resolution. */
export const spans = { '1s': 600, '10s': 3_600, '1m': 86_400 } as const;
export type Resolution = keyof typeof spans;
