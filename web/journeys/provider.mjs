// A provider of OpenID Connect: Debian's glewlwyd, one of our own on this machine,
// with its database in a folder of the journeys'. Debian has not its pages, but what
// they call: people log in there on one of ours.
import { execFileSync, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, openSync, closeSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, until } from './wait.mjs';

const schema = '/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3';
const modules = '/usr/lib/glewlwyd';

// What somebody meets who is sent there: it asks who he is, lets the panel know of
// him, and sends him on. Who says no goes back as the standard has it.
const door = `<!doctype html>
<html lang="en"><title>The harbour</title>
<form>
  <p><label>Name there <input name="username" required></label></p>
  <p><label>Password there <input name="password" type="password" required></label></p>
  <button>Enter</button> <button type="button">Turn back</button>
  <p role="alert"></p>
</form>
<script>
  const asked = new URLSearchParams(location.search);
  const callback = new URL(asked.get('callback_url'));
  const form = document.forms[0];
  const send = async (method, path, body) => {
    const answer = await fetch('/api/auth/' + path, { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(path + ' ' + answer.status);
  };
  form.onsubmit = (event) => {
    event.preventDefault();
    send('POST', '', { username: form.username.value, password: form.password.value })
      .then(() => send('PUT', 'grant/' + callback.searchParams.get('client_id'), { scope: callback.searchParams.get('scope') }))
      .then(() => location.assign(callback.href + '&g_continue'))
      .catch((error) => { document.querySelector('[role=alert]').textContent = error.message; });
  };
  form.querySelector('[type=button]').onclick = () => {
    const back = new URL(callback.searchParams.get('redirect_uri'));
    back.search = new URLSearchParams({ error: 'access_denied', state: callback.searchParams.get('state') });
    location.assign(back.href);
  };
</script>
`;

export class Provider {
  #cookie = '';

  constructor() {
    this.dir = mkdtempSync(join(tmpdir(), 'berth-provider-'));
  }

  static async start() {
    const provider = new Provider();
    try {
      await provider.#serve();
      await provider.#prepare();
      return provider;
    } catch (error) {
      await provider.stop();
      throw error;
    }
  }

