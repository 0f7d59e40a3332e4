// SPDX-License-Identifier: Apache-2.0
// A full disk, a disk that cannot be written, no descriptors left, damaged files: reads go on, changes are refused with a
// clear problem, nothing damaged is served, and what heals is noticed without a restart.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, copyFileSync, cpSync, existsSync, ftruncateSync, openSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { Flagd, Program, atEnd, buildFolder, isSanitized, startFlagd, temporaryFolder } from './support/flagd.mjs';
import { RawSocket } from './support/http.mjs';
import { clientToken } from './support/ofrep.mjs';
import { waitUntil } from './support/wait.mjs';

const SETTING = '/api/v1/flags/a/environments/prod';

/** A file system of its own with so many KiB; undefined when this process may not mount. */
function smallDisk(t, kib) {
  const folder = temporaryFolder(t);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `mode=0700,size=${kib}k`, 'tmpfs', folder], { stdio: 'pipe' });
  } catch {
    return undefined;
  }
  atEnd(t, () => execFileSync('umount', ['-l', folder]));
  return folder;
}

/** Takes every byte that is left; returns the file. */
function fill(folder) {
  const file = path.join(folder, 'filler');
  const fd = openSync(file, 'a');
  for (let size = 65536; size >= 1; size = size === 1 ? 0 : Math.floor(size / 8) || 1) {
    try {
      for (;;) {
        writeSync(fd, Buffer.alloc(size, 120));
      }
    } catch (error) {
      assert.equal(error.code, 'ENOSPC');
    }
    if (size === 1) {
      break;
    }
  }
  closeSync(fd);
  return file;
}

async function seed(flagd) {
  assert.equal((await flagd.post('/api/v1/flags', { key: 'a', type: 'boolean', environments: { prod: { enabled: true } } })).status, 201);
  return clientToken(flagd, 'prod');
}

async function assertReads(flagd, token) {
  assert.equal((await flagd.post('/ofrep/v1/evaluate/flags/a', { context: { targetingKey: 'u' } }, { token })).status, 200);
  assert.equal((await flagd.get('/api/v1/environments/prod/snapshot', { token })).status, 200);
  assert.equal((await flagd.get('/api/v1/flags/a')).status, 200);
  assert.equal((await flagd.get('/api/v1/flags/a/history')).status, 200);
  assert.equal((await flagd.get('/readyz?for=reads', { token: null })).status, 200);
}

test('a full disk: reads and streams go on, changes are refused, room is noticed', async (t) => {
  const data = smallDisk(t, 6000);
  if (data === undefined) {
    return t.skip('needs the right to mount');
  }
  const flagd = await startFlagd(t, { data });
  const token = await seed(flagd);
  const stream = await flagd.events('/api/v1/environments/prod/events');
  t.after(() => stream.close());
  await stream.waitFor((event) => event.event === 'snapshot');
  const filler = fill(data);
  // What the log had preallocated may still take a few.
  let enabled = true;
  const refused = await waitUntil(async () => {
    enabled = !enabled;
    const answer = await flagd.patch(SETTING, { enabled, rules: [], reason: 'x'.repeat(400) });
    return answer.status !== 200 && answer;
  }, 20_000, 'a refused change');
  assert.equal(refused.status, 507, refused.text);
  assert.equal(refused.json.code, 'storage_full');
  assert.match(refused.json.detail, /full|room|space/i);
  await assertReads(flagd, token);
  const ready = await flagd.get('/readyz', { token: null });
  assert.equal(ready.status, 503);
  assert.deepEqual([ready.json.ready, ready.json.reads, ready.json.changes], [false, true, false]);
  assert.equal(ready.json.reasons[0].code, 'storage_full');
  assert.match((await flagd.get('/metrics')).text, /^halyard_store_writable 0$/m);
  const before = (await flagd.get(SETTING)).json;

  rmSync(filler);
  await waitUntil(async () => (await flagd.get('/readyz', { token: null })).status === 200, 10_000, 'readiness');
  const changed = await flagd.patch(SETTING, { enabled: !before.enabled }, { headers: { 'if-match': `"${before.version}"` } });
  assert.equal(changed.status, 200, changed.text);
  const { revision } = (await flagd.get('/api/v1/environments/prod')).json;
  await stream.waitFor((event) => event.id === `1-${revision}`);
  await flagd.stop();
  const again = await startFlagd(t, { data });
  assert.equal((await again.get(SETTING)).json.version, changed.json.version);
});

