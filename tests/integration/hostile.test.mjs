// SPDX-License-Identifier: Apache-2.0
// Hostile bodies, connections and clocks against the whole daemon: 4xx with a code, others unaffected, memory flat.
// The single cases of smuggling and paths are in tests/unit/flagd/test_http_*.c.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { clockOffset } from './support/clock.mjs';
import { isSanitized, startFlagd, temporaryFolder } from './support/flagd.mjs';
import { RawSocket } from './support/http.mjs';
import { clientToken, createFlags } from './support/ofrep.mjs';
import { waitUntil } from './support/wait.mjs';

const EVALUATE = '/ofrep/v1/evaluate/flags/bool';
const rssKib = (flagd) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${flagd.pid}/status`, 'utf8'))[1]);

async function ready(t, options) {
  const flagd = await startFlagd(t, options);
  await createFlags(flagd);
  return { flagd, token: await clientToken(flagd, 'prod') };
}

const BODIES = [
  ['nothing but brackets, 100,000 deep', '['.repeat(60_000), 400],
  ['objects in objects', '{"a":'.repeat(10_000), 400],
  ['a duplicate name', '{"context":{"targetingKey":"a","targetingKey":"b"}}', 400],
  ['a duplicate name, escaped', '{"context":{"a":1,"\\u0061":2}}', 400],
  ['bad UTF-8', Buffer.concat([Buffer.from('{"context":{"targetingKey":"'), Buffer.from([0xc0, 0xaf]), Buffer.from('"}}')]), 400],
  ['a cut character', Buffer.concat([Buffer.from('{"context":{"targetingKey":"'), Buffer.from([0xe2, 0x82]), Buffer.from('"}}')]), 400],
  ['a lone surrogate', '{"context":{"targetingKey":"\\ud800"}}', 400],
  ['an escaped NUL', '{"context":{"targetingKey":"a\\u0000b"}}', 400],
  ['a raw control byte', '{"context":{"targetingKey":"a\u0001b"}}', 400],
  ['a number beyond all', '{"context":{"n":1e999}}', 400],
  ['a leading zero', '{"context":{"n":01}}', 400],
  ['a byte order mark', '\ufeff{}', 400],
  ['two documents', '{}{}', 400],
  ['text behind', '{} x', 400],
  ['an array', '[]', 400],
  ['a key that is too long', JSON.stringify({ context: { targetingKey: 'k'.repeat(2000) } }), 400],
  ['64 KiB and one', JSON.stringify({ context: { targetingKey: 'x', pad: 'y'.repeat(65_536) } }), 413],
  ['many small values', `{"context":{"a":[${'0,'.repeat(30_000)}0]}}`, 400],
];
test('hostile bodies are refused with a code, and the next request is answered', async (t) => {
  const { flagd, token } = await ready(t);
  for (const [what, body, status] of BODIES) {
    await t.test(what, async () => {
      const answer = await flagd.post(EVALUATE, body, { token });
      assert.ok(answer.status === status || (status === 400 && answer.status === 413), `${answer.status} ${answer.text.slice(0, 200)}`);
      assert.match(answer.json.code, /^[a-z_]+$/);
      assert.equal(typeof answer.json.errorCode, 'string');
      assert.equal((await flagd.post(EVALUATE, { context: { targetingKey: 'u' } }, { token })).status, 200);
    });
  }
});

test('numbers keep their worth or are refused', async (t) => {
  const { flagd } = await ready(t);
  const make = (value, type = 'integer') => flagd.post('/api/v1/flags', `{"key":"n${Math.random().toString().slice(2)}","type":"${type}","variants":{"a":${value}}}`);
  for (const value of ['9007199254740992', '-9007199254740992', '1e2', '1.0', '-0', '99999999999999999999999']) {
    const answer = await make(value);
    assert.ok(answer.status === 400 || value === '-0', `${value}: ${answer.status}`);
  }
  assert.match((await make('9007199254740991')).text, /"a":9007199254740991/);
  assert.match((await make('-9007199254740991')).text, /"a":-9007199254740991/);
  for (const weight of ['-1', '1e2', '"50"', '1.5', '4294967296']) {
    const answer = await flagd.patch('/api/v1/flags/half/environments/prod', `{"default":{"split":[{"variant":"on","weight":${weight}}]}}`);
    assert.equal(answer.status, 400, `${weight}: ${answer.text}`);
    assert.equal(answer.json.path, '/default/split/0/weight');
  }
});

test('slow senders are cut by an absolute deadline while others are served', async (t) => {
  const { flagd, token } = await ready(t, { args: ['--request-deadline-ms', '600', '--idle-timeout-ms', '1500'] });
  const drips = [];
  for (let i = 0; i < 50; i++) {
    const socket = await RawSocket.open(flagd.port);
    socket.write('POST /ofrep/v1/evaluate/flags/bool HTTP/1.1\r\nHost: x\r\nX-Drip: ');
    drips.push(socket);
  }
  const timer = setInterval(() => drips.forEach((socket) => socket.write('a')), 100);
  t.after(() => clearInterval(timer));
  const body = await RawSocket.open(flagd.port);
  body.write(`POST ${EVALUATE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{`);
  const bodyTimer = setInterval(() => body.write(' '), 100);
  t.after(() => clearInterval(bodyTimer));
  const closed = Promise.all([...drips, body].map((socket) => socket.closed(8000)));
  for (let i = 0; i < 20; i++) {
    assert.equal((await flagd.post(EVALUATE, { context: { targetingKey: 'u' } }, { token })).status, 200);
  }
  await closed;
});

test('an endless body is cut at its limit', async (t) => {
  const { flagd, token } = await ready(t);
  const socket = await flagd.socket();
  socket.write(`POST ${EVALUATE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`);
  const chunk = `1000\r\n${'x'.repeat(4096)}\r\n`;
  const timer = setInterval(() => socket.write(chunk.repeat(4)), 5);
  t.after(() => clearInterval(timer));
  const text = await socket.readUntil('\r\n\r\n', 8000);
  assert.match(text, /^HTTP\/1\.1 413 /);
  await socket.closed(8000);
});

test('memory stays flat under hostility', { skip: isSanitized && 'a sanitizer keeps memory back' }, async (t) => {
  const { flagd, token } = await ready(t);
  const attack = async () => {
    for (const [, body] of BODIES) {
      await flagd.post(EVALUATE, body, { token }).catch(() => undefined);
    }
    await flagd.exchange('GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n').catch(() => undefined);
    await flagd.exchange(`GET /${'a'.repeat(40_000)} HTTP/1.1\r\nHost: a\r\n\r\n`).catch(() => undefined);
  };
  for (let i = 0; i < 10; i++) {
    await attack();
  }
  const before = rssKib(flagd);
  for (let i = 0; i < 40; i++) {
    await attack();
  }
  const after = rssKib(flagd);
  t.diagnostic(`${before} KiB, then ${after} KiB`);
  assert.ok(after - before < 1024, `${before} KiB, then ${after} KiB`);
});

const OPEN = new Set(['/healthz', '/readyz', '/metrics', '/openapi.json', '/ofrep/v1/stream']);
test('no route is open that should not be, whatever the path looks like', async (t) => {
  const { flagd, token } = await ready(t);
  const { json: openapi } = await flagd.get('/openapi.json', { token: null });
  let count = 0;
  for (const [pattern, operations] of Object.entries(openapi.paths)) {
    const target = pattern.replace('{environment}', 'prod').replace('{key}', 'bool').replace('{id}', 'tok_x');
    for (const method of Object.keys(operations).filter((name) => /^(get|post|put|patch|delete)$/.test(name))) {
      const body = method === 'get' || method === 'delete' ? undefined : {};
      const nobody = await flagd.request(method.toUpperCase(), target, { token: null, body });
      if (!OPEN.has(pattern)) {
        assert.equal(nobody.status, 401, `${method} ${pattern} without a token`);
      }
      count++;
    }
  }
  assert.ok(count >= 35);
  const tricks = ['/healthz/../api/v1/flags', '/healthz/%2e%2e/api/v1/flags', '//api/v1/flags', '/api/v1/flags/', '/API/v1/flags', '/api/v1/flags%00',
    '/api/v1/flags%2fbool', '/api/v1/./flags', '/%61pi/v1/tokens', '/api/v1/tokens?x=/healthz', '/healthz%3f/../api/v1/tokens'];
  for (const trick of tricks) {
    const raw = await flagd.exchange(`GET ${trick} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    assert.match(raw, /^HTTP\/1\.1 (400|401|404) /, `${trick}: ${raw.slice(0, 40)}`);
    const client = await flagd.exchange(`GET ${trick} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nConnection: close\r\n\r\n`);
    assert.match(client, /^HTTP\/1\.1 (400|403|404) /, `${trick} with a client token: ${client.slice(0, 40)}`);
  }
});

