// One Chromium for all journeys, and for each a visitor with cookies of his own.
// A journey fails for any error that its pages report and it did not foresee:
// script errors, violations of the content policy, answers of 400 and above.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { patience } from './wait.mjs';

/** Where a journey that failed leaves what was seen. */
export const failures = resolve(dirname(fileURLToPath(import.meta.url)), '../../.cache/journeys');

export async function openBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--disable-background-networking', '--disable-component-update', '--no-first-run', '--disable-dev-shm-usage', '--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets,Translate', ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])],
  });
}

/** Somebody at a browser. */
export class Visitor {
  problems = [];
  #foreseen = [];
  #said = [];

  /** Options are Playwright's of a context; and steady: false lets the browser make its own calls, where what it fetches is measured or broken off. */
  static async arrive(browser, berth, { steady = true, ...options } = {}) {
    const visitor = new Visitor();
    visitor.berth = berth;
    visitor.context = await browser.newContext({ baseURL: berth.url, locale: 'en-US', colorScheme: 'light', viewport: { width: 1280, height: 860 }, reducedMotion: 'reduce', ...options });
    visitor.context.setDefaultTimeout(patience);
    if (steady) await visitor.#steady();
    visitor.page = await visitor.context.newPage();
    visitor.#listen(visitor.page);
    return visitor;
  }

  // A container that starts or ends changes the machine's interfaces, and Chromium
  // then breaks off whatever it is connecting to (ERR_NETWORK_CHANGED). So its calls
  // are made from here; uploads and streams of events, which come back by themselves,
  // are its own.
  async #steady() {
    await this.context.route('**/*', async (route) => {
      const url = route.request().url();
      const own = url.includes('/files/uploads') || route.request().resourceType() === 'eventsource';
      if (own || !url.startsWith(this.berth.url)) return route.continue();
      try {
        await route.fulfill({ response: await route.fetch({ maxRedirects: 0, timeout: patience }) });
      } catch {
        // The page left meanwhile, and nobody waits for the answer.
        await route.abort('aborted').catch(() => {});
      }
    });
  }

  #listen(page) {
    page.on('console', (message) => this.#said.push(`${message.type()}: ${message.text()}`));
    page.on('framenavigated', (frame) => frame === page.mainFrame() && this.#said.push(`went to ${frame.url()}`));
    page.on('pageerror', (error) => this.problems.push(`script: ${error.message}`));
    page.on('console', (message) => {
      // What wasn't found or allowed is told by its answer below, with its address.
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) this.problems.push(`console: ${message.text()}`);
    });
    page.on('response', (answer) => {
      if (answer.status() >= 400) this.problems.push(`${answer.status()} ${answer.request().method()} ${new URL(answer.url()).pathname}`);
    });
    page.on('requestfailed', (request) => {
      const why = request.failure()?.errorText ?? '';
      // What a page no longer wants when it is left is no failure.
      if (why !== 'net::ERR_ABORTED') this.problems.push(`${why} ${request.method()} ${new URL(request.url()).pathname}`);
    });
    page.on('request', (request) => {
      if (!request.url().startsWith(this.berth.url) && !/^(data|blob):/.test(request.url())) this.problems.push(`elsewhere: ${request.url()}`);
    });
  }

  /** What may go wrong on this journey. */
  foresee(...patterns) {
    this.#foreseen.push(...patterns);
  }

  async login({ username, password }, to = '/') {
    const { page } = this;
    await page.goto(`/login?to=${encodeURIComponent(to)}`);
    await page.getByLabel('Name or e-mail').fill(username);
    await page.getByLabel('Password', { exact: true }).fill(password);
    await page.getByRole('button', { name: 'Log in', exact: true }).click();
    await page.locator('main#page').waitFor();
    return page;
  }

  /** As the first admin. */
  admin(to) {
    return this.login({ username: 'admin', password: this.berth.password }, to);
  }

  unexpected() {
    // Who isn't logged in is told so when the page asks who he is.
    // A socket and a stream come back by themselves when the machine's interfaces change.
    const known = [/^401 GET \/api\/v1\/session$/, /WebSocket connection to .*ERR_NETWORK_CHANGED/, /^net::ERR_NETWORK_CHANGED GET \/api\/v1\/jobs\/[^/]+\/stream$/, ...this.#foreseen];
    return this.problems.filter((each) => !known.some((pattern) => pattern.test(each)));
  }

  /** Goes away; of a journey that failed it leaves behind, in a folder, what was seen and what the pages said. */
  async leave(folder, name = 'page') {
    if (folder) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, `${name}.txt`), [`at ${this.page.url()}`, 'reported:', ...this.problems, 'console:', ...this.#said, ''].join('\n'));
      await this.page.screenshot({ path: join(folder, `${name}.png`), timeout: 30_000 }).catch((error) => console.error(`no picture: ${error.message}`));
    }
    await this.context.close();
  }
}
