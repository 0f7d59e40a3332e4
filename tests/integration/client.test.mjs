// SPDX-License-Identifier: Apache-2.0
// libhalyard against the real daemon: how a change arrives, what happens when the daemon goes, what a client refuses.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import test from 'node:test';

import { Driven, startProbe } from './support/client.mjs';
import { Flagd, atEnd, isSanitized, startFlagd, temporaryFolder } from './support/flagd.mjs';
import { clientToken } from './support/ofrep.mjs';

const FLAG = '/api/v1/flags/ENABLE_ALERTS/environments/prod';

async function ready(t, options) {
  const flagd = await startFlagd(t, options);
  await flagd.post('/api/v1/flags', { key: 'ENABLE_ALERTS', type: 'boolean' });
  return { flagd, token: await clientToken(flagd, 'prod') };
}
const publicKey = (flagd) => readFileSync(path.join(flagd.data, 'signing.pub'), 'utf8').trim();
const revisionOf = async (flagd) => (await flagd.get('/api/v1/environments/prod')).json.revision;

/** Restarts a daemon on the same port with the same data. */
async function restart(t, flagd, { data = flagd.data, args = [] } = {}) {
  const again = await Flagd.start({ data, args, listen: `127.0.0.1:${flagd.port}` });
  atEnd(t, () => (again.hasEnded ? undefined : again.stop()));
  return again;
}

test('a change reaches a running client at once, with a callback that names it', async (t) => {
  const { flagd, token } = await ready(t);
  const probe = startProbe(t, { url: flagd.url, token });
  assert.equal((await probe.ask('ready 5000')).result, 0);
  await probe.ask('subscribe');
  assert.equal((await probe.ask('bool ENABLE_ALERTS u1')).value, false);
  const from = probe.lines.items.length;
  assert.equal((await flagd.patch(FLAG, { enabled: true })).status, 200);
  const change = await probe.waitForEvent('change', () => true, 5000, from);
  assert.deepEqual(change.keys, ['ENABLE_ALERTS']);
  const after = await probe.ask('bool ENABLE_ALERTS u1');
  assert.deepEqual([after.value, after.reason, after.is_stale, after.revision], [true, 'STATIC', false, await revisionOf(flagd)]);
});

test('polling alone follows too', async (t) => {
  const { flagd, token } = await ready(t);
  const probe = startProbe(t, { url: flagd.url, token, args: ['--poll-only', '--poll-ms', '100'] });
  assert.equal((await probe.ask('ready 5000')).result, 0);
  await flagd.patch(FLAG, { enabled: true });
  assert.equal((await probe.ask(`wait ${await revisionOf(flagd)} 5000`)).ok, true);
  assert.equal((await probe.ask('status')).state, 'polling');
});

test('a daemon that is gone for good: the last values, marked stale; a new process starts from the cache', async (t) => {
  const { flagd, token } = await ready(t);
  await flagd.patch(FLAG, { enabled: true });
  const cache = temporaryFolder(t);
  const probe = startProbe(t, { url: flagd.url, token, args: ['--cache-dir', cache, '--stale-ms', '300'] });
  await probe.ask(`wait ${await revisionOf(flagd)} 5000`);
  await flagd.kill9();
  assert.equal((await probe.ask('state disconnected 5000')).ok, true);
  const { value } = await probe.ask('bool ENABLE_ALERTS u1');
  assert.equal(value, true);
  let stale = false;
  for (let i = 0; i < 200 && !stale; i++) {
    stale = (await probe.ask('bool ENABLE_ALERTS u1')).is_stale;
  }
  await probe.ask('state streaming 400'); // not reached: passes the time in which it becomes stale
  assert.equal((await probe.ask('bool ENABLE_ALERTS u1')).is_stale, true);
  await probe.quit();

  const cold = startProbe(t, { url: flagd.url, token, args: ['--cache-dir', cache] });
  const first = await cold.ask('bool ENABLE_ALERTS u1');
  assert.deepEqual([first.value, first.is_stale, first.is_default], [true, true, false]);
  assert.equal((await cold.ask('status')).source, 'cache');
  const unknown = await cold.ask('bool NOT_THERE u1');
  assert.deepEqual([unknown.is_default, unknown.error], [true, 'FLAG_NOT_FOUND']);
});

