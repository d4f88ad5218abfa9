// What people and programs can write, written to do harm: it is text on every page.
import assert from 'node:assert/strict';
import { Berth } from './berth.mjs';
import { egg } from './egg.mjs';
import { settled, turnTo } from './page.mjs';
import { journey } from './stage.mjs';

const evil = `"><img src=x onerror="document.title='broken'"><script>document.title='broken'</script>{{7*7}}`;

/** Writes it wherever it is taken; some fields refuse it, which is as good. */
async function writeEverywhere(berth, user) {
  const refused = [];
  const taken = [];
  const write = async (method, path, body, ...fields) => {
    let made;
    for (const field of fields) {
      const held = { ...body, [field]: Array.isArray(body[field]) ? [evil] : evil };
      const answer = await berth.call(method, path, held).catch((error) => (/: 422 /.test(error.message) ? undefined : Promise.reject(error)));
      (answer ? taken : refused).push(`${path} ${field}`);
      if (answer) [body, made] = [{ ...held, name: held.name && `${held.name.slice(0, 30)}${taken.length}` }, answer];
    }
    return made ?? berth.call(method, path, body);
  };
  const text = egg(evil.slice(0, 60));
  for (const each of text.variables) Object.assign(each, { name: evil.slice(0, 60), description: evil });
  const { files: [{ image_id }] } = await berth.call('post', '/api/v1/images/import', { files: [{ name: `${evil.slice(0, 40)}.json`, text: JSON.stringify({ ...text, author: evil, description: evil, docker_images: { [evil.slice(0, 60)]: 'berth/demo:1' } }) }] });
  const role = await write('post', '/api/v1/roles', { name: 'role', description: '', permissions: ['nodes.read'] }, 'description', 'name');
  const image = await write('post', '/api/v1/images', { name: 'image', references: ['berth/demo:1'], description: '', author_name: '', tags: [] }, 'description', 'author_name', 'release', 'command_line', 'tags', 'name');
  await write('post', `/api/v1/images/${image_id}/presets`, { name: 'preset', memory: 64 }, 'name');
  await write('post', '/api/v1/registries', { host: '127.0.0.1:1', username: 'u', password: 'p' }, 'host', 'username');
  await write('patch', `/api/v1/nodes/${berth.node.id}`, { name: berth.node.name, tags: [], processor: '' }, 'name', 'tags', 'processor', 'public_host');
  await write('post', '/api/v1/keys', { name: 'key', scopes: ['read'], user_id: user.id }, 'name');
  await write('patch', '/api/v1/settings/oidc', { button: '', client_id: '' }, 'button', 'client_id', 'issuer');
  await write('patch', '/api/v1/settings/mail', { from: '' }, 'from', 'host', 'username');
  await write('post', '/api/v1/users', { username: 'other', email: 'other@example.com' }, 'username', 'email');
  const instance = await berth.addInstance(user);
  await write('patch', `/api/v1/instances/${instance.id}`, { name: 'x' }, 'name', 'startup');
  await berth.call('post', `/api/v1/instances/${instance.id}/command`, { command: evil });
  await berth.call('post', `/api/v1/instances/${instance.id}/files/folder`, { path: evil.replaceAll('/', '|') });
  const held = await berth.addInstance(user, { start: false });
  await berth.call('post', `/api/v1/instances/${held.id}/suspend`, { reason: evil });
  // Last: it is on every page from here on. Of its address there is nothing that runs.
  await write('patch', '/api/v1/settings/panel', {}, 'name', 'support_url');
  await assert.rejects(berth.call('patch', '/api/v1/settings/panel', { support_url: 'javascript:document.title=1' }), / 422 /);
  assert.ok(taken.length >= 12, `taken: ${taken}; refused: ${refused}`);
  return { role, image: image.id, egg: image_id, instance, held };
}

journey('nothing that can be written anywhere becomes a part of a page', async (visitor, { berth, arrive }) => {
  await berth.addNode();
  const user = await berth.addUser();
  const { role, image, egg: imported, instance, held } = await writeEverywhere(berth, user);
  const paths = (tabs, at) => tabs.map((tab) => `${at}${tab}`);
  const own = (id) => paths(['', '/files', '/stats', '/startup', '/network', '/subusers', '/activity', '/settings'], `/instances/${id}`);
  const account = paths(['', '/security', '/sessions', '/keys', '/ssh-keys'], '/account');
  const images = [image, imported].flatMap((id) => paths(['', '?tab=start', '?tab=variables', '?tab=files', '?tab=install', '?tab=presets'], `/images/${id}`));
  const settings = paths(['', '?tab=mail', '?tab=oidc'], '/settings');
  const look = async ({ page }, all) => {
    for (const path of all) {
      await turnTo(page, path);
      const made = await page.evaluate(() => ({ title: document.title, elements: document.querySelectorAll('img[src="x"], img[onerror], body script').length }));
      assert.doesNotMatch(made.title, /^broken$/, path);
      assert.equal(made.elements, 0, path);
    }
  };
  await visitor.admin('/overview');
  await look(visitor, ['/overview', '/instances', '/instances/new', `/instances/new?image=${imported}`, ...own(instance.id), '/nodes', `/nodes/${berth.node.id}`, '/images', '/images/import', ...images, '/registries', '/users', `/users/${user.id}`, '/roles', `/roles/${role.id}`, '/jobs', '/activity', ...settings, ...account]);
  // The browser says who it is, and that is written down too; so is a name that nobody has.
  const guest = await arrive({ userAgent: evil });
  guest.foresee(/^401 POST \/api\/v1\/login$/);
  await guest.page.goto('/login');
  await guest.page.getByLabel('Name or e-mail').fill(evil);
  await guest.page.getByLabel('Password', { exact: true }).fill('not this one');
  await guest.page.getByRole('button', { name: 'Log in', exact: true }).click();
  await guest.page.getByRole('alert').waitFor();
  await guest.login(user, '/account/sessions');
  await settled(guest.page);
  guest.foresee(/^40[39] /, /WebSocket connection to .* 40[39]$/);
  await look(guest, ['/account/sessions', '/account/keys', '/instances', ...own(instance.id), `/instances/${held.id}`]);
  await look(visitor, ['/activity', `/instances/${held.id}`]);
}, { own: () => Berth.start() });
