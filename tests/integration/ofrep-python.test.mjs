// SPDX-License-Identifier: Apache-2.0
// The unmodified Python provider of OpenFeature (requests, no cache) against the real daemon.
import path from 'node:path';
import test from 'node:test';

import { checkDenied, checkOffWithoutValue, checkProvider, providerDaemon } from './support/provider.mjs';
import { built, run, sources, versionOf } from './support/sdk.mjs';

const MODULES = 'import ensurepip, sys, venv; assert sys.version_info >= (3, 10); print(sys.version)';
const python = await versionOf('python3', '-c', MODULES);

async function probe() {
  const made = await built('python', ['python/requirements.txt'], python, async (folder) => {
    await run(['python3', '-m', 'venv', folder]);
    const install = ['install', '--quiet', '--no-input', '--disable-pip-version-check', '--only-binary', ':all:', '--require-hashes'];
    await run([path.join(folder, 'bin/python'), '-m', 'pip', ...install, '-r', path.join(sources, 'python/requirements.txt')]);
  });
  return [path.join(made, 'bin/python'), '-B', path.join(sources, 'python/probe.py')];
}

test('python provider', { skip: python === null && 'python3 with venv (3.10 or newer) is not installed' }, async (t) => {
  const command = await probe();
  const daemon = await providerDaemon(t);
  await t.test('every type, every reason, every error', () =>
    checkProvider(command, daemon, {
      types: { boolean: /^bool$/, string: /^str$/, integer: /^int$/, float: /^float$/, object: /^dict$/ },
    }));
  // Version 0.3.0 takes the optional member `variant` for granted.
  await t.test('a flag that is off without a value', () =>
    checkOffWithoutValue(command, daemon, { reason: 'ERROR', errorCode: 'GENERAL' }));
  await t.test('a refused token', () => checkDenied(command, daemon, /unauthorized/));
});
