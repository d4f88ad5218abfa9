// What several journeys do with a page.
import { until } from './berth.mjs';

/** Waits until the console shows a text. */
export async function printed(page, text) {
  await page.locator('.xterm-rows > div').filter({ hasText: text }).first().waitFor();
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
