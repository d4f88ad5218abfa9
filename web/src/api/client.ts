// The one place that fetches. Paths, bodies and answers are typed by the
// controller's own OpenAPI document: see schema.ts, which is generated.
import type { components, paths } from './schema';

/** A named type of the API: View<'InstanceView'>. */
export type View<N extends keyof components['schemas']> = components['schemas'][N];

interface Detail {
  field: string;
  message: string;
  /** The rule of an image's variable that is broken, and what it asks for. */
  rule?: string;
  params?: Record<string, string>;
}

/** What the controller said about a call that it did not carry out. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly details: Detail[];
  readonly requestId: string;

  constructor(status: number, code: string, message: string, details?: unknown, requestId = '') {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.code = code;
    this.details = Array.isArray(details) ? (details as Detail[]) : [];
    this.requestId = requestId;
  }

  /** What the details say of one thing: the ways of a second factor. */
  named(field: string): string[] {
    return this.details.filter((each) => each.field === field).map((each) => each.message);
  }

  /** The fields of a VALIDATION_ERROR and what is wrong with each. */
  get fields(): Record<string, string> {
    const found: Record<string, string> = {};
    for (const { field, message } of this.details) found[field.replace(/^body\./, '')] ??= message;
    return found;
  }
}

/** A list's place in the whole. */
export interface Page<T> {
  items: T[];
  page: number;
  limit: number;
  total: number;
  pages: number;
}

type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';
type Has<M extends Method> = {
  [P in keyof paths]: paths[P] extends Record<M, object> ? P : never;
}[keyof paths];
type Op<P extends keyof paths, M extends Method> = paths[P] extends Record<M, infer O> ? O : never;
type Json<R> = R extends { content: { 'application/json': infer B } } ? B : never;
type Good<O> = O extends { responses: infer R } ? Json<R[keyof R & (200 | 201 | 202)]> : never;
/** The data of a good answer. */
export type Data<P extends keyof paths, M extends Method> = Good<Op<P, M>> extends { data: infer D } ? D : undefined;
type Item<P extends keyof paths> = NonNullable<Data<P, 'get'>> extends readonly (infer I)[] ? I : never;
type Params<O> = O extends { parameters: infer P } ? P : never;
type PathOf<O> = Params<O> extends { path: infer V } ? { path: V } : { path?: undefined };
type QueryOf<O> = Params<O> extends { query?: infer V } ? { query?: V } : { query?: undefined };
type BodyOf<O> = O extends { requestBody: { content: { 'application/json': infer B } } }
  ? { body: B }
  : O extends { requestBody?: { content: { 'application/json': infer B } } }
    ? { body?: B }
    : { body?: undefined };
export type Options<O> = PathOf<O> & QueryOf<O> & BodyOf<O> & { signal?: AbortSignal; idempotencyKey?: string };
type Args<O> = Record<never, never> extends Options<O> ? [options?: Options<O>] : [options: Options<O>];

/** One thing, or what a call that changes something answers. */
export function call<M extends Method, P extends Has<M>>(method: M, path: P, ...args: Args<Op<P, M>>): Promise<Data<P, M>> {
  return request(method, path, args[0] as Loose).then((answer) => answer.data as Data<P, M>);
}

/** A list, with its place in the whole. */
export function list<P extends Has<'get'>>(path: P, ...args: Args<Op<P, 'get'>>): Promise<Page<Item<P>>> {
  return request('get', path, args[0] as Loose).then((answer) => {
    const items = (answer.data ?? []) as Item<P>[];
    const at = answer.pagination ?? { page: 1, limit: items.length, total: items.length, pages: 1 };
    return { items, ...at };
  });
}

interface Loose {
  path?: Record<string, string | number>;
  query?: Record<string, unknown>;
  body?: unknown;
  signal?: AbortSignal;
  idempotencyKey?: string;
}

interface Envelope {
  success?: boolean;
  data?: unknown;
  message?: string;
  pagination?: { page: number; limit: number; total: number; pages: number };
  error?: { code: string; message: string; details?: Detail[] };
  request_id?: string;
}

// What calls other than GET show besides the cookie; it comes with the session.
let csrf = '';
let onLoggedOut: () => void = () => {};

export function setCsrf(value: string): void {
  csrf = value;
}

/** The header that a call by hand needs: uploads with progress. */
export function csrfHeader(): Record<string, string> {
  return csrf ? { 'X-Csrf-Token': csrf } : {};
}

/** Called when the session has ended while the pages were open. */
export function whenLoggedOut(run: () => void): void {
  onLoggedOut = run;
}

/** A path with its values put in, each of them escaped. */
export function address(path: string, values?: Record<string, string | number>, query?: Record<string, unknown>): string {
  let out = path;
  for (const [name, value] of Object.entries(values ?? {})) {
    out = out.replace(`{${name}}`, encodeURIComponent(String(value)));
  }
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value === undefined || value === null || value === '') continue;
    for (const each of Array.isArray(value) ? value : [value]) search.append(name, String(each));
  }
  const text = search.toString();
  return text ? `${out}?${text}` : out;
}

async function request(method: Method, path: string, options: Loose = {}): Promise<Envelope> {
  const headers: Record<string, string> = { Accept: 'application/json', ...(method === 'get' ? {} : csrfHeader()) };
  if (options.body !== undefined) headers['Content-Type'] = 'application/json';
  if (options.idempotencyKey) headers['Idempotency-Key'] = options.idempotencyKey;
  let response: Response;
  try {
    response = await fetch(address(path, options.path, options.query), {
      method: method.toUpperCase(),
      headers,
      credentials: 'same-origin',
      body: options.body === undefined ? null : JSON.stringify(options.body),
      signal: options.signal ?? null,
    });
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === 'AbortError') throw cause;
    throw new ApiError(0, 'UNREACHABLE', '');
  }
  const answer = await envelope(response);
  if (response.ok && answer.success !== false) return answer;
  const error: Envelope['error'] & object = answer.error ?? { code: 'BAD_ANSWER', message: '' };
  if (response.status === 401 && !path.startsWith('/api/v1/log') && path !== '/api/v1/session') onLoggedOut();
  throw new ApiError(
    response.status,
    error.code,
    error.message,
    error.details,
    answer.request_id ?? response.headers.get('X-Request-Id') ?? '',
  );
}

async function envelope(response: Response): Promise<Envelope> {
  if (response.status === 204) return { success: true };
  try {
    return (await response.json()) as Envelope;
  } catch {
    return { success: false };
  }
}

/** An id for a create that may be sent twice. */
export function idempotencyKey(): string {
  return crypto.randomUUID();
}

/**
 * Sends a form's create under one id for as long as nobody knows whether it was
 * done. What was refused is kept with its id: the mended form goes under another.
 */
export function once(): <T>(send: (key: string) => Promise<T>) => Promise<T> {
  let key = idempotencyKey();
  return async (send) => {
    try {
      return await send(key);
    } catch (error) {
      if (error instanceof ApiError && error.status >= 400 && error.status < 500) key = idempotencyKey();
      throw error;
    }
  };
}
