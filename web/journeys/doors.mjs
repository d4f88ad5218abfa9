// Ways into a controller over HTTPS, with a certificate of the journeys' own: what
// the controller speaks itself, and Debian's nginx with the README's own lines.
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loopback } from './wait.mjs';

const readme = resolve(dirname(fileURLToPath(import.meta.url)), '../../README.md');

class Door {
  constructor() {
    this.dir = mkdtempSync(join(tmpdir(), 'berth-door-'));
    // Of so many addresses nobody else has this one: its port is free.
    this.address = loopback();
    this.url = `https://${this.address}:8444`;
    [this.cert, this.key] = [join(this.dir, 'cert.pem'), join(this.dir, 'key.pem')];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=journeys', '-addext', `subjectAltName=IP:${this.address}`, '-keyout', this.key, '-out', this.cert], { stdio: 'ignore' });
    this.certificate = readFileSync(this.cert);
  }

  async close() {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** The controller's own, and one of HTTP that sends browsers there. */
export class OwnDoor extends Door {
  plain = `http://${this.address}:8080`;

  /** What a controller is told so that it is behind this door; port is a free one of 127.0.0.1. */
  async lead() {
    return ['--listen', `${this.address}:8444`, '--http-listen', `${this.address}:8080`, '--tls-cert', this.cert, '--tls-key', this.key, '--hsts'];
  }
}

export class Nginx extends Door {
  async lead(port) {
    await this.#end();
    const block = /```nginx\n([^]*?)```/.exec(readFileSync(readme, 'utf8'))?.[1] ?? '';
    const lines = { 'listen 443 ssl;': `listen ${this.address}:8444 ssl;`, '/etc/ssl/panel.example.com.pem': this.cert, '/etc/ssl/panel.example.com.key': this.key, 'server_name panel.example.com;': `server_name ${this.address};`, 'http://127.0.0.1:8080': `http://127.0.0.1:${port}` };
    const server = Object.entries(lines).reduce((text, [from, to]) => {
      if (text.split(from).length !== 2) throw new Error(`the README's lines for nginx have not one ${from}`);
      return text.replace(from, to);
    }, block);
    const folders = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((each) => `${each}_temp_path ${join(this.dir, each)};`);
    const conf = join(this.dir, 'nginx.conf');
    writeFileSync(conf, ['daemon off;', 'master_process off;', `pid ${join(this.dir, 'pid')};`, 'events {}', 'http {', 'access_log off;', ...folders, server, '}', ''].join('\n'));
    const log = join(this.dir, 'log');
    const out = openSync(log, 'a', 0o600);
    this.child = spawn('nginx', ['-p', this.dir, '-e', log, '-c', conf], { stdio: ['ignore', out, out] });
    closeSync(out);
    // Whether it answers is seen by who asks the controller through it.
    this.ended = new Promise((gone) => {
      this.child.on('exit', gone);
      this.child.on('error', gone);
    });
    return ['--listen', `127.0.0.1:${port}`, '--trusted-proxy', '127.0.0.1'];
  }

  async #end() {
    this.child?.kill('SIGTERM');
    await this.ended;
  }

  async close() {
    await this.#end();
    await super.close();
  }
}
