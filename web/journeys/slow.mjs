// What takes its time is watched: the layers of a pull, and what an install says.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ask } from './engine.mjs';
import { printed } from './page.mjs';
import { Registry, ThinLine } from './registry.mjs';
import { journey } from './stage.mjs';
import { unique, until } from './wait.mjs';

/** Makes the engine an image of the demo with this machine's shell, and with layers that nobody has seen before. */
async function build(name) {
  const dir = mkdtempSync(join(tmpdir(), 'berth-image-'));
  try {
    const programs = ['/bin/sh', '/bin/sleep'];
    const libraries = execFileSync('ldd', programs).toString().match(/\/[^\s:]+/g);
    mkdirSync(join(dir, 'shell'));
    execFileSync('cp', ['-L', '--parents', ...new Set([...programs, ...libraries]), join(dir, 'shell')]);
    for (const each of ['bow', 'stern']) writeFileSync(join(dir, each), randomBytes(1 << 20));
    writeFileSync(join(dir, 'Dockerfile'), 'FROM berth/demo:1\nENV PATH=/bin:/\nCOPY shell /\nCOPY bow /\nCOPY stern /\n');
    const context = execFileSync('tar', ['-c', '-C', dir, '.'], { maxBuffer: 64 << 20 });
    const said = await ask('POST', `/build?${new URLSearchParams({ t: name, forcerm: '1' })}`, { 'Content-Type': 'application/x-tar' }, context);
    if (/"error"/.test(said)) throw new Error(`build: ${said.slice(-500)}`);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** It says something, waits for a file in the volume, says something, waits for another. */
const script = `echo "Casting off"
until [ -e /mnt/server/cast-off ]; do sleep 0.2; done
echo "Under way"
until [ -e /mnt/server/arrived ]; do sleep 0.2; done
`;

/** How far the page says that the layers are that still come, in percent. */
async function comes(page) {
  const values = await page.getByRole('list', { name: 'What it is made of' }).getByRole('progressbar').evaluateAll((bars) => bars.map((bar) => Number(bar.getAttribute('aria-valuenow'))));
  return Math.max(0, ...values.filter((each) => each < 100));
}

/** From now on the pages of a visitor note what moves although nobody touched them. */
async function noteShifts(visitor) {
  await visitor.context.addInitScript(() => {
    globalThis.shifts = [];
    new PerformanceObserver((list) => {
      for (const each of list.getEntries()) {
        if (!each.hadRecentInput) globalThis.shifts.push({ value: each.value, of: each.sources.map(({ node, previousRect: from, currentRect: to }) => `${node?.outerHTML?.slice(0, 150)} ${from.y} → ${to.y}`) });
      }
    }).observe({ type: 'layout-shift', buffered: true });
  });
}

/** Nothing has jumped on the page since it was loaded, or shifts was emptied. */
async function calm(page) {
  const shifts = await page.evaluate(() => globalThis.shifts);
  const sum = shifts.reduce((all, each) => all + each.value, 0);
  assert.ok(sum < 0.02, `the page jumps, by ${sum.toFixed(3)}: ${JSON.stringify(shifts, null, 1)}`);
}

journey('a slow pull and a slow install are watched as they go on, over reloads, and nothing jumps', async (visitor, { berth }) => {
  const registry = await Registry.start();
  const line = await ThinLine.to(registry);
  const name = unique('slow');
  const reference = `${line.host}/team/${name}:1`;
  let login;
  try {
    await build(`berth-journeys/${name}:1`);
    await registry.take(`berth-journeys/${name}:1`, `team/${name}`);
    await registry.forget(`berth-journeys/${name}:1`);
    login = await berth.call('post', '/api/v1/registries', { host: line.host, username: registry.username, password: registry.password });
    const image = await berth.call('post', '/api/v1/images', { name: unique('Slow'), references: [reference], stop_command: 'stop', ready_line: 'ready on port', script: { image: reference, entrypoint: 'sh', text: script } });

    await noteShifts(visitor);
    const page = await visitor.admin(`/instances/new?image=${image.id}`);
    await page.getByRole('textbox', { name: 'Name', exact: true }).fill(name);
    await page.getByRole('button', { name: /^Remove port/ }).click();
    line.open(0.3);
    await page.evaluate(() => (globalThis.shifts = []));
    await page.getByRole('button', { name: 'Deploy', exact: true }).click();
    await page.waitForURL(/[?&]job=/);
    const id = new URL(page.url()).searchParams.get('instance');
    const early = await until('a layer to come', () => comes(page));
    line.open(0.7);
    await until('more of it to come', async () => (await comes(page)) > early);
    await calm(page);
    await page.reload();
    await page.getByRole('heading', { name, level: 1 }).waitFor();
    await until('it to be shown again', async () => (await comes(page)) > early);
    line.open(1);

    const volume = await berth.volume(id);
    const log = page.getByRole('log', { name: 'Log' });
    await log.getByText('Casting off').waitFor();
    await calm(page);
    await page.reload();
    await log.getByText('Casting off').waitFor();
    writeFileSync(join(volume, 'cast-off'), '');
    await log.getByText('Under way').waitFor();
    await calm(page);
    // Whoever goes to the instance meanwhile sees it there, too.
    await page.getByRole('link', { name: 'To the instance' }).click();
    await printed(page, 'Casting off');
    await printed(page, 'Under way');
    writeFileSync(join(volume, 'arrived'), '');
    await printed(page, 'Berth demo, ready on port');
    visitor.foresee(/^4(04|09) GET \/api\/v1\/instances\//);
    await page.getByRole('link', { name: 'Images' }).click();
    await berth.remove(id);
  } finally {
    await registry.forget(reference);
    line.open(1);
    if (login) await berth.call('delete', `/api/v1/registries/${login.id}`);
    await line.close();
    await registry.stop();
  }
});
