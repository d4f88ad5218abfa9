// From an empty install to a first instance, and a machine that becomes a node.
import { after, before } from 'node:test';
import { Berth } from './berth.mjs';
import { keyOf, printed, shownLine } from './page.mjs';
import { journey } from './stage.mjs';
import { loopback, unique } from './wait.mjs';

let empty;
before(async () => {
  empty = await Berth.start();
});
after(() => empty?.stop());

journey(
  'the first visit leads from an empty install to a running instance',
  async (visitor, { berth }) => {
    const page = await visitor.admin('/welcome');
    const address = loopback();
    await page.getByRole('textbox', { name: 'Address' }).fill(address);
    await page.getByRole('button', { name: 'Continue' }).click();
    await berth.join(keyOf(await shownLine(page)), address);
    await page.getByRole('radio', { name: /^Demo/ }).click();
    await page.getByRole('button', { name: /^Remove port/ }).click();
    await page.getByRole('button', { name: 'Deploy', exact: true }).click();
    await page.getByRole('navigation', { name: 'Pages of the instance' }).waitFor();
    await printed(page, 'Berth demo, ready on port');
  },
  { berth: () => empty },
);

journey('a machine joins by the line that the panel shows', async (visitor, { berth }) => {
  const name = unique('joined');
  const address = loopback();
  const page = await visitor.admin('/nodes/new');
  await page.getByRole('textbox', { name: 'Name', exact: true }).fill(name);
  await page.getByRole('textbox', { name: 'Address' }).first().fill(address);
  await page.getByRole('button', { name: 'Make the node' }).click();
  const key = keyOf(await shownLine(page));
  await page.getByText('Waiting for the machine to say hello').waitFor();
  await berth.join(key, address);
  await page.getByText(new RegExp(`^${name} is online`)).waitFor();
});
