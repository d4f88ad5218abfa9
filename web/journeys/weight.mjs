// What a browser fetches before the pages that somebody meets first can be used.
import assert from 'node:assert/strict';
import { settled } from './page.mjs';
import { journey } from './stage.mjs';

const most = 200_000;

/** What comes over the line from now on: [address, bytes of the file as it is sent]. */
async function weigh(visitor) {
  const cdp = await visitor.context.newCDPSession(visitor.page);
  await cdp.send('Network.enable');
  await cdp.send('Network.setCacheDisabled', { cacheDisabled: true });
  const under = new Map();
  const came = [];
  cdp.on('Network.responseReceived', ({ requestId, response }) => under.set(requestId, { url: response.url, head: response.encodedDataLength }));
  cdp.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
    const found = under.get(requestId);
    // What the API says depends on what is hosted: it is the page's files that count.
    if (found && !new URL(found.url).pathname.startsWith('/api/')) came.push([new URL(found.url).pathname, encodedDataLength - found.head]);
  });
  return came;
}

function within(what, came) {
  const sum = came.reduce((all, [, bytes]) => all + bytes, 0);
  assert.ok(came.some(([path]) => path.startsWith('/assets/')), `${what}: no file of the panel came`);
  assert.ok(sum <= most, `${what}: ${sum} bytes in ${came.length} answers:\n${came.sort((a, b) => b[1] - a[1]).slice(0, 15).map((each) => each.join(' ')).join('\n')}`);
  return `${what} ${Math.round(sum / 1000)} kB`;
}

journey('what somebody meets first weighs 200 kB at most', async (visitor, { berth, arrive }) => {
  const user = await berth.addUser();
  const { page } = visitor;
  const login = await weigh(visitor);
  await page.goto('/login');
  await page.getByLabel('Name or e-mail').waitFor();
  await page.waitForLoadState('networkidle');
  const said = [within('the login', login)];
  for (const [who, path] of [[user, '/instances'], [{ username: 'admin', password: berth.password }, '/overview'], [{ username: 'admin', password: berth.password }, '/welcome']]) {
    const guest = await arrive();
    await guest.login(who, path);
    await settled(guest.page);
    const came = await weigh(guest);
    await guest.page.goto(path);
    await settled(guest.page);
    await guest.page.waitForLoadState('networkidle');
    said.push(within(path, came));
  }
  console.log(`    ${said.join(', ')}`);
}, { steady: false });
