// Logging in, by all its ways, and being let in.
import assert from 'node:assert/strict';
import { journey } from './stage.mjs';
import { Authenticator } from './totp.mjs';
import { unique } from './wait.mjs';

async function prove(page, password) {
  const asked = page.getByRole('dialog', { name: 'Prove that it is you' });
  await asked.getByLabel('Password', { exact: true }).fill(password);
  await asked.getByRole('button', { name: 'Continue' }).click();
  await asked.waitFor({ state: 'hidden' });
}

journey('who is wrong about the password is told so, and gets in with the right one', async (visitor, { berth }) => {
  visitor.foresee(/^401 POST \/api\/v1\/login$/);
  const user = await berth.addUser();
  const { page } = visitor;
  await page.goto('/');
  await page.getByLabel('Name or e-mail').fill(user.username);
  await page.getByLabel('Password', { exact: true }).fill('not this one');
  await page.getByRole('button', { name: 'Log in', exact: true }).click();
  await page.getByRole('alert').waitFor();
  await page.getByLabel('Password', { exact: true }).fill(user.password);
  await page.getByRole('button', { name: 'Log in', exact: true }).click();
  await page.getByRole('heading', { name: 'Instances', level: 1 }).waitFor();
  await page.getByText('No instances yet').waitFor();
});

journey('an authenticator app is set up, and asked for; a recovery code works once', async (visitor, { berth, arrive }) => {
  visitor.foresee(/^403 POST \/api\/v1\/me\/totp\/begin$/);
  const user = await berth.addUser();
  const page = await visitor.login(user, '/account/security');
  const section = page.getByRole('region', { name: 'Authenticator app' });
  await section.getByRole('button', { name: 'Set up' }).click();
  const dialog = page.getByRole('dialog', { name: 'Authenticator app' });
  const asked = page.getByRole('dialog', { name: 'Prove that it is you' });
  await dialog.or(asked).first().waitFor();
  if (await asked.isVisible()) await prove(page, user.password);
  const secret = await dialog.getByRole('group', { name: 'To be typed' }).locator('code').textContent();
  const app = new Authenticator(secret);
  await dialog.getByLabel('The code that the app shows now').fill(app.next());
  await dialog.getByRole('button', { name: 'Turn it on' }).click();
  const codes = page.getByRole('dialog', { name: 'Your recovery codes' });
  await codes.waitFor();
  const recovery = (await codes.innerText()).match(/\b[a-z0-9]{4,}(?:-[a-z0-9]{4,})+\b/i)?.[0];
  assert.ok(recovery, `no recovery code in: ${await codes.innerText()}`);
  await codes.getByRole('button', { name: 'I have kept them' }).click();
  await section.getByText('In use').waitFor();

  for (const [how, works] of [['app', true], ['recovery', true], ['recovery', false]]) {
    const again = await arrive();
    again.foresee(/^401 POST \/api\/v1\/login$/);
    const door = again.page;
    await door.goto('/login');
    await door.getByLabel('Name or e-mail').fill(user.username);
    await door.getByLabel('Password', { exact: true }).fill(user.password);
    await door.getByRole('button', { name: 'Log in', exact: true }).click();
    await door.getByRole('heading', { name: 'One more step' }).waitFor();
    if (how === 'app') await door.getByLabel('Code', { exact: true }).fill(app.next());
    else {
      await door.getByRole('button', { name: 'Use a recovery code instead' }).click();
      await door.getByLabel('Recovery code').fill(recovery);
    }
    await door.getByRole('button', { name: 'Continue' }).click();
    if (works) await door.getByRole('heading', { name: 'Instances', level: 1 }).waitFor();
    else await door.getByRole('alert').waitFor();
  }
});

