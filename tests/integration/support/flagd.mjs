// SPDX-License-Identifier: Apache-2.0
// The real daemon under test, on a free port with a data folder of its own.
//
//   test('…', async (t) => {
//     const flagd = await startFlagd(t);
//     const made = await flagd.post('/api/v1/flags', { key: 'a', type: 'boolean' });
//     assert.equal(made.status, 201);
//   });
//
// It is stopped when the test ends; a sanitizer's report, an exit status other than 0 or a stop that takes
// too long then fails the test. HALYARD_BUILD names the build folder, by default build/.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { EventStream, RawSocket, exchange, request } from './http.mjs';
import { Mailbox, withDeadline } from './wait.mjs';

export const root = fileURLToPath(new URL('../../../', import.meta.url));
export const buildFolder = path.resolve(root, process.env.HALYARD_BUILD ?? 'build');
export const isSanitized = /asan|tsan/.test(path.basename(buildFolder));

const SANITIZER_REPORT = /(ERROR|WARNING): \w+Sanitizer|: runtime error: /;
const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** Our environment without what is set for the tests or by a developer: flagd refuses variables that it does not know. */
function inherited() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('HALYARD_')));
}

const cleanups = new WeakMap();

/** Has `release` called when the test `t` ends; the last one registered goes first, and all of them run. */
export function atEnd(t, release) {
  if (!cleanups.has(t)) {
    const stack = [];
    cleanups.set(t, stack);
    t.after(async () => {
      const errors = [];
      while (stack.length > 0) {
        try {
          await stack.pop()();
        } catch (error) {
          errors.push(error);
        }
      }
      if (errors.length > 0) {
        throw errors[0];
      }
    });
  }
  cleanups.get(t).push(release);
}

/** An empty folder that is gone when the test `t` ends. */
export function temporaryFolder(t) {
  const folder = mkdtempSync(path.join(tmpdir(), 'halyard-test-'));
  atEnd(t, () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/**
 * A program whose standard error is a log of JSON lines. `logs` holds the parsed lines, `output` everything
 * else that it wrote.
 */
export class Program {
  logs = new Mailbox();
  output = '';

  constructor(command, { env = {}, cwd, inherit = true } = {}) {
    const [file, ...args] = command;
    const base = inherit ? inherited() : {};
    this.child = spawn(file, args, { cwd, env: { ...base, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(this.child);
    this.child.stdout.setEncoding('utf8').on('data', (text) => (this.output += text));
    createInterface({ input: this.child.stderr }).on('line', (line) => this.#line(line));
    this.exited = new Promise((resolve) => {
      this.child.on('error', (error) => {
        this.output += `${error.message}\n`;
      });
      this.child.on('close', (code, signal) => {
        running.delete(this.child);
        this.logs.end(`${path.basename(file)} ended with ${signal ?? code}`);
        resolve({ code, signal });
      });
    });
  }

  get pid() {
    return this.child.pid;
  }

  get hasEnded() {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** The first log line with this message, or that the function accepts. */
  waitForLog(wanted, deadlineMs = 5000, options = {}) {
    const predicate = typeof wanted === 'string' ? (line) => line.msg === wanted : wanted;
    return this.logs.waitFor(predicate, deadlineMs, { what: `log line ${wanted}`, ...options });
  }

  /** Asks it to stop and expects that it does so properly. */
  async stop(deadlineMs = 10_000) {
    if (!this.hasEnded) {
      this.child.kill('SIGTERM');
    }
    const { code, signal } = await withDeadline(this.exited, deadlineMs, 'stop').catch(async (error) => {
      await this.kill9();
      throw new Error(`${error.message}\n${this.transcript()}`);
    });
    this.checkReports();
    if (code !== 0) {
      throw new Error(`ended with ${signal ?? code}\n${this.transcript()}`);
    }
  }

  /** Kills it without warning; what it wrote is still checked for reports. */
  async kill9() {
    this.child.kill('SIGKILL');
    await this.exited;
    this.checkReports();
  }

  checkReports() {
    if (SANITIZER_REPORT.test(this.output)) {
      throw new Error(`sanitizer report\n${this.output}`);
    }
  }

  /** The end of what it wrote, for messages. */
  transcript() {
    return [...this.logs.items.slice(-20).map((line) => JSON.stringify(line)), this.output.slice(-8000)].join('\n');
  }

  #line(line) {
    try {
      this.logs.push(JSON.parse(line));
    } catch {
      this.output += `${line}\n`;
    }
  }
}

/** A running daemon; made by startFlagd() or Flagd.start(). */
export class Flagd extends Program {
  static async start({ data, listen = '127.0.0.1:0', args = [], env = {}, prefix = [], deadlineMs = isSanitized ? 20_000 : 10_000 }) {
    const program = path.join(buildFolder, 'flagd/flagd');
    const command = [...prefix, program, '--data', data, '--listen', listen, ...args];
    const flagd = new Flagd(command, { env });
    flagd.data = data;
    try {
      const line = await flagd.waitForLog('listening', deadlineMs);
      flagd.port = line.port;
    } catch (error) {
      await flagd.kill9();
      throw new Error(`flagd did not start: ${error.message}\n${flagd.transcript()}`);
    }
    flagd.url = `http://127.0.0.1:${flagd.port}`;
    return flagd;
  }

  get ownerToken() {
    this.token ??= readFileSync(path.join(this.data, 'owner.token'), 'utf8').trim();
    return this.token;
  }

  /** A request with the owner's token; { token: null } sends none. See support/http.mjs. */
  request(method, target, options = {}) {
    return request(this.url, method, target, { ...options, token: options.token === undefined ? this.ownerToken : options.token });
  }

  get(target, options) {
    return this.request('GET', target, options);
  }

  post(target, body, options) {
    return this.request('POST', target, { ...options, body });
  }

  put(target, body, options) {
    return this.request('PUT', target, { ...options, body });
  }

  patch(target, body, options) {
    return this.request('PATCH', target, { ...options, body });
  }

  delete(target, options) {
    return this.request('DELETE', target, options);
  }

  /** Opens an event stream with the owner's token. */
  events(target, options = {}) {
    return EventStream.open(this.url, target, { token: this.ownerToken, ...options });
  }

  /** Sends raw bytes on a connection of their own; gives what comes back until the daemon closes. */
  exchange(bytes, deadlineMs) {
    return exchange(this.port, bytes, deadlineMs);
  }

  socket() {
    return RawSocket.open(this.port);
  }
}

/** Starts a daemon that ends with the test; `options` as for Flagd.start(), the data folder is made when not given. */
export async function startFlagd(t, options = {}) {
  const data = options.data ?? temporaryFolder(t);
  const flagd = await Flagd.start({ ...options, data });
  atEnd(t, () => (flagd.hasEnded ? flagd.checkReports() : flagd.stop()));
  return flagd;
}
