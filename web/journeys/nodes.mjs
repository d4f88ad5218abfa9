// What becomes of a node: it goes away and comes back, is emptied, shut out and let
// in again, holds what nobody knows, and gets a newer agent.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Berth, bin } from './berth.mjs';
import { ask, OtherEngine } from './engine.mjs';
import { command, keyOf, printed, shownLine } from './page.mjs';
import { journey } from './stage.mjs';
import { unique, until } from './wait.mjs';

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
  await berth.join(keyOf(line), node.address, { force: true });
  await page.getByText('Its certificate was revoked').waitFor({ state: 'detached' });
  await berth.online(node.id);
});

journey('what a node holds and nobody knows is shown, and adopted or taken away', async (visitor, { berth }) => {
  // What it is asked for while it is away it can't answer.
  visitor.foresee(/^503 GET \/api\/v1\/nodes\//);
  const node = await berth.addNode();
  const [before, after] = [await berth.addUser(), await berth.addUser()];
  const page = await visitor.admin(`/nodes/${node.id}?tab=strays`);
  await page.getByText('No strays').waitFor();
  const [kept, lost] = [await berth.addInstance(before, { node_id: node.id }), await berth.addInstance(before, { node_id: node.id })];
  const containers = await Promise.all([kept, lost].map(async ({ id }) => (await berth.call('get', `/api/v1/instances/${id}`)).container_id));
  await node.agent.kill();
  for (const { id } of [kept, lost]) await berth.call('delete', `/api/v1/instances/${id}?forget=true`);
  berth.restart(node.agent);
  const row = (instance) => page.getByRole('table', { name: 'Strays' }).getByRole('row').filter({ hasText: instance.id });
  await row(kept).getByText('Running').waitFor();
  await row(lost).getByText('Running').waitFor();

  await row(kept).getByRole('button', { name: 'Adopt' }).click();
  const adopt = page.getByRole('dialog', { name: `Adopt ${kept.id}` });
  await adopt.getByRole('combobox', { name: 'Owner' }).or(adopt.getByRole('textbox', { name: 'Owner' })).first().fill(after.username);
  await page.getByRole('option', { name: after.username }).click();
  const name = unique('adopted');
  await adopt.getByRole('textbox', { name: 'Name' }).fill(name);
  await adopt.getByRole('button', { name: 'Adopt' }).click();
  const job = page.getByRole('dialog', { name: 'Job' });
  await job.getByText('Done', { exact: true }).first().waitFor();
  await page.keyboard.press('Escape');
  await row(kept).waitFor({ state: 'detached' });

  await row(lost).getByRole('button', { name: 'Remove' }).click();
  const remove = page.getByRole('dialog', { name: `Remove ${lost.id} and its data?` });
  await remove.getByRole('textbox').fill(lost.id);
  await remove.getByRole('button', { name: 'Remove' }).click();
  await job.getByText('Done', { exact: true }).first().waitFor();
  await page.keyboard.press('Escape');
  await page.getByText('No strays').waitFor();
  await assert.rejects(ask('GET', `/containers/${containers[1]}/json`), / 404 /);
  const adopted = await berth.call('get', `/api/v1/instances/${kept.id}`);
  assert.deepEqual([adopted.name, adopted.owner_id, adopted.status, adopted.container_id], [name, after.id, 'running', containers[0]]);
});

/** Lays the agent out as its installer does, under the name of another release. */
function installOlder(berth) {
  const version = execFileSync(join(bin, 'berth-agent'), ['version']).toString().split(/[ ,]/)[1];
  assert.ok(version.length >= 5, `${version} may be anything in the program`);
  const older = 'older'.padEnd(version.length, 'r').slice(0, version.length);
  const program = Buffer.from(readFileSync(join(bin, 'berth-agent'), 'latin1').replaceAll(version, older), 'latin1');
  const releases = join(berth.dir, unique('releases'));
  const home = join('releases', createHash('sha256').update(program).digest('hex'));
  mkdirSync(join(releases, home), { recursive: true });
  writeFileSync(join(releases, home, 'berth-agent'), program, { mode: 0o755 });
  symlinkSync(home, join(releases, 'current'));
  return { version, older, releases };
}

journey('a node with an older agent is told, and updated while its instance runs on', async (visitor, { berth }) => {
  // What it is asked for while its program changes it can't answer.
  visitor.foresee(/^503 GET \/api\/v1\/nodes\//);
  const { version, older, releases } = installOlder(berth);
  const node = await berth.addNode(undefined, { releases });
  const instance = await berth.addInstance(await berth.addUser(), { node_id: node.id });
  const { container_id, started_at } = await berth.call('get', `/api/v1/instances/${instance.id}`);
  const page = await visitor.admin('/nodes');
  const row = page.getByRole('row').filter({ hasText: node.name });
  await row.getByText(older).waitFor();
  await row.getByText('outdated').waitFor();
  await row.getByRole('link', { name: node.name }).click();
  await page.getByRole('button', { name: 'Actions', exact: true }).click();
  await page.getByRole('menuitem', { name: 'Update the agent' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Update the agent' }).click();
  await page.getByRole('dialog', { name: 'Job' }).getByText('Done', { exact: true }).first().waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Nodes' }).click();
  await row.getByText(version, { exact: true }).waitFor();
  assert.equal(await row.getByText('outdated').count(), 0);
  await until('the node to be online', async () => (await berth.call('get', `/api/v1/nodes/${node.id}`)).state === 'online');
  const now = await berth.call('get', `/api/v1/instances/${instance.id}`);
  assert.deepEqual([now.status, now.container_id, now.started_at], ['running', container_id, started_at]);
});

journey('a node is drained: its instances go to another with all they have, while their owner looks on', async (visitor, { berth, arrive }) => {
  // What is on its way can't be asked for figures.
  visitor.foresee(/^(503|409|423) GET \/api\/v1\//);
  const from = await berth.addNode();
  const owner = await berth.addUser();
  const [runs, rests] = [await berth.addInstance(owner, { node_id: from.id }), await berth.addInstance(owner, { node_id: from.id, start: false })];
  const kept = `${berth.url}/api/v1/instances/${rests.id}/files/content?path=kept`;
  const put = await fetch(kept, { method: 'PUT', headers: { 'x-api-key': berth.key, 'content-type': 'application/octet-stream' }, body: 'as it was' });
  assert.equal(put.ok, true, String(put.status));
  const guest = await arrive();
  guest.foresee(/^(503|409|423) GET \/api\/v1\//, /WebSocket connection to .* (503|409)$/);
  const seen = await guest.login(owner, `/instances/${runs.id}`);
  await command(seen, 'before');
  await printed(seen, 'You said: before');

  // One engine can't hold an instance twice.
  const other = await OtherEngine.start();
  berth.atEnd(() => other.stop());
  const to = await berth.addNode(undefined, { host: other.address });
  const page = await visitor.admin(`/nodes/${from.id}`);
  await page.getByRole('button', { name: 'Actions', exact: true }).click();
  await page.getByRole('menuitem', { name: 'Drain' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Drain' }).click();
  await page.getByRole('dialog', { name: 'Job' }).getByText('Done', { exact: true }).first().waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('tab', { name: 'Instances' }).click();
  await page.getByText('No instances here yet').waitFor();
  await page.goto(`/nodes/${to.id}`);
  await page.getByRole('tab', { name: 'Instances' }).click();
  for (const { name } of [runs, rests]) await page.getByRole('link', { name }).waitFor();

  await berth.reaches(runs.id, 'running');
  await command(seen, 'after');
  await printed(seen, 'You said: after');
  assert.equal(await (await fetch(kept, { headers: { 'x-api-key': berth.key } })).text(), 'as it was');
  await assert.rejects(ask('GET', `/containers/berth-${runs.id}/json`), / 404 /);
}, { own: () => Berth.start() });
