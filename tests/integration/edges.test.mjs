// SPDX-License-Identifier: Apache-2.0
// The admin API at its edges: long names, archived things, preconditions, retries, limits.
import assert from 'node:assert/strict';
import test from 'node:test';

import { startFlagd } from './support/flagd.mjs';

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
