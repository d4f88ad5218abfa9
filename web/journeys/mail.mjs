// What goes out by mail: an invitation, and a new password for who forgot his.
import { after, before } from 'node:test';
import { Berth } from './berth.mjs';
import { PostOffice } from './post.mjs';
import { journey } from './stage.mjs';
import { unique } from './wait.mjs';

// The others hand their links over themselves.
let mailing;
let post;
before(async () => {
  [mailing, post] = await Promise.all([Berth.start(), PostOffice.open()]);
});
after(async () => {
  await mailing?.stop();
  await post?.close();
});

async function choose(page, password) {
  await page.getByLabel('New password').fill(password);
  await page.getByLabel('The same once more').fill(password);
  await page.getByRole('button', { name: 'Set the password' }).click();
  await page.getByRole('heading', { name: 'Instances', level: 1 }).waitFor();
}

journey(
  'an invitation and a forgotten password come by mail',
  async (visitor, { arrive }) => {
    const username = unique('mailed');
    const email = `${username}@example.com`;
    const page = await visitor.admin('/settings?tab=mail');
    await page.getByRole('textbox', { name: 'Mail server' }).fill('127.0.0.1');
    await page.getByRole('textbox', { name: 'Port' }).fill(String(post.port));
    await page.getByRole('combobox', { name: 'Encryption' }).or(page.getByRole('textbox', { name: 'Encryption' })).first().click();
    await page.getByRole('option', { name: /^None/ }).click();
    await page.getByRole('textbox', { name: 'Sender' }).fill('berth@example.com');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Saved', { exact: true }).waitFor();

    await page.goto('/users/new');
    await page.getByRole('textbox', { name: 'Name', exact: true }).fill(username);
    await page.getByRole('textbox', { name: 'E-mail address' }).fill(email);
    await page.getByRole('button', { name: 'Make and invite' }).click();
    await page.getByText(`A mail is on its way to ${email}.`).waitFor();

    const guest = await arrive();
    await guest.page.goto(await post.link(email));
    await guest.page.getByRole('heading', { name: `Welcome, ${username}` }).waitFor();
    await choose(guest.page, 'a password of the guest');

    const later = await arrive();
    await later.page.goto('/login');
    await later.page.getByRole('link', { name: 'Forgot your password?' }).click();
    await later.page.getByLabel('E-mail address').fill(email);
    await later.page.getByRole('button', { name: 'Send the link' }).click();
    await later.page.getByRole('heading', { name: 'Look into your mail' }).waitFor();
    await later.page.goto(await post.link(email));
    await later.page.getByRole('heading', { name: `A new password for ${username}` }).waitFor();
    // Who was logged in by the old one is out.
    guest.foresee(/^401 /);
    await choose(later.page, 'another password of the guest');
    await guest.page.getByLabel('Name or e-mail').waitFor();
  },
  { berth: () => mailing },
);
