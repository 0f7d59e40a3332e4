// SPDX-License-Identifier: Apache-2.0
// The unmodified Go provider of OpenFeature against the real daemon. It needs a newer Go than Debian 12 has.
import path from 'node:path';
import test from 'node:test';

import { checkDenied, checkOffWithoutValue, checkProvider, providerDaemon } from './support/provider.mjs';
import { built, run, sources, versionOf } from './support/sdk.mjs';

const WANTED = 24; // Go 1.24, what the provider's go.mod says
const version = await versionOf('go', 'env', 'GOVERSION');
const [, minor] = /^go1\.(\d+)/.exec(version ?? '') ?? [];
const reason = Number(minor ?? 0) < WANTED && `Go 1.${WANTED} or newer is needed, found ${version ?? 'none'}`;

async function probe() {
  const made = await built('go', ['go/go.mod', 'go/go.sum', 'go/main.go'], version, (folder) =>
    run(['go', 'build', '-mod=readonly', '-buildvcs=false', '-o', path.join(folder, 'probe'), '.'], {
      cwd: path.join(sources, 'go'),
      env: { ...process.env, GOTOOLCHAIN: 'local', CGO_ENABLED: '0' },
    }));
  return [path.join(made, 'probe')];
}

test('go provider', { skip: reason }, async (t) => {
  const command = await probe();
  const daemon = await providerDaemon(t);
  await t.test('every type, every reason, every error', () =>
    checkProvider(command, daemon, {
      types: { boolean: /^bool$/, string: /^string$/, integer: /^int64$/, float: /^float64$/, object: /^map/ },
      // Version 0.1.7 gives the default of the code whenever a flag is off, even when it has a value, and converts integers.
      differing: {
        'off with a value': { value: true },
        'float of an integer flag': { value: 42, reason: 'STATIC', errorCode: undefined },
      },
    }));
  await t.test('a flag that is off without a value', () => checkOffWithoutValue(command, daemon, { reason: 'DISABLED', errorCode: null }));
  await t.test('a refused token', () => checkDenied(command, daemon, /./));
});