test('a start on a full disk serves reads', async (t) => {
  const data = smallDisk(t, 6000);
  if (data === undefined) {
    return t.skip('needs the right to mount');
  }
  const first = await startFlagd(t, { data });
  const token = await seed(first);
  await first.stop();
  const filler = fill(data);
  const flagd = await startFlagd(t, { data });
  await assertReads(flagd, token);
  const refused = await waitUntil(async () => {
    const answer = await flagd.post('/api/v1/flags', { key: `b${Math.random()}`, type: 'boolean', description: 'x'.repeat(1500) });
    return answer.status !== 201 && answer;
  }, 20_000, 'a refused change');
  assert.equal(refused.status, 507, refused.text);
  rmSync(filler);
  await waitUntil(async () => (await flagd.get('/readyz', { token: null })).status === 200, 10_000, 'readiness');
});

test('no descriptors left: who is connected goes on, and newcomers are served when there are some again', async (t) => {
  const flagd = await startFlagd(t, { prefix: ['prlimit', '--nofile=160:160'] });
  const token = await seed(flagd);
  const stream = await flagd.events('/api/v1/environments/prod/events');
  t.after(() => stream.close());
  await stream.waitFor((event) => event.event === 'snapshot');
  const kept = await flagd.socket();
  const ask = async () => {
    const from = kept.received.length;
    const body = '{"context":{"targetingKey":"u"}}';
    kept.write(`POST /ofrep/v1/evaluate/flags/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    await waitUntil(() => kept.received.subarray(from).includes('"variant":"on"'), 5000, 'an answer');
  };
  await ask();
  const crowd = [];
  for (let i = 0; i < 200; i++) {
    crowd.push(await RawSocket.open(flagd.port).catch(() => undefined));
  }
  await ask();
  crowd.forEach((socket) => socket?.destroy());
  await waitUntil(async () => (await flagd.get('/healthz', { token: null }).catch(() => ({}))).status === 200, 10_000, 'a new connection');
  assert.equal((await flagd.patch(SETTING, { enabled: false })).status, 200);
  await stream.waitFor((event) => event.event === 'delta');
  kept.destroy();
});

/** A daemon that must not start: its exit code and what it says. */
async function refusesToStart(data, env = {}) {
  const program = new Program([path.join(buildFolder, 'flagd/flagd'), '--data', data, '--listen', '127.0.0.1:0'], { env });
  const { code } = await Promise.race([program.exited, program.waitForLog('listening', 20_000).then(() => ({ code: 'started' }))]);
  if (code === 'started') {
    await program.stop();
  }
  return { code, text: program.transcript() };
}

async function stoppedData(t) {
  const flagd = await startFlagd(t);
  await seed(flagd);
  for (let i = 0; i < 20; i++) {
    await flagd.post('/api/v1/flags', { key: `flag-${i}`, type: 'string', variants: { a: 'x'.repeat(200), b: 'y' } });
  }
  await flagd.stop();
  return flagd.data;
}

const DAMAGE = [
  ['a truncated database', (db) => {
    const fd = openSync(db, 'r+');
    ftruncateSync(fd, Math.floor(statSync(db).size / 2));
    closeSync(fd);
  }],
  ['an empty database', (db) => writeFileSync(db, '')],
  ['a file of something else', (db) => writeFileSync(db, 'this is not a database'.repeat(500))],
  ['a database of another program', (db) => {
    rmSync(db);
    execFileSync('python3', ['-c', 'import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); c.execute("create table t(x)"); c.commit()', db]);
  }],
  ['a database that was deleted beside its keys', (db) => rmSync(db)],
];
for (const [what, damage] of DAMAGE) {
  test(`${what} is refused at start, with a sentence that says what to do`, async (t) => {
    const data = await stoppedData(t);
    damage(path.join(data, 'halyard.db'));
    const { code, text } = await refusesToStart(data);
    assert.notEqual(code, 'started');
    assert.notEqual(code, 0);
    assert.match(text, /restore|backup/i);
  });
}

test('a deleted write-ahead log is noticed: acknowledged changes were in it', async (t) => {
  const flagd = await startFlagd(t);
  await seed(flagd);
  await flagd.patch(SETTING, { enabled: false });
  await flagd.kill9();
  assert.ok(existsSync(path.join(flagd.data, 'halyard.db-wal')));
  rmSync(path.join(flagd.data, 'halyard.db-wal'));
  rmSync(path.join(flagd.data, 'halyard.db-shm'), { force: true });
  const { code, text } = await refusesToStart(flagd.data);
  assert.notEqual(code, 'started');
  assert.match(text, /restore|backup/i);
});

test('a flipped bit anywhere is refused, or harmless: never served as truth', { timeout: 240_000 }, async (t) => {
  const data = await stoppedData(t);
  const db = path.join(data, 'halyard.db');
  const genuine = readFileSync(db);
  const truth = await (async () => {
    const flagd = await startFlagd(t, { data });
    const text = (await flagd.get('/api/v1/flags?limit=1000')).text;
    await flagd.stop();
    return text;
  })();
  const outcomes = { refused: 0, harmless: 0 };
  const rounds = isSanitized ? 15 : 60;
  for (let round = 0; round < rounds; round++) {
    const copy = temporaryFolder(t);
    cpSync(data, copy, { recursive: true });
    const bytes = Buffer.from(genuine);
    const at = Math.floor((round + 0.5) / rounds * bytes.length) + (round * 7919) % 512;
    bytes[at % bytes.length] ^= 1 << (round % 8);
    writeFileSync(path.join(copy, 'halyard.db'), bytes);
    const program = new Flagd([path.join(buildFolder, 'flagd/flagd'), '--data', copy, '--listen', '127.0.0.1:0'], {});
    program.data = copy;
    const started = await Promise.race([program.exited.then(() => false), program.waitForLog('listening', 20_000).then((line) => line, () => false)]);
    if (!started) {
      outcomes.refused++;
      assert.match((await program.exited, program.transcript()), /restore|backup|damaged/i);
      continue;
    }
    program.url = `http://127.0.0.1:${started.port}`;
    const served = await program.get('/api/v1/flags?limit=1000');
    assert.equal(served.status, 200, `bit at ${at}`);
    assert.equal(served.text, truth, `bit at ${at}: changed content was served`);
    outcomes.harmless++;
    await program.stop();
  }
  t.diagnostic(JSON.stringify(outcomes));
  assert.ok(outcomes.refused > 0);
});

test('a second daemon on the same folder is refused and told who holds it', async (t) => {
  const flagd = await startFlagd(t);
  const { code, text } = await refusesToStart(flagd.data);
  assert.notEqual(code, 'started');
  assert.match(text, new RegExp(`\\b${flagd.pid}\\b`));
  assert.equal((await flagd.get('/healthz')).status, 200);
});

test('keys that others may read, or that are missing, are refused', async (t) => {
  const data = await stoppedData(t);
  execFileSync('chmod', ['0644', path.join(data, 'pepper.key')]);
  assert.match((await refusesToStart(data)).text, /pepper\.key/);
  execFileSync('chmod', ['0600', path.join(data, 'pepper.key')]);
  copyFileSync(path.join(data, 'signing.key'), path.join(data, 'kept'));
  rmSync(path.join(data, 'signing.key'));
  assert.match((await refusesToStart(data)).text, /signing\.key/);
});
