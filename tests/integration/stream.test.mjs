// SPDX-License-Identifier: Apache-2.0
// Snapshots and streams, read by a program that shares no code with the daemon: docs/protocol.md, docs/snapshot-format.md.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import test from 'node:test';

import { startFlagd } from './support/flagd.mjs';
import { blake2b256 } from './support/blake2b.mjs';
import { RawSocket } from './support/http.mjs';
import { waitUntil } from './support/wait.mjs';

const EVENTS = '/api/v1/environments/prod/events';
const SNAPSHOT = '/api/v1/environments/prod/snapshot';

async function signingKey(flagd) {
  const { keys } = (await flagd.get('/api/v1/signing-keys')).json;
  const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), Buffer.from(keys[0].public_key, 'base64')]);
  return { id: keys[0].key_id, bytes: Buffer.from(keys[0].public_key, 'base64'), key: crypto.createPublicKey({ key: der, format: 'der', type: 'spki' }) };
}

/** Checks the signature of a bundle's text and gives its manifest and content lines. */
function openBundle(text, { id, key }) {
  const [manifestLine, signatureLine, ...lines] = text.replace(/\n$/, '').split('\n');
  const { key_id: keyId, signature } = JSON.parse(signatureLine);
  assert.equal(keyId, id);
  const signed = Buffer.concat([Buffer.from('halyard-manifest-v1\n'), Buffer.from(manifestLine)]);
  assert.ok(crypto.verify(null, signed, key, Buffer.from(signature, 'base64')), 'the signature holds');
  return { manifest: JSON.parse(manifestLine), lines };
}

/** A reader's state: exact texts of flags and segments by key. */
class Reader {
  items = { flag: new Map(), segment: new Map() };

