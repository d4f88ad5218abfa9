// What pages of an instance ask about it.
import type { View } from '@/api';

export type Instance = View<'InstanceDetailView'>;
export type ListedInstance = View<'InstanceView'>;

export type Right =
  | 'instance.see' | 'console.read' | 'console.write' | 'power' | 'files.read' | 'files.write' | 'sftp' | 'instance.edit' | 'activity.read' | 'subusers.write';

/** Whether the caller may do it; what is suspended only staff may use. */
export function may(instance: { rights?: readonly string[] | null }, right: Right): boolean {
  return (instance.rights ?? []).includes(right);
}

export const statuses = ['running', 'starting', 'stopping', 'stopped', 'crashed', 'installing', 'failed', 'suspended', 'deleting', 'unknown'] as const;

export type Verb = 'start' | 'stop' | 'restart' | 'kill';

/** Whether its container runs, be it on its way up or down. */
export function isUp({ actual }: Pick<ListedInstance, 'actual'>): boolean {
  return actual === 'running' || actual === 'starting' || actual === 'stopping';
}

/** Which power orders make sense in a state. */
export function verbs(instance: Pick<ListedInstance, 'status' | 'suspended' | 'phase' | 'actual'>): Record<Verb, boolean> {
  const { status, suspended, actual } = instance;
  const fixed = suspended || status === 'deleting' || status === 'installing';
  const down = actual === 'stopped' || actual === 'crashed' || actual === 'unknown' || status === 'failed';
  return {
    start: !fixed && down,
    stop: !fixed && (actual === 'running' || actual === 'starting'),
    restart: !fixed && (actual === 'running' || actual === 'starting' || actual === 'crashed'),
    kill: !fixed && isUp(instance),
  };
}

/** Where people connect to: the primary port. `host` is the node's, when it is known. */
export function connectAddress(ports: View<'InstancePortView'>[] | null | undefined, host?: string): string {
  const port = (ports ?? []).find((each) => each.primary) ?? ports?.[0];
  if (!port) return '';
  return portAddress(port, host);
}

export function portAddress(port: View<'InstancePortView'>, host?: string): string {
  const everywhere = port.ip === '0.0.0.0' || port.ip === '::' || port.ip === '';
  const ip = everywhere ? (host ?? '') : port.ip;
  if (!ip) return `:${port.host}`;
  return `${ip.includes(':') ? `[${ip}]` : ip}:${port.host}`;
}
