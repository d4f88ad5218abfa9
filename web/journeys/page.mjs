// What several journeys do with a page.
import assert from 'node:assert/strict';
import { until } from './wait.mjs';

/** Waits until the console shows a text. */
export async function printed(page, text) {
  await page.locator('.xterm-rows > div').filter({ hasText: text }).first().waitFor();
}

/** Lets files fall onto what takes them. */
export async function drop(page, target, files) {
  const data = await page.evaluateHandle((all) => {
    const transfer = new DataTransfer();
    for (const [name, text] of all) transfer.items.add(new File([text], name, { type: 'application/json' }));
    return transfer;
  }, files);
  await target.dispatchEvent('dragover', { dataTransfer: data });
  await target.dispatchEvent('drop', { dataTransfer: data });
}

/** Sends a command to the console. */
export async function command(page, text) {
  await page.getByRole('textbox', { name: 'Command', exact: true }).fill(text);
  await page.getByRole('button', { name: 'Send the command' }).click();
}

/** The page is there: nothing on it waits any more. */
export async function settled(page) {
  await page.locator('h1, h2').first().waitFor();
  await until('the page to have loaded', async () => (await page.locator('[aria-busy=true]').count()) === 0);
}

/** Goes to another page as a link does: the panel stays, so it is quicker than loading all of it. */
export async function turnTo(page, path) {
  await page.evaluate((to) => {
    history.pushState(null, '', to);
    // The page's own, or the one that stands in for it while it is loaded, is drawn by then.
    return new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
  }, path);
  await settled(page);
}

/** Ends what fades or slides: what is seen then stays so. */
export async function still(page) {
  await page.evaluate(() => {
    for (const each of document.getAnimations()) if (Number.isFinite(each.effect?.getComputedTiming().endTime)) each.finish();
  });
}

/** The key in a line that the panel shows for a machine. */
export function keyOf(line) {
  const key = /--key[= ]'?([^\s']+)'?/.exec(line)?.[1] ?? /BERTH_ENROLMENT_KEY='?([^\s']+)'?/.exec(line)?.[1];
  assert.ok(key, `no key in: ${line}`);
  return key;
}

/** The line for a machine that has an agent. */
export async function shownLine(page) {
  await page.getByRole('tab', { name: 'Agent is installed' }).click();
  return page.getByRole('group', { name: 'Agent is installed' }).locator('code').textContent();
}
