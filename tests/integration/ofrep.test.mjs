// SPDX-License-Identifier: Apache-2.0
// OFREP 0.3.0 on the wire: bodies, statuses, ETag, CORS, tickets, streams. The providers are in ofrep-*.test.mjs.
import assert from 'node:assert/strict';
import test from 'node:test';

import { clockOffset } from './support/clock.mjs';
import { isSanitized, startFlagd } from './support/flagd.mjs';
import { EventStream } from './support/http.mjs';
import { clientToken, createFlags } from './support/ofrep.mjs';

const SINGLE = (key) => `/ofrep/v1/evaluate/flags/${key}`;
const BULK = '/ofrep/v1/evaluate/flags';
const context = { targetingKey: 'user-1' };

async function ready(t, options) {
  const flagd = await startFlagd(t, options);
  await createFlags(flagd);
  return { flagd, token: await clientToken(flagd, 'prod') };
}

test('single: every type as it was declared', async (t) => {
  const { flagd, token } = await ready(t);
  const raw = async (key) => (await flagd.post(SINGLE(key), { context }, { token })).text;
  assert.match(await raw('bool'), /"value":true,"variant":"on"/);
  assert.match(await raw('int'), /"value":42,/);
  assert.match(await raw('number-whole'), /"value":1\.0,/);
  assert.match(await raw('number'), /"value":3\.0000000000000004,/);
  assert.match(await raw('object'), /"value":\{"a":\[1,2\.50\],"b":null\},/);
  const text = (await flagd.post(SINGLE('text'), { context }, { token })).json;
  assert.deepEqual(text, { key: 'text', reason: 'STATIC', value: 'snow ☃ "quoted"', variant: 'a', metadata: { flagSetId: 'prod', version: '1' } });
});

test('single: off without a value, off with one, unknown, without its key', async (t) => {
  const { flagd, token } = await ready(t);
  const ask = (key, ...body) => flagd.post(SINGLE(key), body.length > 0 ? body[0] : { context }, { token });
  const off = await ask('off');
  assert.deepEqual([off.status, off.json.reason, 'value' in off.json, 'variant' in off.json], [200, 'DISABLED', false, false]);
  assert.deepEqual([(await ask('off-false')).json.value, (await ask('off-false')).json.reason], [false, 'DISABLED']);
  const unknown = await ask('nothing');
  assert.equal(unknown.status, 404);
  assert.deepEqual([unknown.json.key, unknown.json.errorCode], ['nothing', 'FLAG_NOT_FOUND']);
  for (const body of [{}, { context: {} }, { context: { targetingKey: null } }, '', undefined]) {
    const keyless = await ask('half', body);
    assert.equal(keyless.status, 400, keyless.text);
    assert.deepEqual([keyless.json.key, keyless.json.errorCode], ['half', 'TARGETING_KEY_MISSING']);
    assert.equal((await ask('bool', body)).status, 200);
  }
});

test('every refusal is JSON with key, errorCode and errorDetails', async (t) => {
  const { flagd, token } = await ready(t);
  const cases = [
    [400, 'PARSE_ERROR', await flagd.post(SINGLE('bool'), '{"context":', { token })],
    [400, 'INVALID_CONTEXT', await flagd.post(SINGLE('bool'), { context: { targetingKey: 5 } }, { token })],
    [400, 'INVALID_CONTEXT', await flagd.post(SINGLE('bool'), { context: 'x' }, { token })],
    [401, 'GENERAL', await flagd.post(SINGLE('bool'), { context }, { token: null })],
    [401, 'GENERAL', await flagd.post(SINGLE('bool'), { context }, { token: 'hly_c_nonsense' })],
    [401, 'GENERAL', await flagd.post(BULK, { context }, { token: null })],
  ];
  for (const [status, code, answer] of cases) {
    assert.equal(answer.status, status, answer.text);
    assert.equal(answer.json.errorCode, code, answer.text);
    assert.equal(typeof answer.json.errorDetails, 'string');
    assert.match(answer.headers['content-type'], /json/);
  }
  assert.equal(cases[0][2].json.key, 'bool');
});

