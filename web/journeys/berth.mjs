// A real controller and real agents with a data directory of their own, which a
// journey goes through. They listen at loopback ports that were free, and the
// instances are containers of the engine that BERTH_TEST_DOCKER_HOST names.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, copyFileSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { askAt, engine } from './engine.mjs';
import { freePort, loopback, unique, until } from './wait.mjs';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

/** Where our programs are. */
export const bin = resolve(root, process.env.BERTH_TEST_BIN ?? 'bin');

// One of our programs, of bin or by its path, with its output in a file.
class Program {
  constructor(name, args, env, log) {
    this.again = () => new Program(name, args, env, log);
    this.log = log;
    const out = openSync(log, 'a', 0o600);
    this.child = spawn(resolve(bin, name), args, { env: { ...process.env, ...env }, stdio: ['ignore', out, out] });
    closeSync(out);
    this.ended = new Promise((done) => {
      this.child.on('exit', (code) => done(code ?? 1));
      this.child.on('error', () => done(127));
    });
    void this.ended.then((code) => (this.code = code));
  }

  said() {
    return existsSync(this.log) ? readFileSync(this.log, 'utf8').split('\n').slice(-15).join('\n') : '';
  }

  /** Ends at once, as when the machine's power does. */
  async kill() {
    this.child.kill('SIGKILL');
    await this.ended;
  }

  async stop() {
    if (this.code !== undefined) return;
    this.child.kill('SIGTERM');
    const late = setTimeout(() => this.child.kill('SIGKILL'), 20_000);
    await this.ended;
    clearTimeout(late);
  }
}

/** A controller, and the agents that joined it. It is at http://localhost, or behind a door (doors.mjs). */
export class Berth {
  constructor(door) {
    this.door = door;
    this.dir = mkdtempSync(join(tmpdir(), 'berth-journeys-'));
    this.key = `berth_${randomBytes(20).toString('hex')}`;
    this.password = randomBytes(12).toString('hex');
    this.agents = [];
    this.data = new Map(); // of an agent, by its address
    this.last = door ? [() => door.close()] : [];
    this.networks = []; // that agents have made, with their engine
  }

  static async start(door = undefined) {
    const berth = new Berth(door);
    try {
      await berth.#controller();
      return berth;
    } catch (error) {
      await berth.stop();
      throw error;
    }
  }

