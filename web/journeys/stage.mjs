// What all journeys share: one browser, and one controller with a node. Each
// makes its own users and instances, and knows nothing of the others'.
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Berth } from './berth.mjs';
import { failures, openBrowser, Visitor } from './browser.mjs';

// Each step has a deadline of its own; this ends only what hangs between them.
const longest = 1_200_000;

export const stage = { berth: undefined, browser: undefined };

before(async () => {
  [stage.browser, stage.berth] = await Promise.all([openBrowser(), Berth.start()]);
  await stage.berth.addNode();
});

after(async () => {
  await stage.browser?.close();
  await stage.berth?.stop();
});

/**
 * A journey: run gets a visitor at a fresh browser and what makes more of them. With
 * own, which starts one, it goes through a controller that nobody else uses.
 * It fails, too, for what its pages reported. Of one that failed there is left, in
 * a folder that is named: each page's picture and console, and the programs' logs.
 */
export function journey(name, run, { berth: shared = () => stage.berth, own, ...options } = {}) {
  test(name, { timeout: longest }, async () => {
    const folder = join(failures, name.replace(/[^a-z0-9]+/gi, '-'));
    rmSync(folder, { recursive: true, force: true });
    const visitors = [];
    const berth = own ? await own() : shared();
    const arrive = async (more = {}) => {
      const visitor = await Visitor.arrive(stage.browser, berth, { ...options, ...more });
      visitors.push(visitor);
      return visitor;
    };
    let failed = true;
    try {
      await run(await arrive(), { berth, arrive });
      const unexpected = visitors.flatMap((each) => each.unexpected());
      if (unexpected.length > 0) throw new Error(`the pages reported:\n  ${unexpected.join('\n  ')}`);
      failed = false;
    } finally {
      if (failed) {
        mkdirSync(folder, { recursive: true });
        berth.keepLogs(folder);
        console.error(`"${name}" failed. Pictures, consoles and logs: ${folder}`);
      }
      for (const [at, each] of visitors.entries()) await each.leave(failed && folder, `page-${at + 1}`);
      if (own) await berth.stop();
    }
  });
}
