// The panel's part of make bench: controller/e2e starts what is looked at, names
// it in BERTH_BENCH, and prints each line of ours as its other figures. Nothing
// stands between Chromium and the controller here, as it does on journeys.
import { openBrowser } from './browser.mjs';
import { patience } from './wait.mjs';

const task = JSON.parse(process.env.BERTH_BENCH ?? 'null');
if (!task) throw new Error('BERTH_BENCH says nothing: run make bench');

const throttle = 4; // the processor's time that a phone or an old notebook needs
const visits = 5;
const quiet = 1500; // ms in which nothing that a page still does may hold it up
const frame = 1000 / 60;

const note = (text) => console.log(JSON.stringify({ note: text }));
const figure = (what, found, bound, target) => console.log(JSON.stringify({ what, found, bound, target }));
const sorted = (of) => [...of].sort((a, b) => a - b);
const quantile = (of, q) => sorted(of)[Math.min(of.length - 1, Math.floor(of.length * q))] ?? 0;
const median = (of) => quantile(of, 0.5);
const round = (of) => of.map((each) => Math.round(each));

// What a page notes about itself, from before its own first line runs.
function watch() {
  const seen = { long: [], frames: [], blank: [] };
  let recording = 0; // the number of the one under way
  new PerformanceObserver((list) => {
    for (const each of list.getEntries()) seen.long.push([each.startTime, each.startTime + each.duration]);
  }).observe({ type: 'longtask', buffered: true });
  window.berthBench = {
    seen,
    // When what the selector names had been drawn, in ms since the page was asked for.
    drawn: (selector) =>
      new Promise((done) => {
        const look = () => {
          if (!document.querySelector(selector)) return requestAnimationFrame(look);
          // Behind the frame that shows it: then what is typed is heard.
          requestAnimationFrame(() => {
            const after = new MessageChannel();
            after.port1.onmessage = () => done(performance.now());
            after.port2.postMessage(0);
          });
        };
        look();
      }),
    record: () => {
      seen.long.length = seen.frames.length = seen.blank.length = 0;
      const mine = ++recording;
      const next = (at) => {
        if (recording !== mine) return;
        seen.frames.push(at);
        seen.blank.push(document.querySelectorAll('[role=listitem] > [aria-busy=true]').length);
        requestAnimationFrame(next);
      };
      requestAnimationFrame(next);
    },
    stop: () => {
      recording++;
      return seen;
    },
  };
}

async function arrive(browser, url, state) {
  const context = await browser.newContext({ baseURL: url, locale: 'en-US', viewport: { width: 1280, height: 860 }, ...(state && { storageState: state }) });
  context.setDefaultTimeout(patience);
  await context.addInitScript(watch);
  const page = await context.newPage();
  return { context, page, devtools: await context.newCDPSession(page) };
}

async function login(browser, { url, username, password }) {
  const { context, page } = await arrive(browser, url);
  await page.goto('/login');
  await page.getByLabel('Name or e-mail').fill(username);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Log in', exact: true }).click();
  await page.locator('main#page').waitFor();
  const state = await context.storageState();
  await context.close();
  return state;
}

// A first visit, nothing being in the browser's cache: until the page is drawn
// and nothing holds it up any more, however much comes after.
async function firstVisit(browser, place, path, selector, state) {
  const { context, page, devtools } = await arrive(browser, place.url, state);
  await devtools.send('Emulation.setCPUThrottlingRate', { rate: throttle });
  await page.goto(path, { waitUntil: 'commit' });
  const drawn = await page.evaluate((it) => window.berthBench.drawn(it), selector);
  await page.waitForTimeout(quiet);
  const long = await page.evaluate(() => window.berthBench.seen.long);
  await context.close();
  return { drawn, usable: Math.max(drawn, ...long.map(([, end]) => end)) };
}

async function firstPages(browser, place, state) {
  const pages = [
    ['the first page that anybody sees (login)', '/login', 'form input[autocomplete^=username]'],
    ['the list of 10,000 instances, logged in', '/instances', '[role=listitem] a', state],
    ['the overview, logged in', '/overview', 'main h1', state],
  ];
  for (const [name, path, selector, as] of pages) {
    const found = [];
    for (let n = 0; n < visits; n++) found.push(await firstVisit(browser, place, path, selector, as));
    note(`${name}: drawn after ${round(found.map((each) => each.drawn)).join(' ')} ms, usable after ${round(found.map((each) => each.usable)).join(' ')} ms`);
    figure(`${name}: ms until it can be used, processor throttled ${throttle}×`, median(found.map((each) => each.usable)), 'at most', 1000);
  }
}