test('without daemon and cache: the bootstrap file, and without that the defaults of the calls', async (t) => {
  const { flagd, token } = await ready(t);
  await flagd.patch(FLAG, { enabled: true });
  const folder = temporaryFolder(t);
  const bootstrap = path.join(folder, 'bootstrap.halyard');
  writeFileSync(bootstrap, (await flagd.get('/api/v1/environments/prod/snapshot')).bytes);
  const key = publicKey(flagd);
  await flagd.kill9();
  const probe = startProbe(t, { url: flagd.url, token, args: ['--bootstrap', bootstrap, '--public-key', key] });
  assert.equal((await probe.ask('bool ENABLE_ALERTS u1')).value, true);
  assert.equal((await probe.ask('status')).source, 'bootstrap');
  const bare = startProbe(t, { url: flagd.url, token });
  const nothing = await bare.ask('bool ENABLE_ALERTS u1');
  assert.deepEqual([nothing.is_default, nothing.error], [true, 'PROVIDER_NOT_READY']);
});

test('a daemon that comes back is followed again', async (t) => {
  const { flagd, token } = await ready(t);
  const probe = startProbe(t, { url: flagd.url, token });
  await probe.ask('ready 5000');
  await flagd.kill9();
  await probe.ask('state disconnected 5000');
  const again = await restart(t, flagd);
  await again.patch(FLAG, { enabled: true });
  assert.equal((await probe.ask(`wait ${await revisionOf(again)} 15000`, 20_000)).ok, true);
  assert.equal((await probe.ask('bool ENABLE_ALERTS u1')).value, true);
});

test('an older snapshot is refused: from a restored daemon, and from a cache', async (t) => {
  const { flagd, token } = await ready(t);
  const old = (await flagd.get('/api/v1/environments/prod/snapshot')).bytes;
  await flagd.patch(FLAG, { enabled: true });
  const newest = await revisionOf(flagd);
  const key = publicKey(flagd);
  const cache = temporaryFolder(t);
  const probe = startProbe(t, { url: flagd.url, token, args: ['--cache-dir', cache] });
  await probe.ask(`wait ${newest} 5000`);
  await probe.quit();
  await flagd.stop();

  // Somebody replays the old snapshot, correctly signed, on the daemon's port.
  const replay = http.createServer((request, response) => {
    response.writeHead(200, { 'content-type': 'application/x-halyard-bundle', etag: '"1-2"' });
    response.end(old);
  });
  await new Promise((resolve) => replay.listen(flagd.port, '127.0.0.1', resolve));
  atEnd(t, () => new Promise((resolve) => {
    replay.closeAllConnections();
    replay.close(resolve);
  }));
  const again = startProbe(t, { url: flagd.url, token, args: ['--cache-dir', cache, '--public-key', key, '--poll-only', '--poll-ms', '50'] });
  await again.waitForEvent('log', (line) => /older|revision/i.test(line.message), 10_000);
  const status = await again.ask('status');
  assert.ok(Number(status.refused) >= 1, JSON.stringify(status));
  assert.equal(status.revision, newest);
  assert.equal((await again.ask('bool ENABLE_ALERTS u1')).value, true);
});

for (const [what, change] of [
  ['signed by another key', (text) => {
    const [manifest, , ...rest] = text.split('\n');
    const { privateKey, publicKey: other } = crypto.generateKeyPairSync('ed25519');
    const signature = crypto.sign(null, Buffer.from(`halyard-manifest-v1\n${manifest}`), privateKey).toString('base64');
    assert.ok(other);
    return [manifest, JSON.stringify({ key_id: '0011223344556677', signature }), ...rest].join('\n');
  }],
  ['unsigned', (text) => [text.split('\n')[0], ...text.split('\n').slice(2)].join('\n')],
  ['altered in a flag', (text) => text.replace('"enabled":false', '"enabled":true ')],
  ['altered in the manifest', (text) => text.replace('"revision":"2"', '"revision":"9"')],
  ['torn', (text) => text.slice(0, text.length - 20)],
  ['of another environment', null],
]) {
  test(`a snapshot that is ${what} is refused from the network`, async (t) => {
    const { flagd, token } = await ready(t);
    const environment = change === null ? 'dev' : 'prod';
    const genuine = (await flagd.get(`/api/v1/environments/${environment}/snapshot`)).text;
    const forged = change === null ? genuine : change(genuine);
    const forger = http.createServer((request, response) => {
      response.writeHead(200, { 'content-type': 'application/x-halyard-bundle' });
      response.end(forged);
    });
    await new Promise((resolve) => forger.listen(0, '127.0.0.1', resolve));
    atEnd(t, () => new Promise((resolve) => {
      forger.closeAllConnections();
      forger.close(resolve);
    }));
    const url = `http://127.0.0.1:${forger.address().port}`;
    const probe = startProbe(t, { url, token, args: ['--public-key', publicKey(flagd), '--poll-only', '--poll-ms', '50'] });
    await probe.waitForEvent('log', (line) => line.level === 'warn' || line.level === 'error', 10_000);
    const status = await probe.ask('status');
    assert.ok(Number(status.refused) >= 1, JSON.stringify(status));
    assert.equal(status.source, 'none');
    assert.equal((await probe.ask('bool ENABLE_ALERTS u1')).error, 'PROVIDER_NOT_READY');
  });
}

