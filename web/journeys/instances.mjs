// What a customer does with an instance, and what an admin does to it.
import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { command, printed } from './page.mjs';
import { journey } from './stage.mjs';
import { unique, until } from './wait.mjs';

journey('the console shows what is printed, and takes a command', async (visitor, { berth }) => {
  const user = await berth.addUser();
  const instance = await berth.addInstance(user);
  const page = await visitor.login(user, `/instances/${instance.id}`);
  await printed(page, 'Berth demo, ready on port');
  await command(page, 'ahoy');
  await printed(page, 'You said: ahoy');
});

journey('a file is made and edited, and the container reads it', async (visitor, { berth }) => {
  const user = await berth.addUser();
  const instance = await berth.addInstance(user);
  const page = await visitor.login(user, `/instances/${instance.id}/files`);
  await page.getByRole('button', { name: 'New', exact: true }).click();
  await page.getByRole('menuitem', { name: 'New file' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('textbox').fill('visits');
  await dialog.getByRole('button', { name: 'Create' }).click();
  const text = page.getByRole('textbox', { name: /^Text of .*visits$/ });
  await text.fill('4711');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('visits is saved').waitFor();
  // The demo counts its visits in that file.
  await page.getByRole('link', { name: 'Console' }).click();
  await printed(page, 'Berth demo, ready on port');
  await command(page, 'status');
  await printed(page, '4711 visits');
});

journey('200 MB are uploaded', async (visitor, { berth }) => {
  const size = 200 << 20;
  const user = await berth.addUser();
  const instance = await berth.addInstance(user, { start: false });
  const path = join(berth.dir, 'large.bin');
  const file = await open(path, 'w');
  await file.truncate(size);
  await file.close();
  const page = await visitor.login(user, `/instances/${instance.id}/files`);
  await page.getByRole('button', { name: 'Upload', exact: true }).waitFor();
  await page.locator('input[type=file][multiple]:not([webkitdirectory])').first().setInputFiles(path);
  // On a busy machine it takes minutes.
  await page.getByText('Uploads: 1 of 1').waitFor({ timeout: 900_000 });
  await page.getByRole('button', { name: 'large.bin', exact: true }).waitFor();
  const entry = await until('the file to be there', () => berth.call('get', `/api/v1/instances/${instance.id}/files/entry?path=large.bin`));
  assert.equal(entry.size, size);
});

journey('a customer sees live that his instance is suspended, and why', async (visitor, { berth, arrive }) => {
  const user = await berth.addUser();
  const instance = await berth.addInstance(user);
  const page = await visitor.login(user, `/instances/${instance.id}`);
  await printed(page, 'Berth demo, ready on port');
  // What the suspended may no longer do is refused while the page learns of it.
  visitor.foresee(/^40[39] /, /WebSocket connection to .* 40[39]$/);
  const admin = await arrive();
  await admin.admin(`/instances/${instance.id}`);
  await admin.page.getByRole('button', { name: 'More', exact: true }).click();
  await admin.page.getByRole('menuitem', { name: 'Suspend' }).click();
  const dialog = admin.page.getByRole('dialog');
  await dialog.getByRole('textbox', { name: 'Reason' }).fill('the invoice of May');
  await dialog.getByRole('button', { name: 'Suspend' }).click();
  await page.getByText('This instance is suspended', { exact: true }).waitFor(); // above the page
  await page.getByRole('status').filter({ hasText: 'the invoice of May' }).first().waitFor(); // there, and in the console
});

journey('a subuser with the console alone sees nothing else, and nothing at all once it is taken', async (visitor, { berth, arrive }) => {
  const [owner, friend] = [await berth.addUser(), await berth.addUser()];
  const instance = await berth.addInstance(owner);
  const page = await visitor.login(owner, `/instances/${instance.id}/subusers`);
  await page.getByRole('button', { name: 'Add somebody' }).click();
  const dialog = page.getByRole('dialog', { name: 'Add somebody' });
  await dialog.getByRole('textbox', { name: 'E-mail address or user name' }).fill(friend.username);
  await dialog.getByRole('button', { name: 'Console only' }).click();
  await dialog.getByRole('button', { name: 'Add', exact: true }).click();
  await page.getByRole('table', { name: 'Subusers' }).getByText(friend.username).waitFor();

  const guest = await arrive();
  const seen = await guest.login(friend, `/instances/${instance.id}`);
  await printed(seen, 'Berth demo, ready on port');
  const tabs = await seen.getByRole('navigation', { name: 'Pages of the instance' }).getByRole('link').allTextContents();
  for (const hidden of ['Files', 'Startup', 'Subusers', 'Activity']) assert.ok(!tabs.includes(hidden), `${hidden} is among ${tabs}`);
  await command(seen, 'it is me');
  await printed(seen, 'You said: it is me');

  guest.foresee(/^40[34] /, /WebSocket connection to .* 40[34]$/);
  await page.getByRole('button', { name: `Remove ${friend.username}` }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove', exact: true }).click();
  await seen.getByRole('textbox', { name: 'Command', exact: true }).waitFor({ state: 'detached' });
});

journey('an instance is deployed from an image, with a variable', async (visitor) => {
  const name = unique('deployed');
  const page = await visitor.admin('/instances/new');
  await page.getByRole('radio', { name: /^Demo/ }).click();
  await page.getByRole('textbox', { name: 'Name', exact: true }).fill(name);
  await page.getByRole('button', { name: /^Remove port/ }).click();
  await page.getByRole('textbox', { name: 'GREETING' }).fill('Moin from a journey');
  await page.getByRole('button', { name: 'Deploy', exact: true }).click();
  await page.getByRole('navigation', { name: 'Pages of the instance' }).waitFor();
  await printed(page, 'Berth demo, ready on port');
  await command(page, 'status');
  await printed(page, 'Moin from a journey');
});

journey('nothing that is named or printed becomes a part of the page', async (visitor, { berth }) => {
  const evil = `<img src=x onerror="document.title='broken'"><script>document.title='broken'</script>`;
  const user = await berth.addUser();
  const instance = await berth.addInstance(user, { name: `x<b>y</b>${unique('')}`.slice(0, 40) }).catch(() => berth.addInstance(user));
  const query = new URLSearchParams({ path: `<img src=x onerror=alert(1)>.txt` });
  const put = await fetch(`${berth.url}/api/v1/instances/${instance.id}/files/content?${query}`, { method: 'PUT', headers: { 'x-api-key': berth.key, 'content-type': 'application/octet-stream' }, body: evil });
  assert.equal(put.ok, true, `${put.status} ${await put.text()}`);
  visitor.page.on('dialog', (dialog) => {
    visitor.problems.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  const page = await visitor.login(user, `/instances/${instance.id}`);
  await printed(page, 'Berth demo, ready on port');
  await command(page, evil);
  await printed(page, 'You said: <img');
  await command(page, '\u001b]0;broken\u0007 \u001b[2J calm');
  await printed(page, 'calm');
  await page.getByRole('link', { name: 'Files', exact: true }).click();
  await page.getByRole('button', { name: '<img src=x onerror=alert(1)>.txt', exact: true }).click();
  await page.getByRole('textbox', { name: /^Text of/ }).filter({ hasText: '<script>' }).waitFor();
  assert.equal(await page.locator('main#page img, main#page script, main#page b').count(), 0);
  assert.doesNotMatch(await page.title(), /broken/);
});

journey('power orders change the page by themselves', async (visitor, { berth }) => {
  const user = await berth.addUser();
  const instance = await berth.addInstance(user, { name: unique('power') });
  const page = await visitor.login(user, `/instances/${instance.id}`);
  await printed(page, 'Berth demo, ready on port');
  await page.getByRole('button', { name: /^Stop/ }).first().click();
  await until('the page to show it stopped', () => page.getByText('Stopped', { exact: true }).first().isVisible());
  await berth.reaches(instance.id, 'stopped');
  await page.getByRole('button', { name: /^Start/ }).first().click();
  await until('the page to show it running', () => page.getByText('Running', { exact: true }).first().isVisible());
});
