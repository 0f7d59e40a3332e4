// SPDX-License-Identifier: Apache-2.0
// The admin API at its edges: long names, archived things, preconditions, retries, limits.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

import { isSanitized, startFlagd } from './support/flagd.mjs';

const setting = (key, environment) => `/api/v1/flags/${key}/environments/${environment}`;

async function made(promise, status = 201) {
  const answer = await promise;
  assert.equal(answer.status, status, answer.text);
  return answer;
}

test('texts that are too long for what they name are refused with a sentence of their own', async (t) => {
  const flagd = await startFlagd(t);
  const long = 'e'.repeat(70);
  const flag = await flagd.post('/api/v1/flags', { key: 'a', type: 'boolean', environments: { [long]: {} } });
  assert.equal(flag.status, 400);
  assert.equal(flag.json.detail, 'There is no environment with a key of more than 64 bytes');
  assert.equal(flag.json.path, `/environments/${long}`);
  await made(flagd.post('/api/v1/flags', { key: 'a', type: 'boolean' }));
  for (const version of [`${'0'.repeat(69)}1`, '+1', ' 1', '-1', '0', '2', '18446744073709551617', '']) {
    const revert = await flagd.post(`${setting('a', 'dev')}/revert`, { version });
    assert.equal(revert.status, 400, version);
    assert.equal(revert.json.detail, 'The version is a number from 1 to 1, as a string');
    assert.equal(revert.json.path, '/version');
  }
  for (const cursor of ['-1', '+1', 'x', '0', '99999999999999999999999']) {
    const page = await flagd.get(`/api/v1/flags/a/history?cursor=${encodeURIComponent(cursor)}`);
    assert.equal(page.status, 400, cursor);
    assert.equal(page.json.path, '?cursor');
  }
});

test('history leaves out no entry, however large or deep', async (t) => {
  const flagd = await startFlagd(t);
  const nest = (levels) => (levels === 0 ? 1 : { d: nest(levels - 1) });
  await made(flagd.post('/api/v1/flags', { key: 'deep', type: 'object', variants: { a: nest(21) } }));
  await made(flagd.patch('/api/v1/flags/deep', { variants: { b: nest(21) } }), 200);
  await made(flagd.post('/api/v1/flags', { key: 'deepest', type: 'object', variants: { a: nest(22) } }));
  await made(flagd.post('/api/v1/flags', { key: 'large', type: 'object', variants: { a: { text: 'x'.repeat(900_000) } } }));
  await made(flagd.patch('/api/v1/flags/large', { description: 'twice in one entry' }), 200);
  const actions = async (key) => (await flagd.get(`/api/v1/flags/${key}/history`)).json.items.map((entry) => entry.action);
  assert.deepEqual((await actions('deep')).slice(0, 1), ['flag.update']);
  assert.equal((await actions('deepest')).at(-1), 'flag.create');
  assert.deepEqual(await actions('large'), ['flag.update', 'setting.create', 'setting.create', 'setting.create', 'flag.create']);
});

test('a page of large things ends early and says where to go on', async (t) => {
  const flagd = await startFlagd(t);
  const text = 'x'.repeat(900_000);
  await made(flagd.post('/api/v1/flags', { key: 'large', type: 'object', variants: { a: { text } } }));
  for (let i = 0; i < 40; i++) {
    await made(flagd.patch('/api/v1/flags/large', { description: `change ${i}` }), 200);
  }
  const actions = [];
  let pages = 0;
  for (let cursor = ''; cursor !== null; pages++) {
    const page = await made(flagd.get(`/api/v1/flags/large/history?limit=1000${cursor}`), 200);
    assert.ok(page.text.length < 32 * 1024 * 1024, `${page.text.length} bytes`);
    actions.push(...page.json.items.map((entry) => entry.action));
    cursor = page.json.next_cursor === null ? null : `&cursor=${page.json.next_cursor}`;
  }
  assert.equal(actions.length, 44);
  assert.ok(pages > 1);
});

test('an archived flag stays as it was archived', async (t) => {
  const flagd = await startFlagd(t);
  const url = '/api/v1/flags/old';
  await made(flagd.post('/api/v1/flags', { key: 'old', type: 'boolean', description: 'as it was' }));
  const both = await flagd.patch(url, { archived: true, description: 'hidden from the journal' });
  assert.equal(both.status, 400, both.text);
  assert.equal(both.json.path, '/archived');
  await made(flagd.patch(url, { archived: true }), 200);
  const broken = await flagd.patch(url, { archived: true, variants: { on: 5 } });
  assert.equal(broken.status, 410, broken.text);
  await made(flagd.patch(url, { archived: true, description: 'as it was' }), 200);
  const back = await made(flagd.patch(url, { archived: false, description: 'better' }), 200);
  assert.equal(back.json.version, '3');
  const { items } = (await flagd.get(`${url}/history`)).json;
  assert.deepEqual(items.slice(0, 2).map((entry) => [entry.action, entry.before?.description, entry.after?.description]),
    [['flag.restore', undefined, 'better'], ['flag.archive', 'as it was', undefined]]);
});