test('the wall clock jumps back and forth under a running daemon', { skip: isSanitized && 'libfaketime and sanitizers do not mix' }, async (t) => {
  const file = path.join(temporaryFolder(t), 'clock');
  const env = clockOffset('+0');
  if (env === undefined) {
    return t.skip('needs libfaketime');
  }
  delete env.FAKETIME;
  writeFileSync(file, '+0\n');
  const flagd = await startFlagd(t, { env: { ...env, FAKETIME_TIMESTAMP_FILE: file }, args: ['--heartbeat-ms', '200'] });
  await createFlags(flagd);
  const url = '/api/v1/flags/bool/environments/prod';
  const stream = await flagd.events('/api/v1/environments/prod/events');
  t.after(() => stream.close());
  await stream.waitFor((event) => event.event === 'snapshot');
  const versions = [];
  for (const offset of ['-1d', '+1d', '-20y', '+60y', '+0']) {
    writeFileSync(file, `${offset}\n`);
    const expected = offset === '-20y' ? 2006 : offset === '+60y' ? 2086 : undefined;
    await waitUntil(async () => {
      const { enabled } = (await flagd.get(url)).json;
      const changed = await flagd.patch(url, { enabled: !enabled });
      assert.equal(changed.status, 200, changed.text);
      versions.push(Number(changed.json.version));
      return expected === undefined || new Date(changed.json.updated_at).getUTCFullYear() === expected;
    }, 5000, `the clock at ${offset}`);
    const seen = stream.comments.items.length;
    await waitUntil(() => stream.comments.items.length > seen, 3000, 'a heartbeat: timers are monotonic');
  }
  versions.forEach((version, i) => assert.equal(version, versions[0] + i, 'one version a change'));
  const history = (await flagd.get('/api/v1/flags/bool/history?environment=prod&limit=1000')).json.items;
  assert.equal(history.length, versions.at(-1));
  const { revision } = (await flagd.get('/api/v1/environments/prod')).json;
  await stream.waitFor((event) => event.id === `1-${revision}`);
  // Time travel to now shows what a reader has now, although entries of the future lie between.
  const at = new Date().toISOString();
  assert.equal((await flagd.get(`${url}?at=${at}`)).status, 200);
  await flagd.stop();
  const again = await startFlagd(t, { data: flagd.data });
  assert.equal((await again.get(url)).json.version, String(versions.at(-1)));
});