// Scrolls as a wheel does, and gives what the page's own frames were.
async function scroll(page, devtools, speed, seconds) {
  const before = await spent(devtools);
  const from = await page.evaluate(() => {
    window.berthBench.record();
    return window.scrollY;
  });
  await devtools.send('Input.synthesizeScrollGesture', { x: 700, y: 500, yDistance: -speed * seconds, speed, gestureSourceType: 'mouse' });
  const [seen, to] = await page.evaluate(() => [window.berthBench.stop(), window.scrollY]);
  if (to - from < speed * seconds * 0.9) throw new Error(`it scrolled from ${from} to ${to} only`);
  const gaps = seen.frames.slice(1).map((at, n) => at - seen.frames[n]);
  const after = await spent(devtools);
  const work = Object.keys(after).map((each) => `${each} ${((after[each] - before[each]) / seconds * 100).toFixed(0)} %`);
  return { work: work.join(', '), gaps, long: seen.long.map(([from, to]) => to - from), blank: seen.blank.filter((each) => each > 0).length / seen.blank.length };
}

// Seconds of the page's own thread so far.
async function spent(devtools) {
  const { metrics } = await devtools.send('Performance.getMetrics');
  const of = (name) => metrics.find((each) => each.name === name).value;
  return { busy: of('TaskDuration'), script: of('ScriptDuration'), style: of('RecalcStyleDuration'), layout: of('LayoutDuration') };
}

// What the machine's browser makes of the same on a page with nothing in it but text.
async function plainList(browser, place) {
  const { context, page, devtools } = await arrive(browser, place.url);
  await page.goto('about:blank');
  await page.setContent(`<body>${'<p>nothing but text</p>'.repeat(5000)}</body>`);
  await devtools.send('Performance.enable');
  const { gaps, work } = await scroll(page, devtools, 1500, 6);
  note(`for comparison, a plain page of text: ${rate(gaps)} frames/s, p95 ${quantile(gaps, 0.95).toFixed(1)} ms; the page's thread: ${work}`);
  await context.close();
}

const rate = (gaps) => Math.round((gaps.length * 1000) / gaps.reduce((sum, each) => sum + each, 0));

async function longList(browser, place, state) {
  await plainList(browser, place);
  const { context, page, devtools } = await arrive(browser, place.url, state);
  await page.goto('/instances');
  await page.locator('[role=listitem] a').first().waitFor();
  await devtools.send('Performance.enable');
  await scroll(page, devtools, 1000, 1); // what runs for the first time
  for (const [name, speed] of [['read', 1500], ['swept through', 12_000]]) {
    const { gaps, long, blank, work } = await scroll(page, devtools, speed, 6);
    const late = gaps.filter((each) => each > frame * 1.5).length;
    note(
      `a list of ${place.instances}, ${name} at ${speed} px/s: frames every ${median(gaps).toFixed(1)} ms, p95 ${quantile(gaps, 0.95).toFixed(1)}, p99 ${quantile(gaps, 0.99).toFixed(1)}, most ${Math.max(...gaps).toFixed(1)}; ` +
        `${late} of ${gaps.length} late; long tasks: ${round(long).join(' ') || 'none'}; rows were on their way in ${(blank * 100).toFixed(0)} % of the frames; the page's thread: ${work}`,
    );
    figure(`a list of ${place.instances}, ${name}: frames/s`, rate(gaps), 'at least', 60);
    figure(`a list of ${place.instances}, ${name}: ms between two frames, p95`, Math.round(quantile(gaps, 0.95) * 10) / 10, 'at most', 16.8);
  }
  await context.close();
}

// A burst in a console that is looked at, asked for by a command that is typed.
async function bursts(browser, place, state) {
  const { context, page } = await arrive(browser, place.url, state);
  await page.goto(`/instances/${place.instance}`);
  const rows = page.locator('.xterm-rows > div');
  const tasks = [];
  for (let n = 1; n <= place.bursts; n++) {
    await page.getByRole('textbox', { name: 'Command', exact: true }).fill('now');
    await page.waitForTimeout(quiet);
    await page.evaluate(() => window.berthBench.record());
    const began = Date.now();
    await page.getByRole('button', { name: 'Send the command' }).click();
    await rows.filter({ hasText: `line ${place.lines * n} ` }).first().waitFor();
    const took = Date.now() - began;
    await page.waitForTimeout(quiet);
    const seen = await page.evaluate(() => window.berthBench.stop());
    const long = seen.long.map(([from, to]) => to - from);
    const gaps = seen.frames.slice(1).map((at, i) => at - seen.frames[i]);
    tasks.push(...long);
    note(`a burst of ${place.lines} lines: its last one is there ${took} ms after the command; tasks over 50 ms: ${round(long).join(' ') || 'none'}; frames: p95 ${quantile(gaps, 0.95).toFixed(0)}, most ${Math.max(...gaps).toFixed(0)} ms`);
  }
  figure(`a console's page during ${place.bursts} bursts of ${place.lines} lines: ms of the longest task`, Math.max(0, ...tasks), 'at most', 100);
  await context.close();
}

const parts = { pages: firstPages, list: longList, console: bursts };
const browser = await openBrowser();
try {
  await parts[task.part](browser, task.on, await login(browser, task.on));
} finally {
  await browser.close();
}
