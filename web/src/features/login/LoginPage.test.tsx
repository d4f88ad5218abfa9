import { screen, waitFor } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { speak } from '@/text';
import { controller, show } from '../../../tests/render';
import LoginPage from './LoginPage';

const session = { csrf: 'c', admin: false, permissions: [], locale: '', user: { id: 'u1', username: 'sam' } };
const loggedOut = { status: 401, error: { code: 'UNAUTHORIZED', message: 'log in' } };
const panel = { data: { name: 'Harbour', locale: 'en', locales: ['en'], support_url: '', oidc: null, passkeys: false, mail: true } };

describe('the login page', () => {
  beforeAll(() => speak('en'));
  beforeEach(() => vi.stubGlobal('scrollTo', () => {}));
  afterEach(() => vi.unstubAllGlobals());

  async function fill() {
    await userEvent.type(await screen.findByLabelText('Name or e-mail'), 'sam');
    await userEvent.type(screen.getByLabelText('Password'), 'a long sentence');
    await userEvent.click(screen.getByRole('button', { name: 'Log in' }));
  }

  it('goes to where somebody wanted to, and nowhere else', async () => {
    const c = controller({ 'GET /api/v1/session': loggedOut, 'GET /api/v1/panel': panel, 'POST /api/v1/login': { data: session } });
    vi.stubGlobal('fetch', c.fetch);
    const { place } = show(<LoginPage />, '/login?to=%2Finstances%2Fi1');
    await fill();
    await waitFor(() => expect(place.history?.at(-1)).toBe('/instances/i1'));
    expect(c.asked.find((a) => a.call === 'POST /api/v1/login')?.body).toEqual({ name: 'sam', password: 'a long sentence' });
  });

  it('keeps the query of where somebody wanted to, as it was', async () => {
    const to = '/instances/i1/files?path=a%20b%2F100%25&x=1';
    vi.stubGlobal('fetch', controller({ 'GET /api/v1/session': loggedOut, 'GET /api/v1/panel': panel, 'POST /api/v1/login': { data: session } }).fetch);
    const { place } = show(<LoginPage />, `/login?to=${encodeURIComponent(to)}`);
    await fill();
    await waitFor(() => expect(place.history?.at(-1)).toBe(to));
  });

  it('shows what the controller says about a wrong password, and keeps the name', async () => {
    const wrong = { status: 401, error: { code: 'UNAUTHORIZED', message: 'the name or the password is wrong' } };
    vi.stubGlobal('fetch', controller({ 'GET /api/v1/session': loggedOut, 'GET /api/v1/panel': panel, 'POST /api/v1/login': wrong }).fetch);
    show(<LoginPage />, '/login');
    await fill();
    expect(await screen.findByRole('alert')).toHaveTextContent('the name or the password is wrong');
    expect(screen.getByLabelText('Name or e-mail')).toHaveValue('sam');
  });

  it('asks for a second factor, by code or by recovery code', async () => {
    const second = {
      status: 401,
      error: { code: 'UNAUTHORIZED', message: '', details: [{ field: 'second_factor', message: 'totp' }, { field: 'second_factor', message: 'recovery' }] },
    };
    const c = controller({
      'GET /api/v1/session': loggedOut,
      'GET /api/v1/panel': panel,
      'POST /api/v1/login': (body) => ((body as { recovery_code?: string }).recovery_code ? { data: session } : second),
    });
    vi.stubGlobal('fetch', c.fetch);
    const { client } = show(<LoginPage />, '/login');
    await fill();
    await screen.findByLabelText('Code');
    await userEvent.click(screen.getByText('Use a recovery code instead'));
    await userEvent.type(await screen.findByLabelText('Recovery code'), ' abcd-efgh ');
    await userEvent.click(screen.getByRole('button', { name: 'Continue' }));
    await waitFor(() => expect(client.getQueryData(['session'])).toEqual(session));
    expect(c.asked.at(-1)?.body).toEqual({ name: 'sam', password: 'a long sentence', recovery_code: 'abcd-efgh' });
  });
});