  // Somebody may take the port between our look and the provider's: then another is tried.
  async #serve() {
    const db = join(this.dir, 'db');
    execFileSync('sqlite3', [db], { input: readFileSync(schema) });
    const pages = join(this.dir, 'pages');
    mkdirSync(pages);
    writeFileSync(join(pages, 'login.html'), door);
    const kinds = ['user', 'user_middleware', 'client', 'user_auth_scheme', 'plugin'].map((kind) => `${kind}_module_path="${modules}/${kind === 'user_auth_scheme' ? 'scheme' : kind}"`);
    const log = join(this.dir, 'log');
    for (let left = 5; ; left--) {
      const port = await freePort();
      this.origin = `http://127.0.0.1:${port}`;
      this.issuer = `${this.origin}/api/oidc`;
      const conf = join(this.dir, 'conf');
      writeFileSync(
        conf,
        [`port=${port}`, 'bind_address="127.0.0.1"', `external_url="${this.origin}"`, 'login_url="login.html"', 'api_prefix="api"', 'log_mode="console"', 'log_level="WARNING"', 'cookie_secure=0', 'session_expiration=3600', 'session_key="PROVIDER"', 'admin_scope="g_admin"', 'profile_scope="g_profile"', ...kinds, 'hash_algorithm="SHA512"', `static_files_path="${pages}"`, 'static_files_mime_types=({ extension=".html" mime_type="text/html" })', `database={ type="sqlite3" path="${db}" };`, ''].join('\n'),
        { mode: 0o600 },
      );
      const out = openSync(log, 'a', 0o600);
      this.child = spawn('glewlwyd', [`--config-file=${conf}`], { stdio: ['ignore', out, out] });
      closeSync(out);
      let over = false;
      this.ended = new Promise((gone) => {
        this.child.on('exit', gone);
        this.child.on('error', gone);
      }).then(() => (over = true));
      const enters = () => this.login('admin', 'password').then((cookie) => (this.#cookie = cookie), () => false);
      await until('the provider', async () => over || (await enters()));
      if (!over) return;
      if (left === 0) throw new Error(`the provider ended:\n${readFileSync(log, 'utf8')}`);
    }
  }

  /** The cookie of who logged in there. */
  async login(username, password) {
    const answer = await fetch(`${this.origin}/api/auth/`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ username, password }) });
    if (!answer.ok) throw new Error(`the provider says ${answer.status}`);
    return answer.headers.getSetCookie().map((each) => each.split(';')[0]).join('; ');
  }

  async call(method, path, body) {
    const answer = await fetch(`${this.origin}/api${path}`, { method, headers: { 'content-type': 'application/json', cookie: this.#cookie }, body: body && JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  }

  async #prepare() {
    const data = { multiple: false, read: true, write: true };
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048, privateKeyEncoding: { type: 'pkcs1', format: 'pem' }, publicKeyEncoding: { type: 'spki', format: 'pem' } });
    await this.call('PUT', '/mod/user/database', { module: 'database', name: 'database', display_name: 'Database', order_rank: 0, enabled: true, readonly: false, multiple_passwords: false, parameters: { 'use-glewlwyd-connection': true, 'data-format': { email_verified: data } } });
    await this.call('PUT', '/mod/user/database/reset');
    for (const name of ['email', 'profile']) await this.call('POST', '/scope/', { name, display_name: name, password_required: true, password_max_age: 0, scheme: {} });
    await this.call('POST', '/mod/plugin/', {
      module: 'oidc', name: 'oidc', display_name: 'oidc',
      parameters: {
        iss: this.issuer, 'jwt-type': 'rsa', 'jwt-key-size': '256', key: privateKey, cert: publicKey, 'access-token-duration': 3600, 'refresh-token-duration': 3600, 'code-duration': 600,
        'refresh-token-rolling': true, 'allow-non-oidc': false, 'auth-type-code-enabled': true, 'auth-type-token-enabled': false, 'auth-type-id-token-enabled': true, 'auth-type-none-enabled': false,
        'auth-type-password-enabled': false, 'auth-type-client-enabled': false, 'auth-type-refresh-enabled': false, 'pkce-allowed': true, 'pkce-method-plain-allowed': false, 'pkce-required': true,
        'jwks-show': true, 'subject-type': 'public', 'allowed-scope': ['openid', 'email', 'profile', 'g_profile'], 'email-claim': 'mandatory', 'name-claim': 'mandatory', 'scope-claim': 'no',
        claims: [
          { name: 'email_verified', 'user-property': 'email_verified', type: 'boolean', 'boolean-value-true': '1', 'boolean-value-false': '0', mandatory: true },
          { name: 'preferred_username', 'user-property': 'username', type: 'string', mandatory: true },
        ],
      },
    });
  }

  /** Makes the panel known there; its name and secret. */
  async client(redirect) {
    const client = { client_id: 'panel', client_secret: 'client-secret-of-the-journeys' };
    await this.call('POST', '/client/', { ...client, name: 'panel', enabled: true, confidential: true, redirect_uri: [redirect], authorization_type: ['code'], token_endpoint_auth_method: ['client_secret_basic'], scope: [] });
    return client;
  }

  /** Somebody with an account there. */
  async person(username) {
    const person = { username, email: `${username}@example.com`, password: 'a long password' };
    await this.call('POST', '/user/', { ...person, name: username, enabled: true, email_verified: '1', scope: ['openid', 'email', 'profile', 'g_profile'] });
    return person;
  }

  async stop() {
    this.child?.kill('SIGKILL');
    await this.ended;
    rmSync(this.dir, { recursive: true, force: true });
  }
}
