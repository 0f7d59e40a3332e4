// SPDX-License-Identifier: Apache-2.0
// Programs in other languages that use OpenFeature's own providers: how they are built, once, and run.
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { root } from './flagd.mjs';
import { withDeadline } from './wait.mjs';

/** tests/integration. */
export const sources = fileURLToPath(new URL('../', import.meta.url));
const INSTALL_MS = 300_000;

/** Runs a command to its end and gives what it wrote. */
export async function run(command, { deadlineMs = INSTALL_MS, ...options } = {}) {
  const [file, ...args] = command;
  try {
    const { stdout } = await promisify(execFile)(file, args, { timeout: deadlineMs, maxBuffer: 1 << 24, ...options });
    return stdout;
  } catch (error) {
    throw new Error(`${command.join(' ')}: ${error.message}\n${error.stdout ?? ''}${error.stderr ?? ''}`);
  }
}

/** What a command says of itself (its version), or null when it is not there. */
export async function versionOf(...command) {
  try {
    return (await run(command, { deadlineMs: 20_000 })).trim();
  } catch {
    return null;
  }
}

/**
 * The folder build/sdk/NAME-DIGEST that `make` filled from these files of tests/integration. It is made anew only when
 * a file or the tool's version changed; one that was not finished counts as missing.
 */
export async function built(name, files, tool, make) {
  const hash = createHash('sha256').update(tool);
  for (const file of files) {
    hash.update('\0').update(readFileSync(path.join(sources, file)));
  }
  const parent = path.join(root, 'build/sdk');
  const made = path.join(parent, `${name}-${hash.digest('hex').slice(0, 16)}`);
  const stamp = path.join(made, '.complete');
  if (!existsSync(stamp)) {
    mkdirSync(parent, { recursive: true });
    for (const old of readdirSync(parent).filter((entry) => entry.startsWith(`${name}-`))) {
      rmSync(path.join(parent, old), { recursive: true, force: true });
    }
    mkdirSync(made);
    await make(made);
    writeFileSync(stamp, '');
  }
  return made;
}

/** Runs `command URL TOKEN` with the cases on standard input; gives its answers by the cases' names. */
export async function evaluateCases(command, { url, token, cases, deadlineMs = 30_000 }) {
  const [file, ...args] = command;
  const child = spawn(file, [...args, url, token], { stdio: 'pipe' });
  let output = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (errors += text));
  const ended = new Promise((resolve, reject) => child.on('error', reject).on('close', resolve));
  child.stdin.on('error', () => {}); // it ended early; its status says so
  child.stdin.end(JSON.stringify(cases));
  const status = await withDeadline(ended, deadlineMs, file).finally(() => child.kill('SIGKILL'));
  if (status !== 0) {
    throw new Error(`${file} ended with ${status}: ${errors}`);
  }
  const answers = output.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  return new Map(answers.map((answer) => [answer.name, answer]));
}