test('If-Match holds on every change, also where nothing is left to match', async (t) => {
  const flagd = await startFlagd(t);
  const stale = { headers: { 'if-match': '"7"' } };
  await made(flagd.post('/api/v1/flags', { key: 'a', type: 'boolean' }));
  await made(flagd.put('/api/v1/segments/s', { included: ['a'] }));
  const token = await made(flagd.post('/api/v1/tokens', { name: 't', kind: 'client', environment: 'dev' }));
  const refused = [
    flagd.patch('/api/v1/environments/dev', { description: 'x' }, stale), flagd.patch('/api/v1/flags/a', { description: 'x' }, stale),
    flagd.delete('/api/v1/flags/a', stale), flagd.patch(setting('a', 'dev'), { enabled: true }, stale),
    flagd.post(`${setting('a', 'dev')}/revert`, { version: '1' }, stale), flagd.put('/api/v1/segments/s', { included: ['b'] }, stale),
    flagd.delete('/api/v1/segments/s', stale), flagd.delete(`/api/v1/tokens/${token.json.id}`, stale),
    flagd.put('/api/v1/segments/never', { included: ['b'] }, stale),
  ];
  for (const answer of await Promise.all(refused)) {
    assert.equal(answer.status, 412, answer.text);
    assert.equal(answer.json.code, 'precondition_failed');
  }
  await made(flagd.delete('/api/v1/segments/s', { headers: { 'if-match': '"1"' } }), 204);
  /* Somebody deleted it meanwhile: an edit of version 1 must not bring it back. */
  const late = await flagd.put('/api/v1/segments/s', { included: ['b'] }, { headers: { 'if-match': '"1"' } });
  assert.equal(late.status, 412, late.text);
  assert.equal((await flagd.get('/api/v1/segments/s')).status, 404);
});

test('a retry is given the first answer, also when the first changed nothing', async (t) => {
  const flagd = await startFlagd(t);
  const retry = { headers: { 'idempotency-key': 'deploy-17' } };
  const url = setting('a', 'prod');
  await made(flagd.post('/api/v1/flags', { key: 'a', type: 'boolean' }));
  const first = await made(flagd.patch(url, { enabled: false }, retry), 200);
  await made(flagd.patch(url, { enabled: true }), 200);
  const second = await made(flagd.patch(url, { enabled: false }, retry), 200);
  assert.equal(second.headers['idempotent-replayed'], 'true');
  assert.deepEqual(second.json, first.json);
  assert.equal((await flagd.get(url)).json.enabled, true);
  assert.equal((await flagd.patch(url, { enabled: true }, retry)).status, 409);
  await flagd.stop();
});

test('a token has a name of 1 to 64 bytes, and the journal knows it', async (t) => {
  const flagd = await startFlagd(t);
  const token = (name) => flagd.post('/api/v1/tokens', { name, kind: 'owner' });
  for (const name of ['', 'n'.repeat(65)]) {
    const refused = await token(name);
    assert.equal(refused.status, 400, refused.text);
    assert.equal(refused.json.path, '/name');
  }
  const fits = await made(token('n'.repeat(64)));
  await made(flagd.post('/api/v1/flags', { key: 'a', type: 'boolean' }, { token: fits.json.token }));
  const { items } = (await flagd.get('/api/v1/flags/a/history')).json;
  assert.deepEqual(items[0].actor, { type: 'token', id: fits.json.id, name: 'n'.repeat(64) });
});

test("a client token is not answered from its own environment when it asks for another's", async (t) => {
  const flagd = await startFlagd(t);
  await made(flagd.post('/api/v1/flags', { key: 'a', type: 'boolean' }));
  const { token } = (await made(flagd.post('/api/v1/tokens', { name: 't', kind: 'client', environment: 'dev' }))).json;
  for (const url of ['/ofrep/v1/evaluate/flags/a', '/ofrep/v1/evaluate/flags', '/api/v1/telemetry']) {
    const body = url.includes('telemetry') ? { client: { name: 'x', version: '1' } } : {};
    const other = await flagd.post(`${url}?environment=prod`, body, { token });
    assert.equal(other.status, 403, other.text);
    const own = await flagd.post(`${url}?environment=dev`, body, { token });
    assert.notEqual(own.status, 403, own.text);
  }
  assert.equal((await flagd.post('/ofrep/v1/evaluate/flags/a', {})).status, 400);
});

test('keys do not end in a core dump', async (t) => {
  const flagd = await startFlagd(t);
  assert.match(readFileSync(`/proc/${flagd.pid}/limits`, 'utf8'), /^Max core file size +0 +0 /m);
});

test('an environment never holds more than a client can be sent', { skip: isSanitized && 'moves hundreds of megabytes' }, async (t) => {
  const flagd = await startFlagd(t);
  const text = 'x'.repeat(1_000_000);
  let refused;
  for (let i = 0; i < 70 && refused === undefined; i++) {
    const answer = await flagd.post('/api/v1/flags', { key: `large-${i}`, type: 'object', variants: { a: { text } } });
    refused = answer.status === 201 ? undefined : answer;
  }
  assert.equal(refused?.status, 413, refused?.text);
  assert.match(refused.json.detail, /^The flags and segments of environment dev would be longer than 48 MiB together$/);
  assert.equal((await flagd.get('/api/v1/environments/dev/snapshot')).status, 200);
  await made(flagd.patch('/api/v1/flags/large-0', { archived: true }), 200);
  await made(flagd.post('/api/v1/flags', { key: 'small', type: 'boolean' }));
});
