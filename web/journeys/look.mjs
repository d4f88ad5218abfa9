// How the pages look and are used: by keyboard, on a phone, in the dark, in
// German, and by those who don't see them.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { still, turnTo } from './page.mjs';
import { journey } from './stage.mjs';
import { unique, until } from './wait.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds on the page that is serious or worse; rules names those that are asked, all otherwise. */
async function findings(page, ...rules) {
  await still(page);
  const found = await page.evaluate((runOnly) => globalThis.axe.run(document, { resultTypes: ['violations'], ...(runOnly.length > 0 && { runOnly }) }), rules);
  return found.violations.filter((each) => each.impact === 'serious' || each.impact === 'critical').map((each) => `${each.id}: ${each.nodes.slice(0, 3).map((node) => node.html.slice(0, 200)).join(' | ')}`);
}

/** The panel, which goes by the machine, turns light or dark. */
async function turn(page, colorScheme) {
  await page.emulateMedia({ colorScheme });
  await page.locator(`html[data-mantine-color-scheme=${colorScheme}]`).waitFor();
}

/** Adds to wrong what axe finds in light and in dark. Of all it looks at, only the contrast is another one in the dark. */
async function look(page, what, wrong) {
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(axe);
  for (const each of await findings(page)) wrong.push(`${what}: ${each}`);
  await turn(page, 'dark');
  for (const each of await findings(page, 'color-contrast')) wrong.push(`${what}, dark: ${each}`);
  await turn(page, 'light');
}

journey('axe finds nothing serious on any page, light or dark', async (visitor, { berth, arrive }) => {
  const user = await berth.addUser();
  const instance = await berth.addInstance(user);
  const role = await berth.call('post', '/api/v1/roles', { name: unique('axe'), permissions: ['nodes.read'] });
  const image = await berth.demo();
  const [job] = await berth.call('get', '/api/v1/jobs?limit=1');
  const wrong = [];
  const visit = async (page, path) => {
    await turnTo(page, path);
    const at = new URL(page.url());
    assert.equal(at.pathname + at.search, path, 'it led elsewhere');
    assert.equal(await page.getByText('There is no such page').count(), 0, `${path}: there is no such page`);
    await look(page, path, wrong);
  };
  const guest = await arrive();
  await guest.page.goto('/login');
  for (const path of ['/login', '/forgot', '/link']) await visit(guest.page, path);
  const page = await visitor.admin('/overview');
  const own = ['', '/files', '/stats', '/startup', '/network', '/subusers', '/activity', '/settings'].map((tab) => `/instances/${instance.id}${tab}`);
  const account = ['', '/security', '/sessions', '/keys', '/ssh-keys'].map((tab) => `/account${tab}`);
  const images = ['', '?tab=start', '?tab=variables', '?tab=files', '?tab=install', '?tab=presets'].map((tab) => `/images/${image.id}${tab}`);
  const settings = ['', '?tab=mail', '?tab=oidc'].map((tab) => `/settings${tab}`);
  for (const path of ['/overview', '/welcome', '/instances', '/instances/new', ...own, '/nodes', '/nodes/new', `/nodes/${berth.node.id}`, '/images', '/images/import', '/images/new', ...images, '/registries', '/users', '/users/new', `/users/${user.id}`, '/roles', '/roles/new', `/roles/${role.id}`, '/jobs', `/jobs/${job.id}`, '/activity', ...settings, ...account]) await visit(page, path);
  assert.deepEqual(wrong, []);
});

journey('axe finds nothing serious in what opens above a page, light or dark', async (visitor, { berth }) => {
  const user = await berth.addUser();
  const instance = await berth.addInstance(user, { start: false });
  const page = await visitor.admin(`/instances/${instance.id}/subusers`);
  const wrong = [];
  const shut = async (opened) => {
    await page.keyboard.press('Escape');
    await opened.waitFor({ state: 'hidden' });
  };
  const dialog = page.getByRole('dialog');
  const menu = page.getByRole('menu');

  await page.getByRole('button', { name: 'Add somebody' }).click();
  await dialog.getByRole('button', { name: 'Console only' }).waitFor();
  await look(page, 'adding somebody', wrong);
  await shut(dialog);

  await page.getByRole('button', { name: 'More', exact: true }).click();
  await menu.waitFor();
  await look(page, 'what an admin does with an instance', wrong);
  await menu.getByRole('menuitem', { name: 'Delete' }).click();
  await dialog.getByRole('textbox').waitFor();
  await look(page, 'deleting an instance', wrong);
  await shut(dialog);

  await page.getByRole('button', { name: 'admin', exact: true }).click();
  await menu.waitFor();
  await look(page, 'the menu of who is logged in', wrong);
  await shut(menu);

  await page.keyboard.press('Control+k');
  await page.getByPlaceholder('Go to a page or do something…').waitFor();
  await look(page, 'the palette', wrong);
  await shut(page.getByPlaceholder('Go to a page or do something…'));

  await page.goto(`/instances/${instance.id}/files`);
  await page.getByRole('button', { name: 'New', exact: true }).click();
  await page.getByRole('menuitem', { name: 'New file' }).click();
  await dialog.getByRole('textbox').fill('server.properties');
  await dialog.getByRole('button', { name: 'Create' }).click();
  await page.getByRole('textbox', { name: /^Text of/ }).fill('# Hello\nmax-players=20\nmotd="Moin"');
  await look(page, 'the editor', wrong);
  assert.deepEqual(wrong, []);
});

journey(
  'on a phone every page fits, and the menu is a drawer',
  async (visitor, { berth }) => {
    const user = await berth.addUser();
    const instance = await berth.addInstance(user, { start: false });
    const page = await visitor.admin('/instances');
    const wrong = [];
    for (const path of ['/instances', `/instances/${instance.id}`, `/instances/${instance.id}/files`, '/nodes', '/images', '/images/import', `/images/${(await berth.demo()).id}?tab=variables`, '/registries', '/users', '/activity', '/account', '/settings']) {
      await turnTo(page, path);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(over <= 0, `${path} is ${over} pixels too wide`);
      await look(page, `${path} on a phone`, wrong);
    }
    await page.getByRole('button', { name: 'Menu', exact: true }).click();
    const drawer = page.getByRole('dialog', { name: 'Menu' });
    await drawer.getByRole('link', { name: 'Nodes' }).waitFor();
    await look(page, 'the drawer', wrong);
    await drawer.getByRole('link', { name: 'Nodes' }).click();
    await page.getByRole('heading', { name: 'Nodes', level: 1 }).waitFor();
    await drawer.waitFor({ state: 'hidden' });
    assert.deepEqual(wrong, []);
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