test('an altered cache file is not used', async (t) => {
  const { flagd, token } = await ready(t);
  const cache = temporaryFolder(t);
  const probe = startProbe(t, { url: flagd.url, token, args: ['--cache-dir', cache] });
  await probe.ask('ready 5000');
  await probe.quit();
  await flagd.kill9();
  for (const name of readdirSync(cache)) {
    const file = path.join(cache, name);
    writeFileSync(file, readFileSync(file, 'utf8').replace('"enabled":false', '"enabled":true '));
  }
  const cold = startProbe(t, { url: flagd.url, token, args: ['--cache-dir', cache] });
  assert.equal((await cold.ask('bool ENABLE_ALERTS u1')).error, 'PROVIDER_NOT_READY');
});

test('a denied token is told at once and does not hammer the daemon', async (t) => {
  const { flagd } = await ready(t);
  const probe = startProbe(t, { url: flagd.url, token: `hly_c_${'0'.repeat(46)}` });
  assert.equal((await probe.ask('ready 5000')).result, -5);
});

test('counts and outcomes arrive in the daemon', async (t) => {
  const { flagd, token } = await ready(t);
  const probe = startProbe(t, { url: flagd.url, token, args: ['--telemetry-ms', '100'] });
  await probe.ask('ready 5000');
  for (let i = 0; i < 5; i++) {
    await probe.ask('count ENABLE_ALERTS');
  }
  await probe.ask('count NOT_THERE');
  await probe.ask('track ENABLE_ALERTS 1 12.5');
  const { waitUntil } = await import('./support/wait.mjs');
  const seen = await waitUntil(async () => {
    const { json } = await flagd.get('/api/v1/environments/prod/telemetry');
    const row = json.flags.find((flag) => flag.flag === 'ENABLE_ALERTS' && flag.count === 5);
    return row && json.unknown.length > 0 && json.flags.some((flag) => flag.outcomes?.count === 1) && json;
  }, 5000, 'the counts');
  assert.equal(seen.unknown[0].flag, 'NOT_THERE');
  assert.equal(seen.clients[0].revision, await revisionOf(flagd));
});

test('fork, closed descriptors and a bounded close', async (t) => {
  const { flagd, token } = await ready(t);
  const probe = startProbe(t, { url: flagd.url, token });
  await probe.ask('ready 5000');
  assert.equal((await probe.ask('fork ENABLE_ALERTS')).status ?? 0, 0);
  await probe.ask('close-descriptors');
  assert.equal((await probe.ask('bool ENABLE_ALERTS u1')).error, 'NONE');
  await flagd.patch(FLAG, { enabled: true });
  assert.equal((await probe.ask(`wait ${await revisionOf(flagd)} 20000`, 25_000)).ok, true, 'it follows again');
  flagd.child.kill('SIGSTOP'); // answers nothing any more
  const closed = await probe.ask('close', 10_000);
  flagd.child.kill('SIGCONT');
  assert.ok(Number(closed.ms ?? closed.duration_ms ?? 0) <= 2500, JSON.stringify(closed));
});

test('1,000 clients: all follow, and are fresh again soon after a restart, without a stampede', { timeout: 120_000 }, async (t) => {
  const count = isSanitized ? 100 : 1000;
  const { flagd, token } = await ready(t);
  const herd = new Driven('client_herd', [String(count)], {
    HALYARD_URL: flagd.url, HALYARD_TOKEN: token, HALYARD_ENVIRONMENT: 'prod', HALYARD_PUBLIC_KEY: publicKey(flagd),
  });
  atEnd(t, () => herd.quit(60_000));
  await herd.lines.waitFor((line) => line.command === 'open', 30_000);
  assert.equal((await herd.ask(`wait ${await revisionOf(flagd)} 30000`, 40_000)).have, count);
  await flagd.kill9();
  const again = await restart(t, flagd);
  await again.patch(FLAG, { enabled: true });
  const back = await herd.ask(`wait ${await revisionOf(again)} 30000`, 40_000);
  assert.equal(back.have, count);
  t.diagnostic(`all ${count} fresh ${back.ms} ms after the change`);
  const requests = /halyard_http_requests_total\{[^}]*events_get[^}]*\} (\d+)/.exec((await again.get('/metrics')).text);
  assert.ok(Number(requests[1]) <= 1.5 * count, `${requests[1]} connections for ${count} clients`);
});
