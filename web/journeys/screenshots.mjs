// make screenshots: every page into docs/screenshots, light and dark, and on a
// phone; in German what customers use most. Names of pictures make those alone:
// node web/journeys/screenshots.mjs overview-light files-light
import { mkdirSync, rmSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Berth } from './berth.mjs';
import { openBrowser, Visitor } from './browser.mjs';
import { printed, settled, still } from './page.mjs';
import { empty, hoster } from './scene.mjs';

const only = new Set(process.argv.slice(2));
const into = resolve(process.env.BERTH_SCREENSHOTS ?? resolve(dirname(fileURLToPath(import.meta.url)), '../../docs/screenshots'));
const wide = { viewport: { width: 1280, height: 860 } };
const phone = { viewport: { width: 390, height: 800 }, isMobile: true, hasTouch: true };

/** How it is looked at: [suffix, options of the visitor, which pages]. */
const looks = [
  ['light', { ...wide, colorScheme: 'light' }, () => true],
  ['dark', { ...wide, colorScheme: 'dark' }, () => true],
  ['phone-light', { ...phone, colorScheme: 'light' }, () => true],
  ['phone-dark', { ...phone, colorScheme: 'dark' }, ({ both }) => both],
  ['phone-de', { ...phone, colorScheme: 'light', locale: 'de-DE' }, ({ both }) => both],
];

async function take({ page }, { name, path, act }, suffix) {
  await page.goto(path);
  if (name === 'docs') await page.locator('#waiting').waitFor({ state: 'detached' });
  else await settled(page);
  if (name === 'instance') await printed(page, 'You said: ahoy');
  await act?.(page);
  await page.evaluate(() => document.fonts.ready);
  await still(page);
  await page.screenshot({ path: `${into}/${name}-${suffix}.png`, animations: 'disabled', caret: 'hide' });
}

/** Logs in, whatever the language. */
async function enter({ page }, { username, password }) {
  await page.goto('/login');
  await page.locator('input[autocomplete^=username]').fill(username);
  await page.locator('input[type=password]').fill(password);
  await page.keyboard.press('Enter');
  await page.locator('main#page').waitFor();
}

/** Takes those that are asked for, each as who sees it; what the pages reported is said. */
async function tour(browser, berth, shots, users) {
  for (const [suffix, how, chosen] of looks) {
    const wanted = shots.filter((each) => chosen(each) && (only.size === 0 || only.has(`${each.name}-${suffix}`)));
    for (const who of new Set(wanted.map((each) => each.who))) {
      const visitor = await Visitor.arrive(browser, berth, how);
      if (who) await enter(visitor, users[who]);
      for (const each of wanted.filter((each) => each.who === who)) {
        visitor.problems.length = 0;
        await take(visitor, each, suffix).catch((error) => console.error(`${each.name}-${suffix}: ${error.message}`));
        for (const problem of visitor.unexpected()) console.error(`${each.name}-${suffix}: the page reported ${problem}`);
      }
      await visitor.leave();
    }
  }
}

const [browser, berth, fresh] = await Promise.all([openBrowser(), Berth.start(), Berth.start()]);
try {
  if (only.size === 0) rmSync(into, { recursive: true, force: true });
  mkdirSync(into, { recursive: true });
  const { shots, users } = await hoster(berth);
  const doors = ['/login', '/forgot', '/link'].map((path) => ({ name: path.slice(1), path, both: true }));
  await tour(browser, berth, [...doors, ...shots], users);
  await tour(browser, fresh, empty, { admin: { username: 'admin', password: fresh.password }, newcomer: await fresh.addUser() });
} finally {
  await browser.close();
  await Promise.all([berth.stop(), fresh.stop()]);
}
