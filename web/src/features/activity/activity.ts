export const doors = ['session', 'key', 'sftp', 'schedule', 'system', 'local'] as const;

/** What events are about: the first word of their types. */
export const things = [
  'instance', 'file', 'sftp', 'subuser', 'node', 'join_key', 'allocation', 'image', 'user', 'role', 'session', 'second_factor', 'passkey', 'oidc', 'password', 'link', 'key', 'ssh_key', 'settings', 'mail', 'preset', 'registry', 'job',
] as const;

/** What a field of date and time says, in the local zone, as the API wants it; undefined when nothing. */
export function isoOfLocal(text: string): string | undefined {
  const at = new Date(text);
  return text === '' || Number.isNaN(at.getTime()) ? undefined : at.toISOString();
}

const most = 200;

/** All that an event holds, in a line, for who wants it to the letter; only ever shown as text. */
export function tellsOf(data: unknown): string {
  if (data === null || typeof data !== 'object') return '';
  const parts = Object.entries(data).map(([name, value]) => `${name}: ${told(value)}`);
  const line = parts.join(', ');
  return line.length > most ? `${line.slice(0, most)}…` : line;
}

function told(value: unknown): string {
  if (Array.isArray(value)) return value.map(told).join(' ');
  if (value !== null && typeof value === 'object') return JSON.stringify(value);
  return String(value);
}
