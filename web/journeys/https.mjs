// The panel over HTTPS: a machine joins there, and what is live stays so.
import assert from 'node:assert/strict';
import { Berth } from './berth.mjs';
import { Nginx, OwnDoor } from './doors.mjs';
import { command, keyOf, printed, shownLine } from './page.mjs';
import { journey } from './stage.mjs';
import { loopback, unique } from './wait.mjs';

/** A machine joins by the panel's line, and a customer uses what is hosted there, live. */
async function inhabit(visitor, { berth, arrive }, how) {
  const name = unique('joined');
  const address = loopback();
  const page = await visitor.admin('/nodes/new');
  await page.getByRole('textbox', { name: 'Name', exact: true }).fill(name);
  await page.getByRole('textbox', { name: 'Address' }).first().fill(address);
  await page.getByRole('button', { name: 'Make the node' }).click();
  const line = await shownLine(page);
  assert.ok(line.includes(berth.url), line);
  await page.getByText('Waiting for the machine to say hello').waitFor();
  await berth.join(keyOf(line), address, how);
  await page.getByText(new RegExp(`^${name} is online`)).waitFor();

  const user = await berth.addUser();
  const instance = await berth.addInstance(user);
  const guest = await arrive();
  const there = await guest.login(user, `/instances/${instance.id}`);
  await printed(there, 'Berth demo, ready on port');
  await command(there, 'ahoy');
  await printed(there, 'You said: ahoy');
  const session = (await guest.context.cookies()).find((each) => each.httpOnly);
  assert.equal(session?.secure, true, JSON.stringify(session));
  await berth.call('post', `/api/v1/instances/${instance.id}/stop`);
  await there.getByText('Stopped', { exact: true }).first().waitFor();
  return { page: there, instance };
}

journey(
  'the panel speaks HTTPS by itself: a machine joins, and a console answers',
  async (visitor, stage) => {
    await inhabit(visitor, stage, {});
    const { plain, url } = stage.berth.door;
    const sent = await fetch(`${plain}/nodes?tab=x`, { redirect: 'manual' });
    assert.equal(sent.headers.get('location'), `${url}/nodes?tab=x`);
    assert.ok(sent.status === 301 || sent.status === 308, String(sent.status));
    const front = await visitor.page.request.get('/login');
    assert.match(front.headers()['strict-transport-security'] ?? '', /max-age=/);
  },
  { own: () => Berth.start(new OwnDoor()), ignoreHTTPSErrors: true },
);

journey(
  'the panel is behind nginx as the README says: a machine opens its tunnel there, and a console answers',
  async (visitor, stage) => {
    const { page, instance } = await inhabit(visitor, stage, { tunnel: true });
    // What goes up goes through, too.
    await page.getByRole('link', { name: 'Files', exact: true }).click();
    await page.locator('input[type=file][multiple]:not([webkitdirectory])').first().setInputFiles({ name: 'chart.bin', mimeType: 'application/octet-stream', buffer: Buffer.alloc(5 << 20, 7) });
    await page.getByRole('button', { name: 'chart.bin', exact: true }).waitFor();
    const entry = await stage.berth.call('get', `/api/v1/instances/${instance.id}/files/entry?path=chart.bin`);
    assert.equal(entry.size, 5 << 20);
  },
  { own: () => Berth.start(new Nginx()), ignoreHTTPSErrors: true },
);
