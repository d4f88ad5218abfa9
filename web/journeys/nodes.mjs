// What becomes of a node: it goes away and comes back, is emptied, shut out and let in again.
import assert from 'node:assert/strict';
import { keyOf, shownLine } from './page.mjs';
import { journey } from './stage.mjs';

journey('a node that goes away is told at once, and comes back by itself', async (visitor, { berth }) => {
  const node = await berth.addNode();
  const page = await visitor.admin(`/nodes/${node.id}`);
  await page.getByRole('heading', { name: node.name, level: 1 }).waitFor();
  // What it is asked for meanwhile it can't answer.
  visitor.foresee(/^503 GET \/api\/v1\/nodes\//);
  const away = page.getByText(/^Offline: /);
  assert.equal(await away.count(), 0);
  await node.agent.kill();
  await away.waitFor();
  await page.getByText('It comes back by itself').waitFor();
  const agent = berth.restart(node.agent);
  await away.waitFor({ state: 'detached' });
  await page.getByText('Online', { exact: true }).first().waitFor();
  assert.equal(agent.code, undefined, agent.said());
});

journey('a node is emptied, shut out, and let in again', async (visitor, { berth }) => {
  // What it is asked for while it is shut out it can't answer.
  visitor.foresee(/^503 GET \/api\/v1\/nodes\//);
  // All nodes of the journeys are on one engine, where an instance can't be twice: controller/e2e moves them.
  const node = await berth.addNode();
  const page = await visitor.admin(`/nodes/${node.id}`);
  await page.getByRole('button', { name: 'Actions', exact: true }).click();
  await page.getByRole('menuitem', { name: 'Drain' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Drain' }).click();
  await page.getByRole('dialog', { name: 'Job' }).getByText('Done', { exact: true }).first().waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'End maintenance' }).waitFor();

  await page.getByRole('button', { name: 'Actions', exact: true }).click();
  await page.getByRole('menuitem', { name: 'Revoke certificate' }).click();
  const asked = page.getByRole('dialog');
  const button = asked.getByRole('button', { name: 'Revoke certificate' });
  assert.equal(await button.isDisabled(), true);
  await asked.getByRole('textbox').fill(node.name);
  await button.click();
  await page.getByText('Its certificate was revoked').waitFor();
  await page.getByRole('button', { name: 'New key' }).click();
  const line = await shownLine(page);
  assert.match(line, / --force /, 'the machine is enrolled already');
  await node.agent.stop();
  await berth.join(keyOf(line), node.address, '--force');
  await page.getByText('Its certificate was revoked').waitFor({ state: 'detached' });
  await berth.online(node.id);
});
