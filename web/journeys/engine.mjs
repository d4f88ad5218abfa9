// Container engines, asked directly: the one that BERTH_TEST_DOCKER_HOST names, and
// others of the journeys' own.
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './wait.mjs';

/** Where the engine of most journeys answers. */
export const engine = process.env.BERTH_TEST_DOCKER_HOST ?? process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock';

/** A call of an engine's API, with a body of bytes or none; the whole answer as text. */
export function askAt(address, method, path, headers = {}, body = undefined) {
  const where = address.startsWith('unix://') ? { socketPath: address.slice('unix://'.length) } : { host: new URL(address.replace('tcp:', 'http:')).hostname, port: new URL(address.replace('tcp:', 'http:')).port };
  return new Promise((done, fail) => {
    const call = http.request({ ...where, method, path: `/v1.40${path}`, headers }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (part) => (text += part));
      answer.on('error', fail);
      answer.on('end', () => (answer.statusCode < 400 ? done(text) : fail(new Error(`${method} ${path}: ${answer.statusCode} ${text}`))));
    });
    call.on('error', fail);
    call.end(body);
  });
}

/** A call of the engine of most journeys. */
export const ask = (...call) => askAt(engine, ...call);

/**
 * An engine of a journey's own, for what one alone can't hold twice. It leaves the
 * machine's firewall as it is: its containers reach nothing but this machine. It has
 * a bridge and addresses of its own: one that is told to have no bridge takes the
 * machine's docker0 away.
 */
export class OtherEngine {
  constructor() {
    this.dir = mkdtempSync(join(tmpdir(), 'berth-engine-'));
    this.address = `unix://${join(this.dir, 'sock')}`;
    this.bridge = `berth-${this.dir.slice(-6)}`;
  }

  static async start() {
    const other = new OtherEngine();
    const config = join(other.dir, 'daemon.json'); // not the machine's: its settings are for another engine
    writeFileSync(config, '{}');
    const log = join(other.dir, 'log');
    const out = openSync(log, 'a', 0o600);
    execFileSync('ip', ['link', 'add', 'name', other.bridge, 'type', 'bridge']);
    const args = ['--config-file', config, '--data-root', join(other.dir, 'data'), '--exec-root', join(other.dir, 'exec'), '--pidfile', join(other.dir, 'pid'), '--host', other.address];
    other.child = spawn('dockerd', [...args, `--bridge=${other.bridge}`, '--default-address-pool=base=10.214.0.0/16,size=24', '--iptables=false', '--ip6tables=false', '--ip-masq=false', '--log-level=warn'], { stdio: ['ignore', out, out] });
    closeSync(out);
    let over = false;
    other.ended = new Promise((gone) => {
      other.child.on('exit', gone);
      other.child.on('error', gone);
    }).then(() => (over = true));
    const answers = () => askAt(other.address, 'GET', '/_ping').then(() => true, () => false);
    try {
      await until('the other engine', async () => over || (await answers()));
      if (over) throw new Error(`the other engine ended:\n${readFileSync(log, 'utf8').slice(-2000)}`);
      return other;
    } catch (error) {
      await other.stop();
      throw error;
    }
  }

  async stop() {
    this.child.kill('SIGTERM');
    const late = setTimeout(() => this.child.kill('SIGKILL'), 30_000);
    await this.ended;
    clearTimeout(late);
    execFileSync('ip', ['link', 'delete', this.bridge]);
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}
