// SPDX-License-Identifier: Apache-2.0
// The unmodified Java provider of OpenFeature (exact classes of numbers, 32-bit integers) against the real daemon.
import path from 'node:path';
import test from 'node:test';

import { checkDenied, checkOffWithoutValue, checkProvider, providerDaemon } from './support/provider.mjs';
import { built, run, sources, versionOf } from './support/sdk.mjs';

const versions = [await versionOf('javac', '-version'), await versionOf('mvn', '-version')];
const isMissing = versions.includes(null);

async function probe() {
  const made = await built('java', ['java/pom.xml', 'java/Probe.java'], versions.join(), async (folder) => {
    const copy = ['dependency:copy-dependencies', `-DoutputDirectory=${folder}`, '-DincludeScope=runtime'];
    await run(['mvn', '--batch-mode', '--quiet', '--strict-checksums', '-f', path.join(sources, 'java/pom.xml'), ...copy]);
    const strict = ['-Xlint:all', '-Xlint:-classfile', '-Xlint:-processing', '-Werror'];
    await run(['javac', ...strict, '-cp', `${folder}/*`, '-d', folder, path.join(sources, 'java/Probe.java')]);
  });
  return ['java', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-cp', `${made}:${made}/*`, 'Probe'];
}

test('java provider', { skip: isMissing && 'a JDK and Maven are not installed' }, async (t) => {
  const command = await probe();
  const daemon = await providerDaemon(t);
  await t.test('every type, every reason, every error', () =>
    checkProvider(command, daemon, {
      types: { boolean: /^Boolean$/, string: /^String$/, integer: /^Integer$/, float: /^Double$/, object: /^Value$/ },
      // Version 0.0.2 makes this of every 400, whatever its body says.
      differing: { 'no targeting key': { errorCode: 'INVALID_CONTEXT' } },
    }));
  // Version 0.0.2 says so of every answer without `value`.
  await t.test('a flag that is off without a value', () =>
    checkOffWithoutValue(command, daemon, { reason: 'ERROR', errorCode: 'FLAG_NOT_FOUND' }));
  await t.test('a refused token', () => checkDenied(command, daemon, /./));
});
