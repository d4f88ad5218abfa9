// Which answers an event makes old. The first word of an event's type is the
// thing it is about; what isn't in the table changes nothing that is shown.
import type { QueryClient, QueryKey } from '@tanstack/react-query';
import type { View } from './client';
import { keys } from './keys';

type Event = View<'EventView'>;

const about: Record<string, (event: Event) => QueryKey[]> = {
  instance: (e) => [keys.instances('list'), ...one(keys.instances, e.instance_id), keys.nodes(), keys.me('quota')],
  subuser: (e) => [...one(keys.instances, e.instance_id), keys.instances('list'), keys.session],
  file: files,
  sftp: files,
  node: (e) => [keys.nodes('list'), ...one(keys.nodes, e.node_id), keys.system()],
  job: (e) => [keys.jobs('list'), ...one(keys.jobs, e.job_id), ...one(keys.instances, e.instance_id)],
  image: () => [keys.images()],
  preset: () => [keys.images()],
  registry: () => [keys.registries('list')],
  user: () => [keys.users(), keys.session],
  role: () => [keys.roles(), keys.users(), keys.session],
  key: () => [keys.keys()],
  session: () => [keys.me('sessions')],
  passkey: () => [keys.me('passkeys'), keys.session],
  second_factor: () => [keys.session],
  ssh_key: () => [keys.me('ssh-keys')],
  settings: () => [keys.settings(), keys.panel],
  allocation: (e) => one(keys.nodes, e.node_id),
  join_key: () => [keys.nodes('join-keys')],
  release: () => [keys.system()],
  move: (e) => [...one(keys.instances, e.instance_id), keys.nodes()],
};

function files(event: Event): QueryKey[] {
  return event.instance_id ? [keys.instances(event.instance_id, 'files', 'list')] : [];
}

function one(key: (...more: unknown[]) => QueryKey, id: string | undefined): QueryKey[] {
  return id ? [key(id)] : [];
}

/** The keys that an event makes old. */
export function touched(event: Event): QueryKey[] {
  const word = event.type.split('.', 1)[0] ?? '';
  return [...(about[word]?.(event) ?? []), keys.activity()];
}

/**
 * Gathers events for a moment and then asks again for what they touched, each
 * answer once: a drained node makes hundreds of events in a second.
 */
export class Invalidator {
  private readonly client: QueryClient;
  private readonly wait: number;
  private waiting = new Map<string, QueryKey>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(client: QueryClient, wait = 250) {
    this.client = client;
    this.wait = wait;
  }

  add(event: Event): void {
    for (const key of touched(event)) this.waiting.set(JSON.stringify(key), key);
    this.timer ??= setTimeout(() => this.flush(), this.wait);
  }

  /** Everything is old: events were missed. */
  all(): void {
    void this.client.invalidateQueries();
  }

  private flush(): void {
    this.timer = undefined;
    const keys = [...this.waiting.values()];
    this.waiting.clear();
    for (const queryKey of keys) void this.client.invalidateQueries({ queryKey });
  }
}