journey('a passkey is added, and logs in without a password', async (visitor, { berth }) => {
  visitor.foresee(/^403 POST \/api\/v1\/me\/passkeys\/begin$/);
  const cdp = await visitor.context.newCDPSession(visitor.page);
  await cdp.send('WebAuthn.enable');
  await cdp.send('WebAuthn.addVirtualAuthenticator', {
    options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
  });
  const user = await berth.addUser();
  const page = await visitor.login(user, '/account/security');
  await page.getByRole('button', { name: 'Add a passkey' }).click();
  const dialog = page.getByRole('dialog', { name: 'Add a passkey' });
  await dialog.getByLabel('Name', { exact: true }).fill('my key');
  await dialog.getByRole('button', { name: 'Continue' }).click();
  const asked = page.getByRole('dialog', { name: 'Prove that it is you' });
  const codes = page.getByRole('dialog', { name: 'Your recovery codes' });
  await asked.or(codes).first().waitFor();
  if (await asked.isVisible()) await prove(page, user.password);
  await codes.getByRole('button', { name: 'I have kept them' }).click();
  await page.getByRole('table', { name: 'Passkeys' }).getByText('my key').waitFor();
  await page.getByRole('button', { name: user.username }).click();
  await page.getByRole('menuitem', { name: 'Log out' }).click();
  await page.getByRole('button', { name: 'Log in with a passkey' }).click();
  await page.getByRole('heading', { level: 1 }).filter({ hasNotText: 'Log in' }).waitFor();
  await page.getByRole('button', { name: user.username }).waitFor();
});

journey('an admin invites somebody by a link, who chooses a password and is in', async (visitor, { arrive }) => {
  const username = unique('guest');
  const page = await visitor.admin('/users/new');
  await page.getByRole('textbox', { name: 'Name', exact: true }).fill(username);
  await page.getByRole('textbox', { name: 'E-mail address' }).fill(`${username}@example.com`);
  await page.getByRole('button', { name: 'Make and invite' }).click();
  const link = await page.getByRole('group', { name: 'One-time link' }).locator('code').textContent();

  const guest = await arrive();
  await guest.page.goto(link);
  await guest.page.getByRole('heading', { name: `Welcome, ${username}` }).waitFor();
  await guest.page.getByLabel('New password').fill('a password of the guest');
  await guest.page.getByLabel('The same once more').fill('a password of the guest');
  await guest.page.getByRole('button', { name: 'Set the password' }).click();
  await guest.page.getByRole('heading', { name: 'Instances', level: 1 }).waitFor();

  const late = await arrive();
  late.foresee(/^40[0-9] POST \/api\/v1\/links\/look$/);
  await late.page.goto(link);
  await late.page.getByRole('heading', { name: 'This link no longer works' }).waitFor();
});

journey('a session that is ended elsewhere ends', async (visitor, { berth, arrive }) => {
  const user = await berth.addUser();
  await visitor.login(user, '/account/sessions');
  const other = await arrive();
  other.foresee(/^401 /);
  await other.login(user);
  const rows = visitor.page.getByRole('table', { name: 'Sessions' }).getByRole('row');
  await visitor.page.reload();
  const end = rows.getByRole('button', { name: 'End', exact: true });
  await end.click();
  await other.page.getByLabel('Name or e-mail').waitFor();
  await end.waitFor({ state: 'detached' });
  await visitor.page.getByText('This one').waitFor();
});

journey('a role with nodes.read sees the nodes, and nothing else of an admin’s', async (visitor, { berth }) => {
  const role = await berth.call('post', '/api/v1/roles', { name: unique('watcher'), permissions: ['nodes.read'] });
  const user = await berth.addUser({ role_id: role.id });
  const page = await visitor.login(user, '/nodes');
  await page.getByRole('link', { name: berth.node.name }).first().waitFor();
  const links = await page.getByRole('navigation', { name: 'Pages' }).getByRole('link').allTextContents();
  assert.deepEqual(links, ['Overview', 'Instances', 'Nodes', 'Account']);
  assert.equal(await page.getByRole('link', { name: 'Add a node' }).count(), 0);
  await page.goto('/users');
  await page.getByText('There is no such page').waitFor();
});
