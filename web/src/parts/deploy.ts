// What a deploy form holds, and the body that it becomes.
import type { View } from '@/api';

export interface PortRow {
  /** Of the row, not of the port: rows come and go. */
  id: number;
  container: number | '';
  host: number | '';
}

export interface DeployForm {
  name: string;
  owner: string;
  image: string;
  reference: string;
  /** Empty: chosen by the controller. */
  node: string;
  memory: number;
  cpu: number;
  disk: number;
  ports: PortRow[];
  /** The row that people are told. */
  primary: number;
  variables: Record<string, string>;
  start: boolean;
  /** The name of one of the image's start commands; empty is the first. */
  startup: string;
  /** What it was filled in from. */
  preset: Preset | undefined;
}

export type Preset = View<'PresetView'>;

export function emptyForm(owner: string): DeployForm {
  return { name: '', owner, image: '', reference: '', node: '', memory: 1024, cpu: 1, disk: 5120, ports: [{ id: 1, container: '', host: '' }], primary: 1, variables: {}, start: true, startup: '', preset: undefined };
}

/** The port that the containers of well-known images listen at; what nobody knows is left to the form. */
const usual: [RegExp, number][] = [
  [/^berth\/demo/, 8080],
  [/nginx|httpd|caddy/, 80],
  [/redis|valkey/, 6379],
  [/postgres/, 5432],
  [/mariadb|mysql/, 3306],
  [/minecraft/, 25565],
];

export function usualPort(reference: string): number | '' {
  return usual.find(([name]) => name.test(reference))?.[1] ?? '';
}

/** The form with another image chosen: its first reference, its variables' defaults, its port. */
export function withImage(form: DeployForm, image: View<'ImageView'>): DeployForm {
  const reference = image.references?.[0] ?? '';
  const small = reference.startsWith('berth/demo');
  return {
    ...form,
    image: image.id,
    reference,
    name: form.name || image.name.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, ''),
    memory: small ? 128 : form.memory,
    cpu: small ? 0.5 : form.cpu,
    disk: small ? 1024 : form.disk,
    variables: startValues(image),
    ports: [{ id: 1, container: usualPort(reference), host: '' }],
    primary: 1,
    startup: '',
    preset: undefined,
  };
}

/** The values that an instance of an image begins with. */
export function startValues(image: View<'ImageView'> | undefined, preset?: Preset): Record<string, string> {
  return Object.fromEntries((image?.variables ?? []).map((each) => [each.name, preset?.variables?.[each.name] ?? each.default ?? '']));
}

/** The form filled in from a preset; what it leaves open stays as it is. */
export function withPreset(form: DeployForm, image: View<'ImageView'>, preset: Preset | undefined): DeployForm {
  const ports = (preset?.ports ?? []).map((each, at) => ({ id: at + 1, container: each.container, host: '' as const }));
  const primary = (preset?.ports ?? []).findIndex((each) => each.primary) + 1;
  return {
    ...form,
    preset,
    memory: preset?.memory || form.memory,
    cpu: preset?.cpu || form.cpu,
    disk: preset?.disk || form.disk,
    reference: preset?.reference || form.reference,
    startup: preset?.startup || form.startup,
    variables: startValues(image, preset),
    ...(ports.length > 0 ? { ports, primary: primary || 1 } : {}),
  };
}

/** What is sent. Rows without a container port are left out, and values that are the default anyway. */
export function bodyOf(form: DeployForm, image: View<'ImageView'> | undefined): View<'InstanceCreateBody'> {
  const ports = form.ports
    .filter((row) => row.container !== '')
    .map((row) => ({ container: Number(row.container), ...(row.host === '' ? {} : { host: Number(row.host) }), ...(row.id === form.primary ? { primary: true } : {}) }));
  const usual = startValues(image, form.preset);
  const variables = Object.fromEntries(Object.entries(form.variables).filter(([name, value]) => value !== (usual[name] ?? '')));
  return {
    name: form.name.trim(),
    owner_id: form.owner,
    image_id: form.image,
    reference: form.reference,
    memory: form.memory,
    cpu: form.cpu,
    disk: form.disk,
    start: form.start,
    ...(form.startup ? { startup: form.startup } : {}),
    ...(form.preset ? { preset: form.preset.id } : {}),
    ...(form.node ? { node_id: form.node } : {}),
    ...(ports.length > 0 ? { ports } : {}),
    ...(Object.keys(variables).length > 0 ? { variables } : {}),
  } as View<'InstanceCreateBody'>;
}

/** The error of a field, whether the controller names it in brackets, by dots or only by its beginning. */
export function problemOf(of: (field: string) => string | undefined, ...names: string[]): string | undefined {
  return names.map(of).find((text) => text !== undefined);
}

/** An image's container images by what people choose them by. */
export function referenceChoices(image: Pick<View<'ImageView'>, 'references' | 'labels'>, also = ''): { value: string; label: string }[] {
  const seen = new Set<string>();
  const all = [...(image.references ?? []).map((value, at) => ({ value, label: image.labels?.[at] || value })), ...(also ? [{ value: also, label: also }] : [])];
  return all.filter(({ value }) => !seen.has(value) && seen.add(value));
}
