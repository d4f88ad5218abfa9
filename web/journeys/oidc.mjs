// Another login: one's account at a provider opens the one here, once it is linked.
import { Berth } from './berth.mjs';
import { Provider } from './provider.mjs';
import { journey } from './stage.mjs';
import { unique, until } from './wait.mjs';

/** Resolves once the page is at an origin; false when it lost its way there. */
async function comesTo(page, origin) {
  await page.waitForURL((url) => url.href.startsWith(`${origin}/`) || url.protocol === 'chrome-error:', { waitUntil: 'commit' });
  return page.url().startsWith(origin);
}

/**
 * From here to the provider, and back. Redirects are the browser's own calls, which
 * break off when a container changes the machine's interfaces: then it goes once more.
 */
async function byHarbour({ page, berth }, provider, begin, decide) {
  await until('the way to the provider and back', async () => {
    await begin();
    if (!(await comesTo(page, provider.origin))) return false;
    await decide();
    return comesTo(page, berth.url);
  });
}

/** Says at the provider who one is. */
async function enterAs(page, { username, password }) {
  await page.getByLabel('Name there').fill(username);
  await page.getByLabel('Password there').fill(password);
  await page.getByRole('button', { name: 'Enter' }).click();
}

journey('an account is linked with another login, opened by it, and unlinked; a stranger stays out', async (visitor, stage) => {
  const provider = await Provider.start();
  try {
    await link(visitor, stage, provider);
  } finally {
    await provider.stop();
  }
}, { own: () => Berth.start() });

async function link(visitor, { berth, arrive }, provider) {
  const come = async () => {
    const guest = await arrive();
    guest.foresee(new RegExp(`^elsewhere: ${provider.origin}/`), /^net::ERR_NETWORK_CHANGED /);
    const toLogin = async () => {
      await guest.page.goto('/login');
      await guest.page.getByRole('link', { name: 'Log in with Harbour' }).click();
    };
    return { guest, page: guest.page, knock: (person) => byHarbour(guest, provider, toLogin, () => enterAs(guest.page, person)) };
  };
  const { redirect_uri } = await berth.call('get', '/api/v1/settings/oidc');
  const client = await provider.client(redirect_uri);
  const admin = await visitor.admin('/settings?tab=oidc');
  await admin.getByRole('textbox', { name: 'Issuer' }).fill(provider.issuer);
  await admin.getByRole('textbox', { name: 'Client id' }).fill(client.client_id);
  await admin.getByLabel('Client secret', { exact: true }).fill(client.client_secret);
  await admin.getByRole('textbox', { name: 'On the button' }).fill('Harbour');
  await admin.getByRole('button', { name: 'Save' }).click();
  await admin.getByText('Saved', { exact: true }).waitFor();
  await admin.getByRole('button', { name: 'Test the provider' }).click();
  await admin.getByText('The provider answers').waitFor();

  const user = await berth.addUser();
  const sailor = await provider.person(unique('sailor'));
  const own = await come();
  await own.guest.login(user, '/account/security');
  const section = own.page.getByRole('region', { name: 'Other login' });
  const toLink = async () => {
    await own.page.goto('/account/security');
    await section.getByRole('button', { name: 'Link it' }).click();
  };
  await byHarbour(own.guest, provider, toLink, () => own.page.getByRole('button', { name: 'Turn back' }).click());
  await section.getByText('The other login was cancelled').waitFor();
  await byHarbour(own.guest, provider, toLink, () => enterAs(own.page, sailor));
  await own.page.getByText('The other login is linked').waitFor();
  const row = own.page.getByRole('table', { name: 'Other login' }).getByRole('row').filter({ hasText: sailor.email });
  await row.waitFor();

  const later = await come();
  await later.knock(sailor);
  await later.page.getByRole('heading', { name: 'Instances', level: 1 }).waitFor();
  await later.page.getByRole('button', { name: user.username }).waitFor();

  // Nobody here is whom the provider means.
  const stranger = await come();
  await stranger.knock(await provider.person(unique('stranger')));
  await stranger.page.getByText('No account here belongs to that login.').waitFor();

  await row.getByRole('button', { name: 'Unlink' }).click();
  await own.page.getByRole('dialog', { name: `Unlink ${sailor.email}?` }).getByRole('button', { name: 'Unlink' }).click();
  await row.waitFor({ state: 'detached' });
  const again = await come();
  await again.knock(sailor);
  await again.page.getByText('No account here belongs to that login.').waitFor();
}
