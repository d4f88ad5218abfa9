// What make screenshots takes pictures of: a small hoster's day, with what went
// well and what did not.
import { egg } from './egg.mjs';
import { drop } from './page.mjs';
import { unique, until } from './wait.mjs';

/** A page as somebody sees it, after act on it; both: on a phone in the dark, too. */
const shot = (name, path, { who = 'admin', act, both = false } = {}) => ({ name, path, who, act, both });

async function people(berth) {
  const [anna, ben] = [await berth.addUser({ username: 'anna' }), await berth.addUser({ username: 'ben' })];
  const role = await berth.call('post', '/api/v1/roles', { name: 'Support', description: 'Helps customers', permissions: ['users.read', 'nodes.read', 'instances.read', 'activity.read'] });
  return { anna, ben, role };
}

async function catalogue(berth) {
  const egged = await berth.call('post', '/api/v1/images/import', { files: [{ name: 'egg-greeter.json', text: JSON.stringify(egg('Greeter')) }] });
  const greeter = egged.files[0].image_id;
  await berth.call('post', `/api/v1/images/${greeter}/presets`, { name: 'Small', memory: 512, cpu: 0.5, disk: 2048, ports: [{ container: 8080 }], variables: { GREETING: 'Moin' } });
  await berth.call('post', '/api/v1/registries', { host: '127.0.0.1:1', username: 'harbour', password: unique('password') });
  const absent = await berth.call('post', '/api/v1/images', { name: 'Absent', references: ['127.0.0.1:1/absent:1'] });
  return { greeter, absent };
}

/** Instances in every state that lasts. */
async function instances(berth, { anna, ben }, { greeter, absent }, away) {
  const body = (name, more) => ({ name, owner_id: anna.id, memory: 64, cpu: 0.2, disk: 1024, ...more });
  const web = await berth.addInstance(anna, { name: 'web' });
  await berth.addInstance(anna, { name: 'staging', start: false });
  const late = await berth.addInstance(anna, { name: 'late-payer' });
  await berth.call('post', `/api/v1/instances/${late.id}/suspend`, { reason: 'The invoice of May is still open.' });
  const shared = await berth.addInstance(anna, { name: 'shared-with-ben' });
  await berth.call('post', `/api/v1/instances/${shared.id}/subusers`, { username: ben.username, rights: ['instance.see', 'console.read', 'files.read'] });
  const greeting = (await berth.call('post', '/api/v1/instances', body('greeter', { image_id: greeter }))).instance;
  await berth.reaches(greeting.id, 'running');
  const failed = (await berth.call('post', '/api/v1/instances', body('absent', { image_id: absent.id }))).instance;
  await berth.reaches(failed.id, 'failed');
  const lost = await berth.addInstance(anna, { name: 'lost', node_id: away.id });
  await away.agent.kill();
  await berth.call('delete', `/api/v1/instances/${lost.id}?forget=true`);
  const back = berth.restart(away.agent);
  await until('the stray to be found', async () => (await berth.call('get', `/api/v1/nodes/${away.id}/strays`)).length > 0);
  return { web, late, shared, greeting, failed, back };
}

async function files(berth, web) {
  const put = (path, text) => fetch(`${berth.url}/api/v1/instances/${web.id}/files/content?path=${path}`, { method: 'PUT', headers: { 'x-api-key': berth.key, 'content-type': 'application/octet-stream' }, body: text });
  for (const path of ['world/region', 'world/playerdata', 'logs']) await berth.call('post', `/api/v1/instances/${web.id}/files/folder`, { path });
  await put('server.properties', 'motd=Hello\nmax-players=20\n');
  await put('notes.md', '# Notes\n\nWhat to do next.\n');
  await berth.call('post', `/api/v1/instances/${web.id}/command`, { command: 'ahoy' });
}

async function importing(page) {
  const text = (name, more) => JSON.stringify({ ...egg(name), ...more });
  await drop(page, page.getByRole('group', { name: 'Drop files or a folder here' }), [['egg-greeter.json', text('Greeter')], ['egg-caller.json', text('Caller')], ['egg-broken.json', text('Broken', { docker_images: {} })], ['package.json', '{"name": "x", "version": "1.0.0"}']]);
  await page.getByRole('list', { name: 'Report' }).getByRole('listitem').filter({ hasText: 'Refused' }).waitFor();
}

async function wrongValues(page) {
  await page.getByRole('textbox', { name: 'Level' }).fill('9');
  await page.getByRole('textbox', { name: 'Greeting' }).fill('far more than twenty characters');
  await page.getByText('At most 20 characters', { exact: true }).waitFor();
}