  apply({ manifest, lines }, isWhole) {
    if (isWhole) {
      this.items = { flag: new Map(), segment: new Map() };
    }
    for (const line of lines) {
      const [, kind] = /^\{"(\w+)":/.exec(line);
      if (kind === 'removed') {
        const [[removed, key]] = Object.entries(JSON.parse(line).removed);
        this.items[removed].delete(key);
      } else {
        const document = line.slice(`{"${kind}":`.length, -1);
        this.items[kind].set(JSON.parse(document).key, document);
      }
    }
    assert.equal(manifest.digest, `blake2b-256:${this.digest()}`, 'the digest is that of the state');
    this.revision = manifest.revision;
    return this;
  }

  digest() {
    let text = 'halyard-ruleset-v1\n';
    for (const kind of ['flag', 'segment']) {
      const keys = [...this.items[kind].keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      for (const key of keys) {
        text += `${kind} ${key} ${blake2b256(Buffer.from(this.items[kind].get(key)))}\n`;
      }
    }
    return blake2b256(Buffer.from(text));
  }
}

const bundleOf = (event) => `${event.data}\n`;
const isBundle = (event) => event.event === 'snapshot' || event.event === 'delta';

async function withFlags(t, count = 3, options = {}) {
  const flagd = await startFlagd(t, options);
  for (let i = 0; i < count; i++) {
    await flagd.post('/api/v1/flags', { key: `flag-${i}`, type: 'boolean' });
  }
  return flagd;
}
const toggle = (flagd, i, enabled) => flagd.patch(`/api/v1/flags/flag-${i}/environments/prod`, { enabled });

test('a snapshot is signed, holds the state that it says, and is not sent twice', async (t) => {
  const flagd = await withFlags(t);
  await flagd.post('/api/v1/segments', { key: 'beta', included: ['u1'] });
  const key = await signingKey(flagd);
  const answer = await flagd.get(SNAPSHOT);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['content-type'], 'application/x-halyard-bundle');
  const bundle = openBundle(answer.text, key);
  assert.deepEqual([bundle.manifest.environment, bundle.manifest.epoch, bundle.manifest.revision], ['prod', '1', '5']);
  assert.equal(answer.headers.etag, '"1-5"');
  const reader = new Reader().apply(bundle, true);
  assert.equal(reader.items.flag.size, 3);
  assert.equal(reader.items.segment.size, 1);
  assert.equal(blake2b256(key.bytes).slice(0, 16), key.id);
  const known = await flagd.get(SNAPSHOT, { headers: { 'if-none-match': '"1-5"' } });
  assert.deepEqual([known.status, known.text, known.headers.etag], [304, '', '"1-5"']);
});

test('a stream begins with the whole and then brings one signed delta per revision, in order', async (t) => {
  const flagd = await withFlags(t);
  const key = await signingKey(flagd);
  const stream = await flagd.events(EVENTS);
  t.after(() => stream.close());
  assert.equal(stream.status, 200);
  assert.match(stream.headers['content-type'], /^text\/event-stream/);
  const reader = new Reader();
  const whole = await stream.waitFor(isBundle);
  assert.equal(whole.event, 'snapshot');
  reader.apply(openBundle(bundleOf(whole), key), true);
  for (let round = 0; round < 10; round++) {
    await toggle(flagd, round % 3, round % 2 === 0);
  }
  await flagd.post('/api/v1/segments', { key: 'beta', included: ['u1'] });
  await flagd.delete('/api/v1/flags/flag-1');
  const { revision } = (await flagd.get('/api/v1/environments/prod')).json;
  await stream.waitFor((event) => event.id === `1-${revision}`);
  const deltas = stream.events.slice(1);
  deltas.forEach((event, i) => {
    assert.equal(event.event, 'delta');
    const bundle = openBundle(bundleOf(event), key);
    assert.equal(BigInt(bundle.manifest.revision), BigInt(reader.revision) + 1n, `delta ${i} has no gap`);
    reader.apply(bundle, false);
  });
  assert.deepEqual([...reader.items.flag.keys()], ['flag-0', 'flag-2']);
});

test('Last-Event-ID resumes: missing deltas, nothing, or the whole', async (t) => {
  const flagd = await withFlags(t, 3, { args: ['--delta-history', '4'] });
  for (let i = 0; i < 4; i++) {
    await toggle(flagd, 0, i % 2 === 0);
  }
  const newest = Number((await flagd.get('/api/v1/environments/prod')).json.revision);
  const first = async (lastEventId) => {
    const stream = await flagd.events(EVENTS, { lastEventId });
    t.after(() => stream.close());
    const found = await Promise.race([
      stream.waitFor(isBundle).then((event) => [event.event, event.id]),
      stream.comments.waitFor((comment) => comment.text === 'ok').then(() => ['ok']),
    ]);
    return found;
  };
  assert.deepEqual(await first(`1-${newest}`), ['ok']);
  assert.deepEqual(await first(`1-${newest - 1}`), ['delta', `1-${newest}`]);
  assert.deepEqual(await first(`1-${newest - 4}`), ['delta', `1-${newest - 3}`]);
  assert.deepEqual(await first(`1-${newest - 5}`), ['snapshot', `1-${newest}`]);
  assert.deepEqual(await first(`9-${newest}`), ['snapshot', `1-${newest}`]);
  assert.deepEqual(await first('nonsense'), ['snapshot', `1-${newest}`]);
});

test('a quiet stream is kept alive, and what happens in another environment does not appear on it', async (t) => {
  const flagd = await withFlags(t, 1, { args: ['--heartbeat-ms', '200'] });
  const stream = await flagd.events(EVENTS);
  t.after(() => stream.close());
  await stream.waitFor(isBundle);
  await flagd.patch('/api/v1/flags/flag-0/environments/dev', { enabled: true });
  await stream.comments.waitFor((comment) => comment.text === 'hb');
  await waitUntil(() => stream.comments.items.filter((comment) => comment.text === 'hb').length >= 3, 5000, 'three heartbeats');
  assert.equal(stream.events.length, 1);
});

test('a revoked token ends its stream with the next news, and opens no other', async (t) => {
  const flagd = await withFlags(t, 1);
  const { token, id } = (await flagd.post('/api/v1/tokens', { name: 'x', kind: 'client', environment: 'prod' })).json;
  const stream = await flagd.events(EVENTS, { token });
  await stream.waitFor(isBundle);
  await flagd.delete(`/api/v1/tokens/${id}`);
  await waitUntil(() => stream.ended !== null, 5000, 'the end of the stream');
  assert.equal((await flagd.events(EVENTS, { token })).status, 401);
});

test('a reader that takes nothing is cut; the others go on', async (t) => {
  const flagd = await withFlags(t, 0, { args: ['--stream-stall-ms', '600'] });
  const big = 'x'.repeat(30_000);
  for (let i = 0; i < 20; i++) {
    await flagd.post('/api/v1/flags', { key: `big-${i}`, type: 'string', variants: { a: big, b: 'b' } });
  }
  const slow = await RawSocket.open(flagd.port);
  slow.write(`GET ${EVENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${flagd.ownerToken}\r\n\r\n`);
  await slow.readUntil('event: snapshot');
  slow.pause();
  const fine = await flagd.events(EVENTS);
  t.after(() => fine.close());
  const streams = async () => Number(/^halyard_streams (\d+)/m.exec((await flagd.get('/metrics')).text)[1]);
  await waitUntil(async () => (await streams()) === 2, 5000, 'two streams');
  let enabled = false;
  await waitUntil(async () => {
    enabled = !enabled;
    for (let i = 0; i < 20; i++) {
      await flagd.patch(`/api/v1/flags/big-${i}/environments/prod`, { enabled });
    }
    return (await streams()) === 1;
  }, 30_000, 'the end of the slow stream');
  const { revision } = (await flagd.get('/api/v1/environments/prod')).json;
  await fine.waitFor((event) => event.id === `1-${revision}`);
  slow.destroy();
});
