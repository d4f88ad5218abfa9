// The catalogue: an egg that becomes a running instance, and container images
// that a registry gives only to those whom it knows.
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { egg } from './egg.mjs';
import { drop, printed } from './page.mjs';
import { Registry } from './registry.mjs';
import { journey } from './stage.mjs';
import { unique, until } from './wait.mjs';

/** Ports that instances of the node may take. */
async function pool(berth) {
  const from = randomInt(20_000, 30_000);
  await berth.call('post', `/api/v1/nodes/${berth.node.id}/allocations`, { ports: [`${from}-${from + 20}`] });
}

journey('an egg is dropped, deployed, filled in wrongly and rightly, and its service answers', async (visitor, { berth }) => {
  visitor.foresee(/^422 (POST|PATCH) \/api\/v1\/instances/);
  await pool(berth);
  const name = unique('Greeter');
  const page = await visitor.admin('/images');
  await page.getByRole('link', { name: 'Import' }).click();
  const broken = JSON.stringify({ ...egg(unique('Broken')), docker_images: {} });
  await drop(page, page.getByRole('group', { name: 'Drop files or a folder here' }), [['egg-greeter.json', JSON.stringify(egg(name))], ['egg-broken.json', broken], ['package.json', '{"name": "x", "version": "1.0.0"}']]);
  const report = page.getByRole('list', { name: 'Report' });
  await report.getByRole('listitem').filter({ hasText: 'egg-broken.json' }).filter({ hasText: 'Refused' }).waitFor();
  await report.getByRole('listitem').filter({ hasText: 'package.json' }).filter({ hasText: 'Skipped' }).waitFor();
  await report.getByRole('link', { name }).click();
  await page.getByRole('heading', { name, level: 1 }).waitFor();
  await page.getByRole('link', { name: 'Deploy', exact: true }).click();

  const level = page.getByRole('textbox', { name: 'Level' });
  await level.fill('9');
  await page.getByText('From 1 to 5', { exact: true }).waitFor();
  await page.getByRole('textbox', { name: 'Greeting' }).fill('Moin from an egg');
  await page.getByRole('spinbutton', { name: 'In the container' }).or(page.getByRole('textbox', { name: 'In the container' })).first().fill('8080');
  await page.getByRole('button', { name: 'Deploy', exact: true }).click();
  // The controller refuses it, too, and says so at the field.
  await until('the field to be marked', async () => (await level.getAttribute('aria-invalid')) === 'true' && visitor.problems.some((each) => each.startsWith('422 ')));
  await level.fill('3');
  await page.getByRole('button', { name: 'Deploy', exact: true }).click();
  await page.getByRole('navigation', { name: 'Pages of the instance' }).waitFor();
  await printed(page, 'Berth demo, ready on port');

  const id = new URL(page.url()).pathname.split('/')[2];
  const instance = await berth.call('get', `/api/v1/instances/${id}`);
  const { ip, host } = instance.ports[0];
  const answer = await fetch(`http://${ip === '0.0.0.0' ? berth.node.address : ip}:${host}/status`);
  assert.equal((await answer.json()).greeting, 'Moin from an egg');
  const patched = await fetch(`${berth.url}/api/v1/instances/${id}/files/content?path=greet.properties`, { headers: { 'x-api-key': berth.key } });
  assert.match(await patched.text(), /^greeting\s*=\s*Moin from an egg$/m);

  await page.getByRole('link', { name: 'Startup' }).click();
  const greeting = page.getByRole('textbox', { name: 'Greeting' });
  await greeting.fill('far more than twenty characters');
  await page.getByText('At most 20 characters', { exact: true }).waitFor();
  await page.getByText('its container is made anew and it restarts').waitFor();
  await greeting.fill('Ahoy');
  await page.getByRole('button', { name: 'Save' }).last().scrollIntoViewIfNeeded();
  await page.locator('form').filter({ has: greeting }).getByRole('button', { name: 'Save' }).click();
  await until('the service to say the new words', async () => (await (await fetch(`http://${ip === '0.0.0.0' ? berth.node.address : ip}:${host}/status`)).json()).greeting === 'Ahoy');
});

journey('a private registry refuses a node, and lets it in once its login is added', async (visitor, { berth, arrive }) => {
  const registry = await Registry.start();
  let reference = '';
  try {
    reference = await registry.take('berth/demo:1', unique('team/demo'));
    const name = unique('Private');
    const image = await berth.call('post', '/api/v1/images', { name, references: [reference], stop_command: 'stop', ready_line: 'ready on port' });
    const page = await visitor.admin(`/instances/new?image=${image.id}`);
    await page.getByRole('textbox', { name: 'Name', exact: true }).fill(unique('private'));
    await page.getByRole('button', { name: /^Remove port/ }).click();
    await page.getByRole('button', { name: 'Deploy', exact: true }).click();
    const again = page.getByRole('button', { name: 'Do it again' });
    await again.waitFor();
    await page.getByText(registry.host).first().waitFor(); // what is wrong names the registry

    const admin = await arrive();
    const there = await admin.admin('/registries');
    await there.getByRole('button', { name: 'Add a login' }).click();
    const dialog = there.getByRole('dialog', { name: 'Add a login' });
    await dialog.getByRole('textbox', { name: 'Host' }).fill(registry.host);
    await dialog.getByRole('textbox', { name: 'User name' }).fill(registry.username);
    await dialog.getByLabel('Password or access token').fill('not this one');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await there.getByRole('button', { name: `Check the login at ${registry.host}` }).click();
    const checked = there.getByRole('dialog', { name: `Check the login at ${registry.host}` });
    await checked.getByText('Refused', { exact: true }).waitFor();
    await there.keyboard.press('Escape');
    await checked.waitFor({ state: 'hidden' });

    await there.getByRole('button', { name: `Edit the login at ${registry.host}` }).click();
    const edit = there.getByRole('dialog', { name: `Edit the login at ${registry.host}` });
    await edit.getByLabel('Password or access token').fill(registry.password);
    await edit.getByRole('button', { name: 'Save' }).click();
    await edit.waitFor({ state: 'hidden' });
    await there.getByRole('button', { name: `Check the login at ${registry.host}` }).click();
    await checked.getByText('It works', { exact: true }).waitFor();

    await again.click();
    await page.getByRole('navigation', { name: 'Pages of the instance' }).waitFor();
    await printed(page, 'Berth demo, ready on port');
    const id = new URL(page.url()).pathname.split('/')[2];
    // What is being deleted has no figures any more.
    visitor.foresee(/^4(04|09) GET \/api\/v1\/instances\//);
    await page.getByRole('link', { name: 'Images' }).click();
    await page.getByRole('heading', { name: 'Images', level: 1 }).waitFor();
    await berth.remove(id);
  } finally {
    if (reference) await registry.forget(reference);
    await registry.stop();
  }
});
