// Pictures of every page of the panel, light and dark, wide and narrow, into
// docs/screenshots. It starts what `make run` starts, with a state of its own
// that is removed at the end, and deploys one instance of the demo image.
// BERTH_URL with BERTH_API_KEY and BERTH_ADMIN_PASSWORD take one that runs already.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const top = fileURLToPath(new URL('../..', import.meta.url));
const out = join(top, 'docs/screenshots');
const patience = 180_000;

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

// until asks again until there is an answer, or fails with what it waited for.
async function until(what, ask) {
  const end = Date.now() + patience;
  while (Date.now() < end) {
    const found = await ask().catch(() => undefined);
    if (found) return found;
    await new Promise((done) => setTimeout(done, 500));
  }
  throw new Error(`${what} did not happen within ${patience / 1000} s`);
}

async function start() {
  if (process.env.BERTH_URL) {
    const { BERTH_URL: url, BERTH_API_KEY: key, BERTH_ADMIN_PASSWORD: password } = process.env;
    return { url, key, password, stop: async () => {} };
  }
  const data = mkdtempSync(join(tmpdir(), 'berth-screenshots-'));
  const [listen, agent] = [await freePort(), await freePort()];
  const url = `http://localhost:${listen}`;
  const child = spawn(join(top, 'deploy/run.sh'), {
    cwd: top,
    stdio: 'inherit',
    env: { ...process.env, DATA: data, LISTEN: `127.0.0.1:${listen}`, AGENT_LISTEN: `127.0.0.1:${agent}`, BERTH_PUBLIC_URL: url, BERTH_RATE_LIMIT: '0' },
  });
  const ended = new Promise((done) => child.once('exit', done));
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
    rmSync(data, { recursive: true, force: true });
  };
  try {
    const text = await until('the start', async () => (child.exitCode === null ? readFileSync(join(data, 'credentials'), 'utf8') : Promise.reject()));
    const value = (name) => new RegExp(`^${name}=(.*)$`, 'm').exec(text)[1];
    return { url, key: value('BERTH_API_KEY'), password: value('BERTH_ADMIN_PASSWORD'), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function api({ url, key }) {
  return async (method, path, body) => {
    const answer = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: { 'x-api-key': key, ...(body ? { 'content-type': 'application/json' } : {}) },
      body: body && JSON.stringify(body),
    });
    const text = await answer.json();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text.error?.message}`);
    return text.data;
  };
}

// deployed gives the first node and a running instance on it, so that the pages have something to show.
async function deployed(ask, owner) {
  const node = await until('a node to be online', async () => (await ask('GET', '/nodes')).find((n) => n.state === 'online'));
  const there = (await ask('GET', '/instances')).find((i) => i.name === 'harbour');
  const image = (await ask('GET', '/images'))[0];
  const made = there ?? (await ask('POST', '/instances', {
    name: 'harbour',
    owner_id: owner,
    image_id: image.id,
    node_id: node.id,
    memory: 256,
    cpu: 0.5,
    disk: 512,
  }));
  const id = made.id ?? made.instance?.id;
  await until('the instance to run', async () => (await ask('GET', `/instances/${id}`)).status === 'running');
  return { node: node.id, image: image.id, instance: id };
}

const places = ({ node, image, instance }, me) => ({
  overview: '/overview',
  instances: '/instances',
  deploy: '/instances/new',
  instance: `/instances/${instance}`,
  console: `/instances/${instance}/console`,
  files: `/instances/${instance}/files`,
  stats: `/instances/${instance}/stats`,
  startup: `/instances/${instance}/startup`,
  network: `/instances/${instance}/network`,
  subusers: `/instances/${instance}/subusers`,
  'instance-activity': `/instances/${instance}/activity`,
  'instance-settings': `/instances/${instance}/settings`,
  nodes: '/nodes',
  node: `/nodes/${node}`,
  'node-add': '/nodes/new',
  images: '/images',
  image: `/images/${image}`,
  users: '/users',
  user: `/users/${me}`,
  roles: '/roles',
  jobs: '/jobs',
  activity: '/activity',
  settings: '/settings',
  welcome: '/welcome',
  account: '/account',
  security: '/account/security',
  sessions: '/account/sessions',
  keys: '/account/keys',
  'ssh-keys': '/account/ssh-keys',
  'not-found': '/nowhere',
});

async function login(page, { url, password }) {
  await page.goto(`${url}/login`);
  await page.getByLabel('Name or e-mail').fill('admin');
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Log in', exact: true }).click();
  await page.locator('main#page').waitFor();
}

// still waits for a page that has drawn what it asked for.
async function still(page) {
  await page.waitForLoadState('load');
  await page.waitForFunction(() => document.querySelector('h1') && !document.querySelector('[aria-busy="true"]'), undefined, { timeout: 20_000 }).catch(() => {});
  await page.evaluate(() => document.fonts.ready);
  await page.waitForTimeout(400); // what moves in has come to rest
}

async function pictures(browser, berth, paths, scheme, width) {
  const context = await browser.newContext({ viewport: { width, height: width < 500 ? 844 : 800 }, colorScheme: scheme, locale: 'en', reducedMotion: 'reduce' });
  const page = await context.newPage();
  const wrong = [];
  page.on('pageerror', (error) => wrong.push(String(error)));
  page.on('console', (message) => {
    if (/Content.Security.Policy/i.test(message.text())) wrong.push(message.text());
  });
  const shoot = (name) => page.screenshot({ path: join(out, `${name}-${width}-${scheme}.png`) });
  for (const [name, path] of [['login', '/login'], ['forgot', '/forgot'], ['link', '/link#gone']]) {
    await page.goto(berth.url + path);
    await still(page);
    await shoot(name);
  }
  await login(page, berth);
  for (const [name, path] of Object.entries(paths)) {
    await page.goto(berth.url + path);
    await still(page);
    await shoot(name);
  }
  await context.close();
  return wrong.map((text) => `${scheme} ${width}: ${text}`);
}

const berth = await start();
let wrong = [];
try {
  const ask = api(berth);
  const me = (await ask('GET', '/me')).user.id;
  const things = await deployed(ask, me);
  mkdirSync(out, { recursive: true });
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-background-networking'],
  });
  for (const scheme of ['light', 'dark']) {
    for (const width of [1280, 390]) wrong = wrong.concat(await pictures(browser, berth, places(things, me), scheme, width));
  }
  await browser.close();
  await ask('DELETE', `/instances/${things.instance}`);
  await until('the instance to be gone', async () => !(await ask('GET', '/instances')).some((i) => i.id === things.instance));
} finally {
  await berth.stop();
}
for (const text of wrong) console.error(text);
process.exitCode = wrong.length > 0 ? 1 : 0;
