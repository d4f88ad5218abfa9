// A post office: a mail server on this machine that keeps what it is sent.
import { createServer } from 'node:net';
import { until } from './wait.mjs';

/** What a mail says, without the ways in which it is written down for the line. */
function plain(raw) {
  const body = raw.replace(/=\r\n/g, '').replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(body, 'latin1').toString('utf8');
}

export class PostOffice {
  mails = [];

  static async open() {
    const office = new PostOffice();
    office.server = createServer((socket) => office.#serve(socket));
    await new Promise((listening) => office.server.listen(0, '127.0.0.1', listening));
    office.port = office.server.address().port;
    return office;
  }

  #serve(socket) {
    const say = (text) => socket.write(`${text}\r\n`);
    let held = '';
    let to = [];
    let text; // of the mail that is coming in
    const line = (each) => {
      if (text !== undefined) {
        if (each !== '.') return void (text += `${each.replace(/^\.\./, '.')}\r\n`);
        this.mails.push({ to, text: plain(text) });
        text = undefined;
        to = [];
        return say('250 kept');
      }
      const verb = each.slice(0, 4).toUpperCase();
      if (verb === 'QUIT') return void socket.end('221 bye\r\n');
      if (verb === 'DATA') {
        text = '';
        return say('354 go on');
      }
      if (verb === 'RCPT') to.push(/<(.*)>/.exec(each)?.[1]);
      say(verb === 'EHLO' ? '250-post\r\n250 8BITMIME' : '250 ok');
    };
    socket.setEncoding('latin1');
    socket.on('error', () => {});
    socket.on('data', (more) => {
      held += more;
      for (let end = held.indexOf('\r\n'); end >= 0; end = held.indexOf('\r\n')) {
        const next = held.slice(0, end);
        held = held.slice(end + 2);
        line(next);
      }
    });
    say('220 post');
  }

  /** The link in the newest mail to somebody; those before are not looked at again. */
  async link(to) {
    const mail = await until(`a mail to ${to}`, () => this.mails.findLast((each) => each.to.includes(to)));
    this.mails = this.mails.filter((each) => each !== mail);
    const link = /https?:\/\/[^\s"<>]+\/link#[^\s"<>]+/.exec(mail.text)?.[0];
    if (!link) throw new Error(`no link in: ${mail.text}`);
    return link;
  }

  close() {
    return new Promise((closed) => {
      this.server.close(closed);
    });
  }
}
