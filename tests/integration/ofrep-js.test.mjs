// SPDX-License-Identifier: Apache-2.0
// The unmodified JavaScript providers of OpenFeature against the real daemon: server (dynamic context) and web (static).
import assert from 'node:assert/strict';
import test from 'node:test';

import { OFREPProvider } from '@openfeature/ofrep-provider';
import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';
import { OpenFeature } from '@openfeature/server-sdk';
import { OpenFeature as WebOpenFeature, ProviderEvents } from '@openfeature/web-sdk';
import { EventSource } from 'eventsource';

import { atEnd, startFlagd } from './support/flagd.mjs';
import { clientToken, createFlags } from './support/ofrep.mjs';
import { waitUntil } from './support/wait.mjs';

globalThis.EventSource = EventSource; // what browsers have and this node may not

const headers = (token) => [['Authorization', `Bearer ${token}`]];

async function ready(t) {
  const flagd = await startFlagd(t);
  await createFlags(flagd);
  return { flagd, token: await clientToken(flagd, 'prod') };
}

async function serverClient(t, flagd, token, domain) {
  await OpenFeature.setProviderAndWait(domain, new OFREPProvider({ baseUrl: flagd.url, headers: headers(token) }));
  atEnd(t, () => OpenFeature.close());
  return OpenFeature.getClient(domain);
}

test('server provider: every type, every reason, every error', async (t) => {
  const { flagd, token } = await ready(t);
  const client = await serverClient(t, flagd, token, 'types');
  const context = { targetingKey: 'user-1' };
  const bool = await client.getBooleanDetails('bool', false, context);
  assert.deepEqual([bool.value, bool.variant, bool.reason, bool.flagMetadata.flagSetId], [true, 'on', 'STATIC', 'prod']);
  assert.equal((await client.getStringDetails('text', 'x', context)).value, 'snow ☃ "quoted"');
  assert.equal((await client.getNumberDetails('int', 0, context)).value, 42);
  assert.equal((await client.getNumberDetails('number', 0, context)).value, 3.0000000000000004);
  assert.deepEqual((await client.getObjectDetails('object', {}, context)).value, { a: [1, 2.5], b: null });
  const rule = await client.getBooleanDetails('rule', false, { targetingKey: 'u', plan: 'pro' });
  assert.deepEqual([rule.value, rule.reason], [true, 'TARGETING_MATCH']);
  assert.equal((await client.getBooleanDetails('rule', true, { targetingKey: 'u' })).value, false);
  assert.equal((await client.getBooleanDetails('half', false, context)).reason, 'SPLIT');
  assert.equal((await client.getBooleanDetails('off-false', true, context)).value, false);
  const off = await client.getStringDetails('off', 'mine', context);
  assert.equal(off.value, 'mine', 'off without a value: the default of the code');
  const unknown = await client.getBooleanDetails('no-such-flag', true, context);
  assert.deepEqual([unknown.value, unknown.errorCode], [true, 'FLAG_NOT_FOUND']);
  assert.equal((await client.getBooleanDetails('half', true, {})).errorCode, 'TARGETING_KEY_MISSING');
  assert.equal((await client.getBooleanDetails('text', true, context)).errorCode, 'TYPE_MISMATCH');
});

test('server provider: a wrong token gives the default and says so', async (t) => {
  const { flagd } = await ready(t);
  const client = await serverClient(t, flagd, 'hly_c_wrong', 'denied');
  const details = await client.getBooleanDetails('bool', false, { targetingKey: 'u' });
  assert.equal(details.value, false);
  assert.equal(details.reason, 'ERROR');
});

test('web provider: bulk at start, a change by event stream, another context', async (t) => {
  const { flagd, token } = await ready(t);
  await WebOpenFeature.setContext({ targetingKey: 'user-1' });
  const provider = new OFREPWebProvider({ baseUrl: flagd.url, headers: headers(token), pollInterval: 0, cacheMode: 'disabled' });
  await WebOpenFeature.setProviderAndWait(provider);
  atEnd(t, () => WebOpenFeature.close());
  const client = WebOpenFeature.getClient();
  assert.equal(client.getBooleanValue('bool', false), true);
  assert.equal(client.getNumberValue('int', 0), 42);
  assert.deepEqual(client.getObjectValue('object', {}), { a: [1, 2.5], b: null });
  assert.equal(client.getBooleanDetails('no-such-flag', false).errorCode, 'FLAG_NOT_FOUND');
  assert.equal(client.getStringValue('off', 'mine'), 'mine');
  await waitUntil(async () => /^halyard_streams 1$/m.test((await flagd.get('/metrics')).text), 5000, 'the event stream');
  const changes = [];
  client.addHandler(ProviderEvents.ConfigurationChanged, (details) => changes.push(...details.flagsChanged));
  await flagd.patch('/api/v1/flags/bool/environments/prod', { enabled: false });
  await waitUntil(() => client.getBooleanValue('bool', true) === false, 5000, 'the change');
  assert.ok(changes.includes('bool'));
  await WebOpenFeature.setContext({ targetingKey: 'user-1', plan: 'pro' });
  assert.equal(client.getBooleanValue('rule', false), true);
});

test('web provider: a denied token is fatal', async (t) => {
  const { flagd } = await ready(t);
  const provider = new OFREPWebProvider({ baseUrl: flagd.url, headers: headers('hly_c_wrong'), cacheMode: 'disabled' });
  await assert.rejects(WebOpenFeature.setProviderAndWait('denied', provider));
});
