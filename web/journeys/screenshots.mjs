// make screenshots: every page into docs/screenshots, light and dark, and those
// that customers use most on a phone as well. Names of pictures make those alone:
// node web/journeys/screenshots.mjs overview-light files-light
import { mkdirSync, rmSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Berth } from './berth.mjs';
import { openBrowser, Visitor } from './browser.mjs';
import { printed, settled } from './page.mjs';

const only = new Set(process.argv.slice(2));
const into = resolve(dirname(fileURLToPath(import.meta.url)), '../../docs/screenshots');

/** What there is to see: [name, path, whether on a phone, too]. */
async function scene(berth) {
  const node = await berth.addNode('fra-1');
  const owner = await berth.addUser({ username: 'anna' });
  await berth.addUser({ username: 'ben' });
  const role = await berth.call('post', '/api/v1/roles', { name: 'Support', description: 'Helps customers', permissions: ['users.read', 'nodes.read', 'instances.read', 'activity.read'] });
  const web = await berth.addInstance(owner, { name: 'web' });
  await berth.addInstance(owner, { name: 'staging', start: false });
  const image = await berth.demo();
  const put = (path, text) => fetch(`${berth.url}/api/v1/instances/${web.id}/files/content?path=${path}`, { method: 'PUT', headers: { 'x-api-key': berth.key, 'content-type': 'application/octet-stream' }, body: text });
  await put('server.properties', 'motd=Hello\nmax-players=20\n');
  await put('notes.md', '# Notes\n\nWhat to do next.\n');
  const tab = (slug) => `/instances/${web.id}${slug && `/${slug}`}`;
  return {
    web,
    pages: [
      ['overview', '/overview', true], ['welcome', '/welcome'], ['instances', '/instances', true], ['deploy', '/instances/new'],
      ['instance', tab(''), true], ['files', tab('files'), true], ['stats', tab('stats')], ['startup', tab('startup')], ['network', tab('network')],
      ['subusers', tab('subusers')], ['instance-activity', tab('activity')], ['instance-settings', tab('settings')],
      ['nodes', '/nodes'], ['node', `/nodes/${node.id}`], ['node-new', '/nodes/new'], ['images', '/images', true], ['images-import', '/images/import'], ['image', `/images/${image.id}`], ['image-variables', `/images/${image.id}?tab=variables`], ['registries', '/registries'],
      ['users', '/users'], ['user', `/users/${owner.id}`], ['user-new', '/users/new'], ['roles', '/roles'], ['role', `/roles/${role.id}`],
      ['jobs', '/jobs'], ['activity', '/activity'], ['settings', '/settings'],
      ['account', '/account', true], ['account-security', '/account/security'], ['account-sessions', '/account/sessions'],
    ],
  };
}

async function take(visitor, name, suffix, path) {
  if (only.size > 0 && !only.has(`${name}-${suffix}`)) return;
  if (path) await visitor.page.goto(path);
  await settled(visitor.page);
  if (name === 'instance') await printed(visitor.page, 'You said: ahoy');
  await visitor.page.evaluate(() => document.fonts.ready);
  await visitor.page.screenshot({ path: `${into}/${name}-${suffix}.png`, animations: 'disabled', caret: 'hide' });
}

const [browser, berth] = await Promise.all([openBrowser(), Berth.start()]);
try {
  if (only.size === 0) rmSync(into, { recursive: true, force: true });
  mkdirSync(into, { recursive: true });
  const { web, pages } = await scene(berth);
  await berth.call('post', `/api/v1/instances/${web.id}/command`, { command: 'ahoy' });
  for (const colorScheme of ['light', 'dark']) {
    for (const phone of [false, true]) {
      const size = phone ? { viewport: { width: 390, height: 800 }, isMobile: true, hasTouch: true } : { viewport: { width: 1280, height: 860 } };
      const suffix = phone ? `phone-${colorScheme}` : colorScheme;
      const guest = await Visitor.arrive(browser, berth, { colorScheme, ...size });
      await guest.page.goto('/login');
      await guest.page.getByLabel('Name or e-mail').waitFor();
      await take(guest, 'login', suffix);
      await guest.admin('/instances');
      for (const [name, path, both] of pages) {
        if (phone && !both) continue;
        await take(guest, name, suffix, path);
      }
      await guest.leave();
    }
  }
} finally {
  await browser.close();
  await berth.stop();
}