test('the key comes as X-API-Key too, and the owner says which environment', async (t) => {
  const { flagd, token } = await ready(t);
  assert.equal((await flagd.post(SINGLE('bool'), { context }, { token: null, headers: { 'x-api-key': token } })).status, 200);
  assert.equal((await flagd.post(SINGLE('bool'), { context })).status, 400);
  assert.equal((await flagd.post(`${SINGLE('bool')}?environment=dev`, { context })).json.reason, 'DISABLED');
});

test('bulk: all flags, one ETag for the same answer, 304 in every form of If-None-Match', async (t) => {
  const { flagd, token } = await ready(t);
  const first = await flagd.post(BULK, { context }, { token });
  assert.equal(first.status, 200, first.text);
  const byKey = Object.fromEntries(first.json.flags.map((flag) => [flag.key, flag]));
  assert.equal(byKey.int.value, 42);
  assert.equal(byKey.off.reason, 'DISABLED');
  assert.deepEqual(first.json.metadata.flagSetId, 'prod');
  const tag = first.headers.etag.replaceAll('"', '');
  for (const header of [`"${tag}"`, tag, `W/"${tag}"`, `"other", "${tag}"`, '*']) {
    const again = await flagd.post(BULK, { context }, { token, headers: { 'if-none-match': header } });
    assert.deepEqual([again.status, again.text, again.headers.etag], [304, '', `"${tag}"`], header);
  }
  const other = await flagd.post(BULK, { context: { targetingKey: 'user-2' } }, { token, headers: { 'if-none-match': `"${tag}"` } });
  assert.equal(other.status, 200, 'another context, another answer');
  const keyless = await flagd.post(BULK, {}, { token });
  assert.equal(keyless.status, 200);
  assert.equal(keyless.json.flags.find((flag) => flag.key === 'half').errorCode, 'TARGETING_KEY_MISSING');
  await flagd.patch('/api/v1/flags/bool/environments/dev', { enabled: true });
  assert.equal((await flagd.post(BULK, { context }, { token, headers: { 'if-none-match': tag } })).status, 304);
  await flagd.patch('/api/v1/flags/bool/environments/prod', { enabled: false });
  assert.equal((await flagd.post(BULK, { context }, { token, headers: { 'if-none-match': tag } })).status, 200);
});

