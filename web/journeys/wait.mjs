// What everything here is made of: patience, and what nobody else has.
import { randomBytes, randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** How long a condition may take on a busy machine before it counts as never, in milliseconds. */
export const patience = Number(process.env.BERTH_JOURNEYS_PATIENCE ?? 90) * 1000;

/** A name that no other journey has. */
export function unique(word) {
  return `${word}-${randomBytes(4).toString('hex')}`;
}

/** Waits until probe gives something; the last thing that went wrong tells why not. */
export async function until(what, probe) {
  const end = Date.now() + patience;
  for (let last = ''; ; ) {
    try {
      const found = await probe();
      if (found) return found;
    } catch (error) {
      last = `: ${error.message}`;
    }
    if (Date.now() > end) throw new Error(`waited ${patience / 1000} s for ${what}${last}`);
    await new Promise((go) => setTimeout(go, 100));
  }
}

/** An address of this machine's own that nobody listens at. */
export function loopback() {
  return `127.${randomInt(10, 250)}.${randomInt(0, 250)}.${randomInt(1, 250)}`;
}

/** A port of loopback that nobody listens at. */
export function freePort() {
  return new Promise((done, fail) => {
    const server = createServer().on('error', fail);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}
