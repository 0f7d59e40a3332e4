// SPDX-License-Identifier: Apache-2.0
// Programs that link libhalyard, driven line by line: tests/support/client_probe.c and client_herd.c.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';

import { atEnd, buildFolder } from './flagd.mjs';
import { Mailbox, withDeadline } from './wait.mjs';

export class Driven {
  lines = new Mailbox();
  errors = '';
  #seen = 0;

  constructor(file, args, env) {
    this.child = spawn(path.join(buildFolder, 'tests/support', file), args, { env: { ...process.env, ...env }, stdio: 'pipe' });
    createInterface({ input: this.child.stdout }).on('line', (line) => this.lines.push(JSON.parse(line)));
    this.child.stderr.setEncoding('utf8').on('data', (text) => (this.errors += text));
    this.exited = new Promise((resolve) => {
      this.child.on('close', (code, signal) => {
        this.lines.end(`ended with ${signal ?? code}: ${this.errors}`);
        resolve({ code, signal });
      });
    });
  }

  /** Sends a command and gives its answer: the next line that names it. */
  async ask(text, deadlineMs = 10_000) {
    const from = this.lines.items.length;
    const [command] = text.split(' ');
    this.child.stdin.write(`${text}\n`);
    return this.lines.waitFor((line) => line.command === command, deadlineMs, { from, what: `the answer to ${text}` });
  }

  waitForEvent(event, predicate, deadlineMs = 5000, from = 0) {
    return this.lines.waitFor((line) => line.event === event && predicate(line), deadlineMs, { from, what: `event ${event}` });
  }

  async quit(deadlineMs = 20_000) {
    this.child.stdin.end('quit\n');
    const { code, signal } = await withDeadline(this.exited, deadlineMs, 'the end of the program').catch((error) => {
      this.child.kill('SIGKILL');
      throw error;
    });
    if (code !== 0 || /Sanitizer|runtime error/.test(this.errors)) {
      throw new Error(`ended with ${signal ?? code}: ${this.errors}`);
    }
  }
}

/** A client_probe of an environment; `args` as its own. It ends with the test. */
export function startProbe(t, { url, token, environment = 'prod', args = [] }) {
  const probe = new Driven('client_probe', ['--url', url, '--token', token, '--environment', environment, '--log', ...args]);
  atEnd(t, () => (probe.child.exitCode === null && probe.child.signalCode === null ? probe.quit() : undefined));
  return probe;
}