test('a browser may ask from anywhere, with a token, and sees ETag and Retry-After', async (t) => {
  const { flagd, token } = await ready(t);
  const preflight = await flagd.request('OPTIONS', BULK, {
    token: null,
    headers: { origin: 'https://app.example', 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,content-type,if-none-match' },
  });
  assert.ok([200, 204].includes(preflight.status), String(preflight.status));
  assert.equal(preflight.headers['access-control-allow-origin'], '*');
  assert.match(preflight.headers['access-control-allow-methods'], /POST/);
  for (const header of ['authorization', 'content-type', 'if-none-match', 'x-api-key']) {
    assert.match(preflight.headers['access-control-allow-headers'].toLowerCase(), new RegExp(header));
  }
  const answer = await flagd.post(BULK, { context }, { token, headers: { origin: 'https://app.example' } });
  assert.equal(answer.headers['access-control-allow-origin'], '*');
  assert.match(answer.headers['access-control-expose-headers'].toLowerCase(), /etag/);
  assert.match(answer.headers['access-control-expose-headers'].toLowerCase(), /retry-after/);
  const denied = await flagd.post(BULK, { context }, { token: null, headers: { origin: 'https://app.example' } });
  assert.equal(denied.headers['access-control-allow-origin'], '*', 'the page must be able to read why');
  assert.equal((await flagd.get('/api/v1/flags', { headers: { origin: 'https://app.example' } })).headers['access-control-allow-origin'], undefined);
});

test('the event stream: by ticket alone, notices with etag and time, catching up by Last-Event-ID', async (t) => {
  const { flagd, token } = await ready(t);
  const bulk = (await flagd.post(BULK, { context }, { token })).json;
  const [{ type, endpoint, inactivityDelaySec }] = bulk.eventStreams;
  assert.equal(type, 'sse');
  assert.ok(inactivityDelaySec >= 1);
  assert.match(endpoint.requestUri, /^\/ofrep\/v1\/stream\?ticket=/);
  assert.equal((await flagd.post(BULK, { context }, { token })).json.eventStreams[0].endpoint.requestUri, endpoint.requestUri,
    'one address for one client');
  const stream = await EventStream.open(flagd.url, endpoint.requestUri);
  t.after(() => stream.close());
  assert.equal(stream.status, 200);
  assert.equal(stream.headers['access-control-allow-origin'], '*');
  await stream.comments.waitFor((comment) => comment.text === 'ok');
  await flagd.patch('/api/v1/flags/bool/environments/prod', { enabled: false });
  const notice = await stream.waitFor((event) => event.json?.type === 'refetchEvaluation');
  assert.equal(notice.event, 'message');
  assert.equal(notice.id, notice.json.etag);
  assert.ok(Math.abs(notice.json.lastModified - Date.now() / 1000) < 10);
  const refetch = await flagd.post(`${BULK}?flagConfigEtag=${encodeURIComponent(notice.json.etag)}&flagConfigLastModified=${notice.json.lastModified}`, { context }, { token });
  assert.equal(refetch.json.flags.find((flag) => flag.key === 'bool').reason, 'DISABLED');

  await flagd.patch('/api/v1/flags/bool/environments/prod', { enabled: true });
  await stream.waitFor((event) => event.id !== notice.id);
  const behind = await EventStream.open(flagd.url, endpoint.requestUri, { lastEventId: notice.id });
  t.after(() => behind.close());
  await behind.waitFor((event) => event.json.type === 'refetchEvaluation' && event.id !== notice.id);
  const current = await EventStream.open(flagd.url, endpoint.requestUri, { lastEventId: behind.lastEventId });
  t.after(() => current.close());
  await current.comments.waitFor((comment) => comment.text === 'ok');
  assert.equal(current.events.length, 0);
});

test('a ticket opens nothing else, cannot be changed, and dies with its token', async (t) => {
  const { flagd } = await ready(t);
  const made = (await flagd.post('/api/v1/tokens', { name: 'web', kind: 'client', environment: 'prod' })).json;
  const uri = (await flagd.post(BULK, { context }, { token: made.token })).json.eventStreams[0].endpoint.requestUri;
  const ticket = new URL(uri, flagd.url).searchParams.get('ticket');
  assert.ok(!uri.includes(made.token.slice(6, 20)));
  assert.equal((await flagd.get('/api/v1/environments/prod/snapshot', { token: ticket })).status, 401);
  for (const wrong of [ticket.replace('prod', 'dev'), `${ticket}0`, ticket.slice(0, -1), ticket.replace(/^\d+/, '9999999999'), '', 'a.b.c.d']) {
    const answer = await flagd.get(`/ofrep/v1/stream?ticket=${wrong}`, { token: null });
    assert.equal(answer.status, 401, wrong);
  }
  assert.equal((await flagd.get('/ofrep/v1/stream', { token: null })).status, 401);
  const stream = await EventStream.open(flagd.url, uri);
  await flagd.delete(`/api/v1/tokens/${made.id}`);
  await assert.rejects(stream.waitFor(() => false, 5000), /the stream ended|ECONNRESET|aborted/);
  assert.equal((await flagd.get(uri, { token: null })).status, 401);
});

test('a ticket expires, and the next answer brings another one in spite of If-None-Match', { skip: isSanitized && 'libfaketime and sanitizers do not mix' }, async (t) => {
  const { flagd, token } = await ready(t);
  const first = await flagd.post(BULK, { context }, { token });
  const ticket = new URL(first.json.eventStreams[0].endpoint.requestUri, flagd.url).searchParams.get('ticket');
  const remaining = Number(ticket.split('.')[0]) - Date.now() / 1000;
  assert.ok(remaining > 3500 && remaining <= 7200, `${remaining} s`);
  await flagd.stop();
  const later = await startFlagd(t, { data: flagd.data, env: clockOffset('+2h') });
  assert.equal((await later.get(`/ofrep/v1/stream?ticket=${ticket}`, { token: null })).status, 401);
  const again = await later.post(BULK, { context }, { token, headers: { 'if-none-match': first.headers.etag } });
  assert.equal(again.status, 200);
  const fresh = again.json.eventStreams[0].endpoint.requestUri;
  const stream = await EventStream.open(later.url, fresh);
  assert.equal(stream.status, 200);
  stream.close();
});
