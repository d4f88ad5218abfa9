// What all journeys share: one browser, and one controller with a node. Each
// makes its own users and instances, and knows nothing of the others'.
import { after, before, test } from 'node:test';
import { Berth } from './berth.mjs';
import { openBrowser, Visitor } from './browser.mjs';

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
 * A journey: run gets a visitor at a fresh browser and what makes more of them.
 * It fails, too, for what its pages reported.
 */
export function journey(name, run, { berth = () => stage.berth, ...options } = {}) {
  test(name, { timeout: 240_000 }, async () => {
    const visitors = [];
    const arrive = async (more = {}) => {
      const visitor = await Visitor.arrive(stage.browser, berth(), { ...options, ...more });
      visitors.push(visitor);
      return visitor;
    };
    let failed = true;
    try {
      await run(await arrive(), { berth: berth(), arrive });
      const unexpected = visitors.flatMap((each) => each.unexpected());
      if (unexpected.length > 0) throw new Error(`the pages reported:\n  ${unexpected.join('\n  ')}`);
      failed = false;
    } finally {
      if (failed) for (const each of visitors) if (each.problems.length > 0) console.error(`reported: ${each.problems.join('; ')}`);
      for (const [at, each] of visitors.entries()) await each.leave(failed && `${name} ${at + 1}`);
    }
  });
}
