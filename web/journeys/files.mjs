// An instance's files, by all that a page can do with them.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { journey } from './stage.mjs';
import { unique, until } from './wait.mjs';

const entryOf = (berth, instance, path) => berth.call('get', `/api/v1/instances/${instance.id}/files/entry?${new URLSearchParams({ path })}`);

async function act(page, name, what) {
  await page.getByRole('button', { name: `Actions for ${name}`, exact: true }).click();
  await page.getByRole('menuitem', { name: what, exact: true }).click();
  return page.getByRole('dialog');
}

journey('a folder is uploaded, archived, extracted elsewhere, and a file of it shut', async (visitor, { berth }) => {
  const user = await berth.addUser();
  const instance = await berth.addInstance(user, { start: false });
  const folder = join(berth.dir, unique('upload'), 'world');
  mkdirSync(join(folder, 'region'), { recursive: true });
  writeFileSync(join(folder, 'level.txt'), 'a level');
  writeFileSync(join(folder, 'region', 'r.0.0.txt'), 'a region');
  const page = await visitor.login(user, `/instances/${instance.id}/files`);
  await page.getByRole('button', { name: 'Upload', exact: true }).waitFor();
  await page.locator('input[type=file][webkitdirectory]').setInputFiles(folder);
  await page.getByText('Uploads: 2 of 2').waitFor();
  await page.getByRole('button', { name: 'world', exact: true }).waitFor();

  const archive = await act(page, 'world', 'Archive');
  await archive.getByRole('button', { name: 'Archive', exact: true }).click();
  await page.getByRole('button', { name: 'world.tar.gz', exact: true }).waitFor();
  const extract = await act(page, 'world.tar.gz', 'Extract');
  await extract.getByRole('textbox', { name: 'To the folder' }).fill('/copy');
  await extract.getByRole('button', { name: 'Extract', exact: true }).click();
  await page.getByRole('button', { name: 'copy', exact: true }).click();
  await page.getByRole('button', { name: 'world', exact: true }).click();
  await page.getByRole('button', { name: 'level.txt', exact: true }).waitFor();
  assert.equal((await entryOf(berth, instance, 'copy/world/region/r.0.0.txt')).size, 8);

  const chmod = await act(page, 'level.txt', 'Permissions');
  await chmod.getByRole('textbox', { name: 'Mode' }).fill('0640');
  await chmod.getByRole('button', { name: 'Save' }).click();
  await chmod.waitFor({ state: 'hidden' });
  assert.equal((await entryOf(berth, instance, 'copy/world/level.txt')).mode, '0640');
});

journey('the tree of folders leads to each, by mouse and by keyboard', async (visitor, { berth }) => {
  const user = await berth.addUser();
  const instance = await berth.addInstance(user, { start: false });
  for (const path of ['maps/old/deep', 'maps/new', 'logs']) await berth.call('post', `/api/v1/instances/${instance.id}/files/folder`, { path });
  const page = await visitor.login(user, `/instances/${instance.id}/files`);
  const tree = page.getByRole('tree', { name: 'Folders' });
  const item = (name) => tree.getByRole('treeitem').filter({ has: page.locator(`:scope > [title="${name}"]`) });
  const where = page.getByRole('navigation', { name: 'Where you are' }).locator('[aria-current=page]');
  await item('maps').locator(':scope > div').click();
  await where.filter({ hasText: 'maps' }).waitFor();
  await page.getByRole('button', { name: 'old', exact: true }).waitFor();
  await item('old').locator('[data-arrow]').first().click();
  await item('deep').waitFor();
  await where.filter({ hasText: 'maps' }).waitFor(); // it was unfolded, not opened
  await item('Volume').first().focus();
  for (const key of ['ArrowDown', 'ArrowDown', 'Enter']) await page.keyboard.press(key);
  await where.filter({ hasText: 'maps' }).waitFor();
  for (const key of ['ArrowDown', 'Enter']) await page.keyboard.press(key);
  await where.filter({ hasText: 'new' }).waitFor();
  // A folder that is made elsewhere is there by itself.
  await berth.call('post', `/api/v1/instances/${instance.id}/files/folder`, { path: 'maps/new/later' });
  await page.getByRole('button', { name: 'later', exact: true }).waitFor();
});

journey('an address inside is not fetched from, and the page says why', async (visitor, { berth }) => {
  const user = await berth.addUser();
  const instance = await berth.addInstance(user, { start: false });
  const page = await visitor.login(user, `/instances/${instance.id}/files`);
  await page.getByRole('button', { name: 'New', exact: true }).click();
  await page.getByRole('menuitem', { name: 'Download from an address' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('textbox', { name: 'Address' }).fill(`${berth.url}/api/v1/health`);
  visitor.foresee(/^422 POST \/api\/v1\/instances\/[^/]+\/files\/pull$/);
  await dialog.getByRole('button', { name: 'Download', exact: true }).click();
  await page.getByRole('alert').filter({ hasText: /private|not allowed|inside|forbidden|public/i }).first().waitFor();
});

journey('an upload that is cut off goes on where it was', async (visitor, { berth }) => {
  const size = 40 << 20;
  const user = await berth.addUser();
  const instance = await berth.addInstance(user, { start: false });
  const path = join(berth.dir, 'cut.bin');
  const file = await open(path, 'w');
  await file.truncate(size);
  await file.close();
  const { page } = visitor;
  visitor.foresee(/ERR_INTERNET_DISCONNECTED/, /ERR_NETWORK_CHANGED/);
  const parts = [];
  let away = true;
  page.on('request', (request) => request.method() === 'PATCH' && parts.push(Number(request.headers()['upload-offset'])));
  await visitor.login(user, `/instances/${instance.id}/files`);
  await page.getByRole('button', { name: 'Upload', exact: true }).waitFor();
  // After the second part the line is gone.
  page.on('requestfinished', (request) => {
    if (request.method() === 'PATCH' && away && parts.length >= 2) {
      away = false;
      void visitor.context.setOffline(true);
    }
  });
  await page.locator('input[type=file][multiple]:not([webkitdirectory])').first().setInputFiles(path);
  await until('the line to be cut', () => !away && visitor.problems.some((each) => each.includes('ERR_INTERNET_DISCONNECTED')));
  assert.equal(await page.getByText('Done', { exact: true }).count(), 0);
  await visitor.context.setOffline(false);
  await page.getByRole('button', { name: 'cut.bin', exact: true }).waitFor();
  assert.equal((await entryOf(berth, instance, 'cut.bin')).size, size);
  // From the beginning it was begun once only.
  assert.equal(parts.filter((each) => each === 0).length, 1, parts.join(' '));
}, { steady: false });
