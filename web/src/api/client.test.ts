import { afterEach, describe, expect, it, vi } from 'vitest';
import { address, ApiError, call, list, once, setCsrf, whenLoggedOut } from './client';

function answer(status: number, body: unknown, headers: Record<string, string> = {}) {
  const fetch = vi.fn(() => Promise.resolve(new Response(body === undefined ? null : JSON.stringify(body), { status, headers })));
  vi.stubGlobal('fetch', fetch);
  return fetch as unknown as ReturnType<typeof vi.fn<(url: string, init: RequestInit) => Promise<Response>>>;
}

afterEach(() => {
  vi.unstubAllGlobals();
  setCsrf('');
  whenLoggedOut(() => {});
});

describe('call', () => {
  it('escapes what goes into a path', () => {
    expect(address('/api/v1/instances/{id}', { id: '../users?x=1' })).toBe('/api/v1/instances/..%2Fusers%3Fx%3D1');
  });

  it('leaves out what a query does not say, and repeats what it says twice', () => {
    expect(address('/x', {}, { a: undefined, b: '', c: 0, d: ['1', '2'] })).toBe('/x?c=0&d=1&d=2');
  });

  it('gives the data of a good answer', async () => {
    answer(200, { success: true, data: { id: 'i1' } });
    await expect(call('get', '/api/v1/instances/{id}', { path: { id: 'i1' } })).resolves.toEqual({ id: 'i1' });
  });

  it('shows the session’s token with all that changes something, and with nothing else', async () => {
    const fetch = answer(200, { success: true, data: {} });
    setCsrf('token');
    await call('get', '/api/v1/me');
    await call('post', '/api/v1/logout');
    const sent = fetch.mock.calls.map(([, init]) => (init.headers as Record<string, string>)['X-Csrf-Token']);
    expect(sent).toEqual([undefined, 'token']);
  });

  it('says what was refused, field by field, with the request’s id', async () => {
    answer(422, {
      success: false,
      error: { code: 'VALIDATION_ERROR', message: 'two fields are wrong', details: [{ field: 'name', message: 'is taken' }, { field: 'body.memory', message: 'is too much' }] },
      request_id: 'r1',
    });
    const error = await call('post', '/api/v1/logout').catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ status: 422, code: 'VALIDATION_ERROR', requestId: 'r1', fields: { name: 'is taken', memory: 'is too much' } });
  });

  it('says so when the controller is away, or something else answers', async () => {
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('network')));
    await expect(call('get', '/api/v1/me')).rejects.toMatchObject({ status: 0, code: 'UNREACHABLE' });
    vi.stubGlobal('fetch', () => Promise.resolve(new Response('<html>502</html>', { status: 502 })));
    await expect(call('get', '/api/v1/me')).rejects.toMatchObject({ status: 502, code: 'BAD_ANSWER' });
  });

  it('tells of a session that has ended, not of a login that failed', async () => {
    const out = vi.fn();
    whenLoggedOut(out);
    answer(401, { success: false, error: { code: 'UNAUTHORIZED', message: '' } });
    await call('post', '/api/v1/login', { body: { name: 'a', password: 'b' } }).catch(() => {});
    await call('get', '/api/v1/session').catch(() => {});
    expect(out).not.toHaveBeenCalled();
    await call('get', '/api/v1/instances').catch(() => {});
    expect(out).toHaveBeenCalledOnce();
  });

  it('gives a list its place in the whole', async () => {
    answer(200, { success: true, data: [{ id: 'a' }], pagination: { page: 2, limit: 1, total: 5, pages: 5 } });
    await expect(list('/api/v1/instances', { query: { page: 2, limit: 1 } })).resolves.toEqual({ items: [{ id: 'a' }], page: 2, limit: 1, total: 5, pages: 5 });
  });
});

describe('once', () => {
  it('keeps its id while nobody knows whether it was done, and takes another after a refusal', async () => {
    const create = once();
    const ids: string[] = [];
    const send = (status: number) =>
      create((key) => {
        ids.push(key);
        return status < 300 ? Promise.resolve() : Promise.reject(new ApiError(status, '', ''));
      }).catch(() => {});
    for (const status of [0, 502, 422, 403, 201]) await send(status);
    expect(ids[1]).toBe(ids[0]);
    expect(ids[2]).toBe(ids[0]);
    expect(new Set(ids.slice(2)).size).toBe(3);
  });
});
