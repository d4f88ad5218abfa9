// A private registry on loopback, with one login, an engine that knows how to fill
// it, and a thin line to it.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ask } from './engine.mjs';
import { freePort, until } from './wait.mjs';

// The one who may pull. The registry reads bcrypt alone, which Node hasn't.
const puller = { username: 'puller', password: 'let a journey in', line: 'puller:$2y$05$g2QNG6Rt7hOo3.d5N4JrN..Nd5qOAahjmYvLheQo6mqqXIj65YF26' };

// What is smaller is no layer that anybody waits for.
const smallest = 256 << 10;

export class Registry {
  username = puller.username;
  password = puller.password;

  constructor() {
    this.dir = mkdtempSync(join(tmpdir(), 'berth-registry-'));
  }

  static async start() {
    const registry = new Registry();
    try {
      await registry.#serve();
      return registry;
    } catch (error) {
      await registry.stop();
      throw error;
    }
  }

  // Somebody may take the port between our look and the registry's: then another is tried.
  async #serve() {
    const users = join(this.dir, 'htpasswd');
    writeFileSync(users, `${puller.line}\n`, { mode: 0o600 });
    const log = join(this.dir, 'log');
    for (let left = 5; ; left--) {
      this.host = `127.0.0.1:${await freePort()}`;
      const config = join(this.dir, 'config.json');
      // JSON is YAML, too.
      writeFileSync(config, JSON.stringify({ version: 0.1, storage: { filesystem: { rootdirectory: join(this.dir, 'data') } }, http: { addr: this.host, secret: randomBytes(12).toString('hex') }, auth: { htpasswd: { realm: 'journeys', path: users } } }));
      const out = openSync(log, 'a', 0o600);
      const child = spawn('docker-registry', ['serve', config], { stdio: ['ignore', out, out] });
      closeSync(out);
      let ended = false;
      this.ended = new Promise((gone) => {
        child.on('exit', gone);
        child.on('error', gone);
      }).then(() => (ended = true));
      this.child = child;
      const answers = () => fetch(`http://${this.host}/v2/`).then((answer) => answer.status === 401, () => false);
      await until('the registry', async () => ended || (await answers()));
      if (!ended) return;
      if (left === 0) throw new Error(`the registry ended:\n${readFileSync(log, 'utf8')}`);
    }
  }

  /** Puts an image that the engine has into it, under a name of its own, and takes that name from the engine again. */
  async take(image, name) {
    // With its padding: an engine takes none for no login.
    const login = Buffer.from(JSON.stringify({ username: this.username, password: this.password, serveraddress: this.host })).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
    const repository = `${this.host}/${name}`;
    await ask('POST', `/images/${encodeURIComponent(image)}/tag?${new URLSearchParams({ repo: repository, tag: '1' })}`);
    try {
      const said = await ask('POST', `/images/${encodeURIComponent(repository)}/push?tag=1`, { 'X-Registry-Auth': login });
      if (/"error"/.test(said)) throw new Error(`push: ${said.slice(-500)}`);
    } finally {
      await this.forget(`${repository}:1`);
    }
    return `${repository}:1`;
  }

  /** Takes a name from the engine, and the layers that nothing else has. */
  async forget(reference) {
    await ask('DELETE', `/images/${encodeURIComponent(reference)}?force=true`).catch(() => {});
  }

  async stop() {
    this.child?.kill('SIGTERM');
    await this.ended;
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** The way to a registry, as thin as a journey wants it: of each layer no more comes through than the share it opened. */
export class ThinLine {
  #share = 0;
  #waiting = new Set();

  static async to(registry) {
    const line = new ThinLine();
    line.server = http.createServer((request, answer) => {
      const { port } = new URL(`http://${registry.host}`);
      const onward = http.request({ host: '127.0.0.1', port, method: request.method, path: request.url, headers: request.headers }, (came) => {
        answer.writeHead(came.statusCode, came.headers);
        const slow = /\/blobs\//.test(request.url) && request.method === 'GET';
        void line.#carry(came, answer, slow ? Number(came.headers['content-length'] ?? 0) : 0).catch(() => answer.destroy());
      });
      onward.on('error', () => answer.destroy());
      request.pipe(onward);
    });
    await new Promise((listening) => line.server.listen(0, '127.0.0.1', listening));
    line.host = `127.0.0.1:${line.server.address().port}`;
    return line;
  }

  // In pieces, so that the engine has something to tell on the way.
  async #carry(from, to, size) {
    let sent = 0;
    for await (const chunk of from) {
      for (let at = 0; at < chunk.length; ) {
        await this.#opened(() => size < smallest || sent < size * this.#share || this.#share >= 1);
        const piece = chunk.subarray(at, at + (size < smallest ? chunk.length : Math.ceil(size / 50)));
        at += piece.length;
        sent += piece.length;
        to.write(piece);
        if (size >= smallest && this.#share < 1) await new Promise((later) => setTimeout(later, 50));
      }
    }
    to.end();
  }

  async #opened(holds) {
    while (!holds()) await new Promise((go) => this.#waiting.add(go));
  }

  /** From now on so much of each layer comes through, 1 all at full speed. */
  open(share) {
    this.#share = share;
    for (const go of this.#waiting) go();
    this.#waiting.clear();
  }

  close() {
    this.open(1);
    this.server.closeAllConnections();
    return new Promise((closed) => {
      this.server.close(closed);
    });
  }
}
