// The container engine that BERTH_TEST_DOCKER_HOST names, asked directly.
import http from 'node:http';

/** Where it answers. */
export const engine = process.env.BERTH_TEST_DOCKER_HOST ?? process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock';

/** A call of the container engine's API, with a body of bytes or none; the whole answer as text. */
export function ask(method, path, headers = {}, body = undefined) {
  const where = engine.startsWith('unix://') ? { socketPath: engine.slice('unix://'.length) } : { host: new URL(engine.replace('tcp:', 'http:')).hostname, port: new URL(engine.replace('tcp:', 'http:')).port };
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
