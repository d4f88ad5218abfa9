import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { controller } from '../../tests/render';
import { csrfHeader, setCsrf } from './client';
import { fetchSession } from './session';

const session = { csrf: 'c', admin: false, permissions: [], locale: '', user: { id: 'u1', username: 'sam' } };
const over = 'Path=/; Max-Age=0';

describe('the session', () => {
  beforeEach(() => {
    document.cookie = `berth_logged_in=; ${over}`;
    setCsrf('');
  });
  afterEach(() => vi.unstubAllGlobals());

  function answers(answer: Parameters<typeof controller>[0][string]) {
    const c = controller({ 'GET /api/v1/session': answer });
    vi.stubGlobal('fetch', c.fetch);
    return c.asked;
  }

  it("isn't asked for by who never logged in", async () => {
    const asked = answers({ data: session });
    document.cookie = 'xberth_logged_in=1; Path=/';
    expect(await fetchSession()).toBeNull();
    expect(asked).toEqual([]);
    document.cookie = `xberth_logged_in=; ${over}`;
  });

  it('is asked for by who has the mark of one', async () => {
    document.cookie = 'other=2; Path=/';
    document.cookie = 'berth_logged_in=1; Path=/';
    answers({ data: session });
    expect(await fetchSession()).toEqual(session);
    expect(csrfHeader()).toEqual({ 'X-Csrf-Token': 'c' });
  });

  it('is asked for once more only, when it has ended', async () => {
    document.cookie = 'berth_logged_in=1; Path=/';
    const asked = answers({ status: 401, error: { code: 'UNAUTHORIZED', message: 'log in' } });
    expect(await fetchSession()).toBeNull();
    expect(await fetchSession()).toBeNull();
    expect(asked).toHaveLength(1);
    expect(document.cookie).not.toContain('berth_logged_in');
  });

  it('stays marked while the controller fails', async () => {
    document.cookie = 'berth_logged_in=1; Path=/';
    answers({ status: 500, error: { code: 'INTERNAL_ERROR', message: '' } });
    await expect(fetchSession()).rejects.toMatchObject({ status: 500 });
    expect(document.cookie).toContain('berth_logged_in=1');
  });
});
