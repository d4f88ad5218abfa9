// How the pages look and are used: by keyboard, on a phone, in the dark, in
// German, and by those who don't see them.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { until } from './berth.mjs';
import { settled } from './page.mjs';
import { journey } from './stage.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds on the page that is serious or worse. */
async function findings(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  return found.violations.filter((each) => each.impact === 'serious' || each.impact === 'critical').map((each) => `${each.id}: ${each.nodes.slice(0, 3).map((node) => node.html.slice(0, 200)).join(' | ')}`);
}

for (const colorScheme of ['light', 'dark']) {
  journey(
    `axe finds nothing serious on any page, ${colorScheme}`,
    async (visitor, { berth, arrive }) => {
      const user = await berth.addUser();
      const instance = await berth.addInstance(user);
      const role = await berth.call('post', '/api/v1/roles', { name: `axe-${colorScheme}-${Date.now()}`, permissions: ['nodes.read'] });
      const image = await berth.demo();
      const wrong = [];
      const look = async (page, path) => {
        await page.goto(path);
        await settled(page);
        for (const each of await findings(page)) wrong.push(`${path}: ${each}`);
      };
      const guest = await arrive();
      for (const path of ['/login', '/forgot', '/link']) await look(guest.page, path);
      const page = await visitor.admin('/');
      const own = ['', '/files', '/stats', '/startup', '/network', '/subusers', '/activity', '/settings'].map((tab) => `/instances/${instance.id}${tab}`);
      const all = ['/overview', '/welcome', '/instances', '/instances/new', ...own, '/nodes', '/nodes/new', `/nodes/${berth.node.id}`, '/images', '/images/new', `/images/${image.id}`, '/users', '/users/new', `/users/${user.id}`, '/roles', '/roles/new', `/roles/${role.id}`, '/jobs', '/activity', '/settings', '/account', '/account/security', '/account/sessions', '/account/keys'];
      for (const path of all) await look(page, path);
      assert.deepEqual(wrong, []);
    },
    { colorScheme },
  );
}

journey(
  'on a phone every page fits, and the menu is a drawer',
  async (visitor, { berth }) => {
    const user = await berth.addUser();
    const instance = await berth.addInstance(user, { start: false });
    const page = await visitor.admin('/instances');
    for (const path of ['/instances', `/instances/${instance.id}`, `/instances/${instance.id}/files`, '/nodes', '/users', '/activity', '/account', '/settings']) {
      await page.goto(path);
      await settled(page);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(over <= 0, `${path} is ${over} pixels too wide`);
    }
    await page.getByRole('button', { name: 'Menu', exact: true }).click();
    const drawer = page.getByRole('dialog', { name: 'Menu' });
    await drawer.getByRole('link', { name: 'Nodes' }).click();
    await page.getByRole('heading', { name: 'Nodes', level: 1 }).waitFor();
    await drawer.waitFor({ state: 'hidden' });
  },
  { viewport: { width: 375, height: 720 }, hasTouch: true, isMobile: true },
);

journey('all of it goes by keyboard', async (visitor, { berth }) => {
  const user = await berth.addUser();
  const instance = await berth.addInstance(user);
  const { page } = visitor;
  const keys = page.keyboard;
  await page.goto('/login');
  await page.getByLabel('Name or e-mail').waitFor();
  await until('the first field to have the focus', () => page.getByLabel('Name or e-mail').evaluate((field) => field === document.activeElement));
  await keys.type(user.username);
  await keys.press('Tab');
  await keys.type(user.password);
  await keys.press('Enter');
  const row = page.getByRole('link', { name: instance.name }).first();
  await row.waitFor();
  const focused = () => row.evaluate((link) => link === document.activeElement);
  for (let left = 60; !(await focused()); left--) {
    assert.ok(left > 0, 'Tab does not come to the instance');
    await keys.press('Tab');
  }
  await keys.press('Enter');
  await page.getByRole('heading', { name: instance.name, level: 1 }).waitFor();
  await keys.press('Control+k');
  const field = page.getByPlaceholder('Go to a page or do something…');
  await field.waitFor();
  await until('the palette to have the focus', () => field.evaluate((each) => each === document.activeElement));
  await keys.type('Account');
  await page.getByRole('dialog').getByText('Account').first().waitFor();
  await keys.press('ArrowDown');
  await keys.press('Enter');
  await page.getByRole('heading', { name: 'Account', level: 1 }).waitFor();
});

journey('the panel speaks German and English, and remembers which', async (visitor, { berth, arrive }) => {
  const user = await berth.addUser();
  const page = await visitor.login(user);
  await page.getByRole('button', { name: user.username }).click();
  await page.getByRole('menuitemradio', { name: 'Deutsch' }).click();
  await page.getByRole('heading', { name: 'Instanzen', level: 1 }).waitFor();
  await page.reload();
  await page.getByRole('heading', { name: 'Instanzen', level: 1 }).waitFor();
  assert.equal(await page.locator('html').getAttribute('lang'), 'de');
  const german = await arrive({ locale: 'de-DE' });
  await german.page.goto('/login');
  await german.page.getByRole('button', { name: 'Anmelden', exact: true }).waitFor();
});

journey('dark is dark, and stays so', async (visitor, { berth }) => {
  const user = await berth.addUser();
  const page = await visitor.login(user);
  const brightness = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).slice(0, 3).map(Number).reduce((sum, each) => sum + each, 0));
  await page.getByRole('heading', { name: 'Instances', level: 1 }).waitFor();
  assert.ok((await brightness()) > 600);
  await page.getByRole('button', { name: user.username }).click();
  await page.getByRole('menuitemradio', { name: 'Dark' }).click();
  await until('the page to be dark', async () => (await brightness()) < 200);
  await page.reload();
  await page.getByRole('heading', { name: 'Instances', level: 1 }).waitFor();
  assert.ok((await brightness()) < 200);
});