  // Somebody may take the port between our look and the controller's: then another is tried.
  async #controller() {
    for (let left = 5; ; left--) {
      const port = await freePort();
      // localhost is the one host without HTTPS where browsers have passkeys.
      this.url = this.door?.url ?? `http://localhost:${port}`;
      const doors = this.door ? await this.door.lead(port) : ['--listen', `127.0.0.1:${port}`];
      const args = ['serve', '--data', join(this.dir, 'controller'), ...doors, '--public-url', this.url, '--sftp-listen', 'off', '--rate-limit', '0'];
      const env = { BERTH_API_KEY: this.key, BERTH_ADMIN_PASSWORD: this.password };
      const program = new Program('berth-controller', args, env, join(this.dir, 'controller.log'));
      this.controller = program;
      const healthy = () => this.#fetch('/api/v1/health').then((answer) => answer.ok, () => false);
      await until('the controller', async () => program.code !== undefined || (await healthy()));
      if (program.code === undefined) return;
      if (left === 0) throw new Error(`the controller ended:\n${program.said()}`);
    }
  }

  // fetch can't be told whose certificates to trust.
  #fetch(path, { method = 'GET', headers = {}, body } = {}) {
    if (!this.door) return fetch(this.url + path, { method, headers, body });
    return new Promise((done, fail) => {
      const call = https.request(this.url + path, { method, headers, ca: this.door.certificate, agent: false }, async (answer) => {
        const text = Buffer.concat(await answer.toArray()).toString();
        done(new Response(text || null, { status: answer.statusCode }));
      });
      call.on('error', fail);
      call.end(body);
    });
  }

  /** A call of the API as the first admin; the answer's data. */
  async call(method, path, body) {
    const answer = await this.#fetch(path, {
      method: method.toUpperCase(),
      headers: { 'x-api-key': this.key, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text).data : undefined;
  }

  /** Makes a node and lets an agent in, as join has it; resolves when it is online. */
  async addNode(name = unique('node'), how = {}) {
    const address = loopback();
    const made = await this.call('post', '/api/v1/nodes', { name, address, port: 8443, memory: 16384, disk: 65536 });
    const agent = await this.join(made.enrolment.key, address, how);
    await this.online(made.node.id);
    this.node ??= made.node;
    return { ...made.node, address, agent };
  }

  async online(id) {
    await until('the node to be online', async () => (await this.call('get', `/api/v1/nodes/${id}`)).state === 'online').catch((error) => {
      throw new Error(`${error.message}\n${this.agents.map((each) => each.said()).join('\n')}`);
    });
  }

  /**
   * What the panel's line does on a machine: enrols, and starts the agent. A machine
   * that was let in before keeps its data, and takes force to be let in again. One that can't be
   * dialled opens a tunnel. One whose agent was installed with a directory of
   * releases can be updated. Its engine is ours unless another's address is given.
   */
  async join(key, address, { force = false, tunnel = false, releases = '', host = engine } = {}) {
    const data = this.data.get(address) ?? join(this.dir, unique('agent'));
    this.data.set(address, data);
    const log = `${data}.log`;
    const name = releases ? join(releases, 'current', 'berth-agent') : 'berth-agent';
    const enrol = new Program(name, ['enrol', '--controller', this.url, '--data', data, ...(force ? ['--force'] : []), ...(tunnel ? ['--tunnel'] : [])], { BERTH_ENROLMENT_KEY: key }, log);
    if ((await enrol.ended) !== 0) throw new Error(`the agent could not be enrolled:\n${enrol.said()}`);
    const network = unique('berth-journeys');
    this.networks.push([host, network]);
    const doors = tunnel ? ['--tunnel', '--sftp-listen', 'off'] : ['--listen', `${address}:8443`, '--sftp-listen', `${address}:2022`];
    const args = ['serve', '--data', data, ...doors, '--docker-host', host, '--volumes', 'directory', '--network', network];
    const agent = new Program(name, args, releases ? { BERTH_AGENT_RELEASES: releases } : {}, log);
    this.agents.push(agent);
    return agent;
  }

  /** Starts an agent that has ended once more. */
  restart(agent) {
    const again = agent.again();
    this.agents.push(again);
    return again;
  }

  /** A user who has a password. */
  async addUser({ username = unique('user'), ...more } = {}) {
    const password = unique('password');
    const user = await this.call('post', '/api/v1/users', { username, email: `${username.replace(/[^a-z0-9]/gi, '')}@example.com`, password, ...more });
    return { ...user, username, password };
  }

  /** The demo image, which every node has. */
  async demo() {
    const found = await this.call('get', '/api/v1/images?search=demo&limit=100');
    const image = found.find((each) => each.references?.[0] === 'berth/demo:1');
    if (!image) throw new Error('the catalogue has no demo image');
    return image;
  }

  /** A running demo instance of somebody's. */
  async addInstance(owner, { name = unique('demo'), start = true, ...more } = {}) {
    const image = await this.demo();
    const body = { name, owner_id: owner.id, image_id: image.id, memory: 64, cpu: 0.2, disk: 1024, start, ...more };
    const { instance } = await this.call('post', '/api/v1/instances', body);
    await this.reaches(instance.id, start ? 'running' : 'stopped');
    return instance;
  }

  /** Where the files of an instance are, on whichever node it is. */
  async volume(id) {
    const { node_id } = await this.call('get', `/api/v1/instances/${id}`);
    const { address } = await this.call('get', `/api/v1/nodes/${node_id}`);
    return join(this.data.get(address), 'volumes', id, 'data');
  }

  async reaches(id, status) {
    await until(`instance ${id} to be ${status}`, async () => {
      const now = await this.call('get', `/api/v1/instances/${id}`);
      if (now.status !== status) throw new Error(`it is ${now.status} ${JSON.stringify(now.failure ?? '')}`);
      return true;
    });
  }

  /** Deletes an instance; resolves when its node has nothing of it any more. */
  async remove(id) {
    await this.call('delete', `/api/v1/instances/${id}`);
    await until('the instance to be gone', async () => !(await this.call('get', '/api/v1/instances?limit=100')).some((each) => each.id === id));
  }

  /** What the controller and the agents said so far, into a folder. */
  keepLogs(folder) {
    for (const name of readdirSync(this.dir)) if (name.endsWith('.log')) copyFileSync(join(this.dir, name), join(folder, name));
  }

  /** What is done once the programs have ended and left nothing behind. */
  atEnd(run) {
    this.last.push(run);
  }

  /** Ends everything, and leaves nothing on the engine. */
  async stop() {
    const left = this.controller && this.controller.code === undefined && this.agents.length > 0;
    if (left) {
      await this.#clear().catch((error) => console.error(`instances are left behind: ${error.message}`));
    }
    for (const agent of this.agents) await agent.stop();
    // Its rules stay in the kernel when an agent ends, so that they hold without it.
    for (const data of this.data.values()) {
      const gone = new Program('berth-agent', ['unmount', '--data', data], {}, `${data}.log`);
      if ((await gone.ended) !== 0) console.error(`rules of the firewall are left behind: ${gone.said()}`);
    }
    // An engine has addresses for a few networks only.
    for (const [host, network] of this.networks) {
      await askAt(host, 'DELETE', `/networks/${network}`).catch((error) => / 404 /.test(error.message) || console.error(`a network is left behind: ${error.message}`));
    }
    await this.controller?.stop();
    for (const run of this.last) await run();
    rmSync(this.dir, { recursive: true, force: true });
  }

  async #clear() {
    const all = () => this.call('get', '/api/v1/instances?limit=100');
    for (const each of await all()) await this.call('delete', `/api/v1/instances/${each.id}`).catch(() => {});
    for (const { node, id } of await this.#strays()) await this.call('post', `/api/v1/nodes/${node}/strays/${id}/remove`, { confirm: id });
    await until('the instances to be gone', async () => (await all()).length + (await this.#strays()).length === 0);
  }

  /** What nodes hold of instances that the controller has forgotten. */
  async #strays() {
    const online = (await this.call('get', '/api/v1/nodes?limit=100')).filter((each) => each.state === 'online');
    const found = await Promise.all(online.map(async (node) => (await this.call('get', `/api/v1/nodes/${node.id}/strays`)).map((each) => ({ node: node.id, id: each.instance_id }))));
    return found.flat();
  }
}