async function failing(page) {
  await page.getByRole('button', { name: /^Remove port/ }).click();
  await page.getByRole('button', { name: 'Deploy', exact: true }).click();
  await page.getByRole('button', { name: 'Do it again' }).waitFor();
}

const pressing = (name, until) => async (page) => {
  await page.getByRole('button', { name, exact: true }).first().click();
  await until(page);
};
const dialog = (page) => page.getByRole('dialog').waitFor();

/** A hoster with a machine that is away, and what there is to see at his. */
export async function hoster(berth) {
  const node = await berth.addNode('fra-1');
  const away = await berth.addNode('ams-2');
  const who = await people(berth);
  const images = await catalogue(berth);
  const them = await instances(berth, who, images, away);
  await files(berth, them.web);
  const [job] = await berth.call('get', `/api/v1/jobs?instance_id=${them.failed.id}&limit=1`);
  const { anna, ben, role } = who;
  const at = (instance, slug = '') => `/instances/${instance.id}${slug && `/${slug}`}`;
  const image = (tab) => `/images/${images.greeter}?tab=${tab}`;
  const shots = [
    shot('overview', '/overview', { both: true }), shot('welcome', '/welcome'),
    shot('instances', '/instances', { both: true }), shot('instances-none', '/instances?search=nothing+like+it'),
    shot('deploy', '/instances/new'), shot('deploy-filled', `/instances/new?image=${images.greeter}`, { act: wrongValues }), shot('deploy-failed', `/instances/new?image=${images.absent.id}`, { act: failing }),
    shot('instance', at(them.web), { both: true }), shot('files', at(them.web, 'files'), { both: true }), shot('editor', `${at(them.web, 'files')}?file=notes.md`), shot('stats', at(them.web, 'stats')), shot('startup', at(them.web, 'startup')), shot('network', at(them.web, 'network')),
    shot('subusers', at(them.shared, 'subusers')), shot('subusers-none', at(them.web, 'subusers')), shot('subuser-add', at(them.web, 'subusers'), { act: pressing('Add somebody', dialog) }), shot('instance-activity', at(them.web, 'activity')), shot('instance-settings', at(them.web, 'settings')),
    shot('startup-wrong', at(them.greeting, 'startup'), { act: wrongValues }), shot('instance-failed', at(them.failed)), shot('instance-suspended', at(them.late), { who: 'anna' }), shot('instance-shared', at(them.shared), { who: 'ben' }),
    shot('nodes', '/nodes'), shot('node', `/nodes/${node.id}`), shot('node-ports', `/nodes/${node.id}?tab=ports`), shot('node-settings', `/nodes/${node.id}?tab=settings`), shot('node-strays', `/nodes/${away.id}?tab=strays`), shot('node-new', '/nodes/new'),
    shot('images', '/images', { both: true }), shot('images-import', '/images/import'), shot('images-report', '/images/import', { act: importing }), shot('image-new', '/images/new'),
    ...['general', 'start', 'variables', 'files', 'install', 'presets'].map((tab) => shot(`image-${tab}`, image(tab))), shot('preset-edit', image('presets'), { act: pressing('Edit Small', dialog) }),
    shot('registries', '/registries'), shot('registry-add', '/registries', { act: pressing('Add a login', dialog) }),
    shot('users', '/users'), shot('user', `/users/${anna.id}`), shot('user-new', '/users/new'), shot('roles', '/roles'), shot('role', `/roles/${role.id}`),
    shot('jobs', '/jobs'), shot('job-failed', `/jobs/${job.id}`), shot('activity', '/activity'), shot('activity-filtered', '/activity?search=suspend'), shot('settings', '/settings'), shot('settings-mail', '/settings?tab=mail'), shot('settings-oidc', '/settings?tab=oidc'),
    shot('account', '/account', { both: true }), shot('account-security', '/account/security'), shot('account-sessions', '/account/sessions'), shot('account-keys', '/account/keys'), shot('account-ssh', '/account/ssh-keys'),
    shot('not-found', '/nowhere'), shot('customer', '/instances', { who: 'anna', both: true }), shot('customer-shared', '/instances', { who: 'ben' }), shot('docs', '/docs'),
  ];
  return { shots, users: { anna, ben, admin: { username: 'admin', password: berth.password } } };
}

/** What stands where nothing is yet. */
export const empty = ['/instances', '/nodes', '/registries', '/roles', '/jobs', '/account/keys'].map((path) => shot(`empty${path.replaceAll('/', '-')}`, path, { who: path.startsWith('/account') ? 'newcomer' : 'admin' }));
