// SPDX-License-Identifier: Apache-2.0
// The admin API as an admin uses it: environments, flags, settings, segments, history, time travel, tokens.
import assert from 'node:assert/strict';
import test from 'node:test';

import { startFlagd } from './support/flagd.mjs';

const ALERTS = {
  key: 'ENABLE_ALERTS', type: 'boolean', description: 'Discord alerts for critical failures', tags: ['bot'],
  kind: 'operational', owner: 'ops',
};
const BANNER = {
  key: 'banner', type: 'string', variants: { red: '#f00', blue: '#00f' },
  environments: {
    prod: {
      enabled: true, off_variant: 'blue',
      targets: [{ variant: 'red', keys: ['user-1', 'user-2'] }],
      rules: [{
        name: 'ops first',
        if: [{ attribute: 'role', op: 'in', values: ['ops', 'admin'] },
          { attribute: 'app.version', op: 'semver_ge', value: '1.2.0' }],
        serve: { variant: 'red' },
      }],
      default: { split: [{ variant: 'red', weight: 25000 }, { variant: 'blue', weight: 75000 }] },
    },
  },
};
const setting = (key, environment) => `/api/v1/flags/${key}/environments/${environment}`;

async function evaluate(flagd, environment, flag, context, more = {}) {
  const answer = await flagd.post(`/api/v1/environments/${environment}/evaluate`, { flag, context, ...more });
  assert.equal(answer.status, 200, answer.text);
  return answer.json.flags[0];
}

test('a first start makes dev, staging and prod, and an owner token that others cannot read', async (t) => {
  const flagd = await startFlagd(t);
  const list = await flagd.get('/api/v1/environments');
  assert.deepEqual(list.json.items.map((e) => [e.key, e.protected]), [['dev', false], ['prod', true], ['staging', false]]);
  assert.deepEqual(list.json.items.map((e) => e.revision), ['1', '1', '1']);
  assert.match(flagd.ownerToken, /^hly_o_[0-9A-Za-z]{46}$/);
});

test('a boolean flag begins off, with version 1, in every environment', async (t) => {
  const flagd = await startFlagd(t);
  const made = await flagd.post('/api/v1/flags', ALERTS);
  assert.equal(made.status, 201, made.text);
  assert.deepEqual(made.json.variants, { on: true, off: false });
  assert.equal(made.headers.etag, '"1"');
  for (const environment of ['dev', 'staging', 'prod']) {
    const { updated_at: when, ...rest } = made.json.environments[environment];
    assert.match(when, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.deepEqual(rest, {
      enabled: false, off_variant: 'off', prerequisites: [], targets: [], rules: [], default: { variant: 'on' }, version: '1',
    });
  }
});

test('a setting is changed with If-Match, and the second of two is told what changed', async (t) => {
  const flagd = await startFlagd(t);
  await flagd.post('/api/v1/flags', ALERTS);
  const url = setting('ENABLE_ALERTS', 'prod');
  const changed = await flagd.patch(url, { enabled: true, reason: 'week 3 of the rollout plan' }, { headers: { 'if-match': '"1"' } });
  assert.equal(changed.status, 200, changed.text);
  assert.equal(changed.json.version, '2');
  assert.equal(changed.json.enabled, true);
  assert.equal(changed.headers.etag, '"2"');
  const late = await flagd.patch(url, { enabled: false }, { headers: { 'if-match': '"1"' } });
  assert.equal(late.status, 412);
  assert.equal(late.json.code, 'precondition_failed');
  assert.equal(late.json.current_version, '2');
  assert.deepEqual(late.json.changes, [{ path: '/enabled', from: false, to: true }]);
  assert.match(late.headers['content-type'], /^application\/problem\+json/);
  const same = await flagd.get(url, { headers: { 'if-none-match': '"2"' } });
  assert.equal(same.status, 304);
  assert.equal(same.text, '');
});

test('a change that changes nothing makes no version and no revision', async (t) => {
  const flagd = await startFlagd(t);
  await flagd.post('/api/v1/flags', ALERTS);
  const before = (await flagd.get('/api/v1/environments/dev')).json.revision;
  const again = await flagd.patch(setting('ENABLE_ALERTS', 'dev'), { enabled: false });
  assert.equal(again.status, 200);
  assert.equal(again.json.version, '1');
  assert.equal((await flagd.get('/api/v1/environments/dev')).json.revision, before);
});

test('a change in one environment raises only its revision, by one', async (t) => {
  const flagd = await startFlagd(t);
  await flagd.post('/api/v1/flags', ALERTS);
  await flagd.patch(setting('ENABLE_ALERTS', 'prod'), { enabled: true });
  const list = await flagd.get('/api/v1/environments');
  assert.deepEqual(Object.fromEntries(list.json.items.map((e) => [e.key, e.revision])), { dev: '2', prod: '3', staging: '2' });
  await flagd.patch('/api/v1/flags/ENABLE_ALERTS', { description: 'what it says to people reaches no client' });
  assert.equal((await flagd.get('/api/v1/environments/prod')).json.revision, '3');
});

test('a preview shows the difference and changes nothing', async (t) => {
  const flagd = await startFlagd(t);
  await flagd.post('/api/v1/flags', BANNER);
  const url = setting('banner', 'prod');
  const preview = await flagd.patch(`${url}?dry_run=true`, { default: { variant: 'blue' }, enabled: false });
  assert.equal(preview.status, 200, preview.text);
  assert.equal(preview.json.dry_run, true);
  assert.deepEqual(preview.json.rows[0].changes.map((c) => c.path), ['/enabled', '/default/split', '/default/variant']);
  assert.deepEqual(preview.json.environments, [{ environment: 'prod', revision: '3' }]);
  assert.equal((await flagd.get(url)).json.version, '1');
  assert.equal((await evaluate(flagd, 'prod', 'banner', { targetingKey: 'user-1' })).variant, 'red');
});

test('the banner of the design is served as it says', async (t) => {
  const flagd = await startFlagd(t);
  const made = await flagd.post('/api/v1/flags', BANNER);
  assert.equal(made.status, 201, made.text);
  const target = await evaluate(flagd, 'prod', 'banner', { targetingKey: 'user-1' });
  assert.deepEqual([target.value, target.variant, target.reason], ['#f00', 'red', 'TARGETING_MATCH']);
  const rule = await evaluate(flagd, 'prod', 'banner', { targetingKey: 'x', role: 'ops', app: { version: '1.10.0' } });
  assert.deepEqual([rule.variant, rule.reason], ['red', 'TARGETING_MATCH']);
  const split = await evaluate(flagd, 'prod', 'banner', { targetingKey: 'user-7', role: 'dev' });
  assert.equal(split.reason, 'SPLIT');
  const keyless = await evaluate(flagd, 'prod', 'banner', {});
  assert.deepEqual([keyless.reason, keyless.error_code], ['ERROR', 'TARGETING_KEY_MISSING']);
  const off = await evaluate(flagd, 'dev', 'banner', { targetingKey: 'user-1' });
  assert.deepEqual([off.reason, off.value], ['DISABLED', undefined]);
});

test('explain shows the walk: condition, hash, bucket and boundary', async (t) => {
  const flagd = await startFlagd(t);
  await flagd.post('/api/v1/flags', BANNER);
  const answer = await evaluate(flagd, 'prod', 'banner', { targetingKey: 'user-7', role: 'dev' }, { explain: true });
  const steps = Object.groupBy ? Object.groupBy(answer.steps, (s) => s.step) : answer.steps.reduce((all, s) => ({ ...all, [s.step]: [s] }), {});
  assert.equal(steps.rule[0].result, false);
  assert.equal(steps.rule[0].conditions[0].attribute, 'role');
  assert.equal(steps.rule[0].conditions[0].actual, 'dev');
  assert.equal(steps.split[0].salt, 'banner');
  assert.equal(steps.split[0].total, 100000);
  assert.equal(typeof steps.split[0].bucket, 'number');
});

const WRONG = [
  ['a missing key', { type: 'boolean' }, '/key', /`key` is required/],
  ['a bad key', { key: '-a', type: 'boolean' }, '/key', /starts with/],
  ['a missing type', { key: 'a' }, '/type', /`type` is required/],
  ['an unknown type', { key: 'a', type: 'bool' }, '/type', /boolean, string, integer, number or object/],
  ['an unknown member', { key: 'a', type: 'boolean', enabeld: true }, '/enabeld', /enabeld/],
  ['variants of another type', { key: 'a', type: 'integer', variants: { x: 1.5 } }, '/variants/x', /integer/],
  ['an integer beyond 2^53', '{"key":"a","type":"integer","variants":{"x":9007199254740993}}', '/variants/x', /9007199254740991/],
  ['an unknown environment', { key: 'a', type: 'boolean', environments: { moon: {} } }, '/environments/moon', /no environment `moon`/],
  ['an unknown operator', { key: 'a', type: 'boolean', environments: { dev: { rules: [{ if: [{ attribute: 'x', op: 'like', value: 'y' }], serve: { variant: 'on' } }] } } },
    '/environments/dev/rules/0/if/0/op', /like/],
  ['a variant that is not there', { key: 'a', type: 'boolean', environments: { dev: { default: { variant: 'maybe' } } } },
    '/environments/dev/default/variant', /maybe/],
  ['a negative weight', { key: 'a', type: 'boolean', environments: { dev: { default: { split: [{ variant: 'on', weight: -1 }] } } } },
    '/environments/dev/default/split/0/weight', /weight/],
  ['a missing prerequisite', { key: 'a', type: 'boolean', environments: { dev: { prerequisites: [{ flag: 'nowhere', variants: ['on'] }] } } },
    '/environments/dev', /nowhere/],
  ['a missing segment', { key: 'a', type: 'boolean', environments: { dev: { rules: [{ if: [{ op: 'in_segment', value: 'nobody' }], serve: { variant: 'on' } }] } } },
    '/environments/dev', /nobody/],
];
test('what is wrong is refused with the place and a sentence', async (t) => {
  const flagd = await startFlagd(t);
  for (const [what, body, place, sentence] of WRONG) {
    await t.test(what, async () => {
      const answer = await flagd.post('/api/v1/flags', body);
      assert.equal(answer.status, 400, answer.text);
      assert.equal(answer.json.path, place, answer.text);
      assert.match(answer.json.detail, sentence);
      assert.ok(['invalid', 'malformed'].includes(answer.json.code));
    });
  }
  assert.equal((await flagd.get('/api/v1/flags')).json.items.length, 0);
  assert.equal((await flagd.get('/api/v1/environments/dev')).json.revision, '1');
});

test('a segment is used by flags, cannot be deleted under them, and its change reaches all environments', async (t) => {
  const flagd = await startFlagd(t);
  const made = await flagd.post('/api/v1/segments', { key: 'beta', included: ['u1'], if: [{ attribute: 'plan', op: 'eq', value: 'pro' }] });
  assert.equal(made.status, 201, made.text);
  const flag = await flagd.post('/api/v1/flags', {
    key: 'new', type: 'boolean',
    environments: { dev: { enabled: true, rules: [{ if: [{ op: 'in_segment', value: 'beta' }], serve: { variant: 'on' } }], default: { variant: 'off' } } },
  });
  assert.equal(flag.status, 201, flag.text);
  assert.equal((await evaluate(flagd, 'dev', 'new', { targetingKey: 'u1' })).value, true);
  assert.equal((await evaluate(flagd, 'dev', 'new', { targetingKey: 'u2', plan: 'pro' })).value, true);
  assert.equal((await evaluate(flagd, 'dev', 'new', { targetingKey: 'u2' })).value, false);
  const refused = await flagd.delete('/api/v1/segments/beta');
  assert.equal(refused.status, 409, refused.text);
  assert.match(refused.json.detail, /`new`/);
  const put = await flagd.put('/api/v1/segments/beta', { excluded: ['u1'] }, { headers: { 'if-match': '"1"' } });
  assert.equal(put.status, 200, put.text);
  assert.equal(put.json.version, '2');
  assert.equal((await evaluate(flagd, 'dev', 'new', { targetingKey: 'u1' })).value, false);
  await flagd.patch(setting('new', 'dev'), { rules: [] });
  assert.equal((await flagd.delete('/api/v1/segments/beta')).status, 204);
  assert.equal((await flagd.get('/api/v1/segments/beta')).status, 404);
});

test('cycles of prerequisites are refused and say how they run', async (t) => {
  const flagd = await startFlagd(t);
  await flagd.post('/api/v1/flags', { key: 'a', type: 'boolean' });
  await flagd.post('/api/v1/flags', { key: 'b', type: 'boolean', environments: { dev: { prerequisites: [{ flag: 'a', variants: ['on'] }] } } });
  const cycle = await flagd.patch(setting('a', 'dev'), { prerequisites: [{ flag: 'b', variants: ['on'] }] });
  assert.equal(cycle.status, 400, cycle.text);
  assert.match(cycle.json.detail, /a → b → a|b → a → b/);
  const needed = await flagd.delete('/api/v1/flags/a');
  assert.equal(needed.status, 409, needed.text);
});

test('archiving takes a flag out everywhere, loses nothing, and can be undone', async (t) => {
  const flagd = await startFlagd(t);
  await flagd.post('/api/v1/flags', BANNER);
  assert.equal((await flagd.delete('/api/v1/flags/banner')).status, 204);
  assert.equal((await evaluate(flagd, 'prod', 'banner', { targetingKey: 'user-1' })).error_code, 'FLAG_NOT_FOUND');
  assert.equal((await flagd.get('/api/v1/flags')).json.items.length, 0);
  assert.equal((await flagd.get('/api/v1/flags?archived=true')).json.items[0].archived, true);
  assert.equal((await flagd.patch('/api/v1/flags/banner', { owner: 'x' })).status, 410);
  assert.equal((await flagd.post('/api/v1/flags', BANNER)).status, 409);
  assert.equal((await flagd.patch('/api/v1/flags/banner', { archived: false })).status, 200);
  assert.equal((await evaluate(flagd, 'prod', 'banner', { targetingKey: 'user-1' })).variant, 'red');
});

test('history says who, when, from where and why; time travel shows the flag as it was; revert goes back', async (t) => {
  const flagd = await startFlagd(t);
  await flagd.post('/api/v1/flags', BANNER);
  const url = setting('banner', 'prod');
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  await flagd.patch(url, { default: { variant: 'red' }, reason: 'all of them' }, { headers: { traceparent } });
  await flagd.patch(url, { enabled: false });
  const history = await flagd.get('/api/v1/flags/banner/history?environment=prod');
  assert.equal(history.status, 200, history.text);
  const [off, all, made] = history.json.items;
  assert.deepEqual([off.action, all.action, made.action], ['setting.update', 'setting.update', 'setting.create']);
  assert.equal(all.reason, 'all of them');
  assert.equal(all.actor.name, 'owner');
  assert.equal(all.trace_id, '4bf92f3577b34da6a3ce929d0e0e4736');
  assert.equal(all.origin.address, '127.0.0.1');
  assert.deepEqual(all.revisions, { prod: '3' });
  assert.deepEqual(off.changes, [{ path: '/enabled', from: true, to: false }]);
  const page = await flagd.get('/api/v1/flags/banner/history?limit=2');
  assert.equal(page.json.items.length, 2);
  const rest = await flagd.get(`/api/v1/flags/banner/history?limit=100&cursor=${page.json.next_cursor}`);
  assert.equal(rest.json.items.length, 4);
  assert.equal(rest.json.next_cursor, null);

  const then = await flagd.get(`${url}?at=${all.at}`);
  assert.equal(then.status, 200, then.text);
  assert.deepEqual([then.json.version, then.json.default], ['2', { variant: 'red' }]);
  const whole = await flagd.get(`/api/v1/flags/banner?at=${all.at}`);
  assert.equal(whole.status, 200, whole.text);
  assert.equal(whole.json.environments.prod.version, '2');
  const past = await flagd.post('/api/v1/environments/prod/evaluate', { flag: 'banner', context: { targetingKey: 'user-7' }, at: all.at });
  assert.deepEqual([past.json.flags[0].variant, past.json.at], ['red', all.at]);
  assert.equal((await flagd.get(`${url}?at=2001-01-01T00:00:00Z`)).status, 404);

  const reverted = await flagd.post(`${url}/revert`, { version: '1', reason: 'undo' });
  assert.equal(reverted.status, 200, reverted.text);
  assert.equal(reverted.json.version, '4');
  assert.equal(reverted.json.default.split.length, 2);
  assert.equal((await flagd.post(`${url}/revert`, { version: '9' })).status, 400);
  assert.equal((await flagd.post(`${url}/revert`, {})).json.path, '/version');
});

test('an idempotency key makes a retry safe', async (t) => {
  const flagd = await startFlagd(t);
  await flagd.post('/api/v1/flags', ALERTS);
  const url = setting('ENABLE_ALERTS', 'prod');
  const headers = { 'idempotency-key': 'toggle-1' };
  const first = await flagd.patch(url, { enabled: true }, { headers });
  await flagd.patch(url, { enabled: false });
  const again = await flagd.patch(url, { enabled: true }, { headers });
  assert.equal(again.status, 200);
  assert.equal(again.text, first.text);
  assert.equal(again.headers.etag, first.headers.etag);
  assert.equal(again.headers['idempotent-replayed'], 'true');
  assert.equal((await flagd.get(url)).json.enabled, false);
  const other = await flagd.patch(url, { enabled: false }, { headers });
  assert.equal(other.status, 409);
});

test('client tokens see their environment and nothing else; a revoked one sees nothing', async (t) => {
  const flagd = await startFlagd(t);
  const made = await flagd.post('/api/v1/tokens', { name: 'bot', kind: 'client', environment: 'prod' }, { headers: { 'idempotency-key': 'once' } });
  assert.equal(made.status, 201, made.text);
  const { token, id } = made.json;
  assert.match(token, /^hly_c_[0-9A-Za-z]{46}$/);
  const retried = await flagd.post('/api/v1/tokens', { name: 'bot', kind: 'client', environment: 'prod' }, { headers: { 'idempotency-key': 'once' } });
  assert.equal(retried.json.id, id);
  assert.equal(retried.json.token, undefined);
  assert.equal((await flagd.get('/api/v1/environments/prod/snapshot', { token })).status, 200);
  assert.equal((await flagd.get('/api/v1/environments/dev/snapshot', { token })).status, 403);
  assert.equal((await flagd.get('/api/v1/flags', { token })).status, 403);
  assert.equal((await flagd.get('/api/v1/flags', { token: null })).status, 401);
  assert.equal((await flagd.get('/api/v1/flags', { token: `${token.slice(0, -1)}_` })).status, 401);
  const listed = await flagd.get('/api/v1/tokens');
  assert.ok(!listed.text.includes(token) && !listed.text.includes(token.slice(6, 30)));
  assert.equal((await flagd.delete(`/api/v1/tokens/${id}`)).status, 204);
  assert.equal((await flagd.get('/api/v1/environments/prod/snapshot', { token })).status, 401);
  const owner = listed.json.items.find((item) => item.kind === 'owner');
  assert.equal((await flagd.delete(`/api/v1/tokens/${owner.id}`)).status, 409);
});

test('a web token gives values over OFREP and nothing that holds rules', async (t) => {
  const flagd = await startFlagd(t);
  await flagd.post('/api/v1/flags', BANNER);
  const { token } = (await flagd.post('/api/v1/tokens', { name: 'page', kind: 'web', environment: 'prod' })).json;
  assert.match(token, /^hly_w_[0-9A-Za-z]{46}$/);
  const body = { context: { targetingKey: 'user-1' } };
  assert.equal((await flagd.post('/ofrep/v1/evaluate/flags/banner', body, { token })).json.variant, 'red');
  assert.equal((await flagd.post('/ofrep/v1/evaluate/flags', body, { token })).status, 200);
  for (const path of ['/api/v1/environments/prod/snapshot', '/api/v1/environments/prod/events', '/api/v1/flags', '/api/v1/signing-keys']) {
    assert.equal((await flagd.get(path, { token })).status, 403, path);
  }
  assert.equal((await flagd.post('/api/v1/environments/prod/evaluate', { ...body, explain: true }, { token })).status, 403);
  await flagd.stop();
  const again = await startFlagd(t, { data: flagd.data });
  assert.equal((await again.get('/api/v1/environments/prod/snapshot', { token })).status, 403);
});

test('a new environment gets settings for every flag, copied when asked', async (t) => {
  const flagd = await startFlagd(t);
  await flagd.post('/api/v1/flags', BANNER);
  await flagd.post('/api/v1/segments', { key: 'beta', included: ['u1'] });
  const made = await flagd.post('/api/v1/environments', { key: 'canary', copy_from: 'prod', description: 'first' });
  assert.equal(made.status, 201, made.text);
  assert.equal(made.json.revision, '1');
  assert.equal((await evaluate(flagd, 'canary', 'banner', { targetingKey: 'user-1' })).variant, 'red');
  const plain = await flagd.post('/api/v1/environments', { key: 'lab' });
  assert.equal(plain.status, 201);
  assert.equal((await evaluate(flagd, 'lab', 'banner', { targetingKey: 'user-1' })).reason, 'DISABLED');
  assert.equal((await flagd.post('/api/v1/environments', { key: 'lab' })).status, 409);
  assert.equal((await flagd.post('/api/v1/environments', { key: 'Lab' })).json.path, '/key');
});

test('flags are searched by text, tag, owner and kind, in pages', async (t) => {
  const flagd = await startFlagd(t);
  for (let i = 0; i < 5; i++) {
    await flagd.post('/api/v1/flags', { key: `flag-${i}`, type: 'boolean', owner: i % 2 ? 'ops' : 'dev', tags: i === 3 ? ['hot'] : [], description: `Number ${i}` });
  }
  const keys = async (query) => (await flagd.get(`/api/v1/flags?${query}`)).json.items.map((f) => f.key);
  assert.deepEqual(await keys('owner=ops'), ['flag-1', 'flag-3']);
  assert.deepEqual(await keys('tag=hot'), ['flag-3']);
  assert.deepEqual(await keys('q=number%204'), ['flag-4']);
  assert.deepEqual(await keys('kind=release&owner=dev'), ['flag-0', 'flag-2', 'flag-4']);
  const first = (await flagd.get('/api/v1/flags?limit=2')).json;
  assert.equal(first.next_cursor, 'flag-1');
  assert.deepEqual(await keys(`limit=3&cursor=${first.next_cursor}`), ['flag-2', 'flag-3', 'flag-4']);
  assert.equal((await flagd.get('/api/v1/flags?limit=0')).json.path, '?limit');
  assert.equal((await flagd.get('/api/v1/flags?ownr=x')).status, 400);
});

test('everything is there after a restart', async (t) => {
  const flagd = await startFlagd(t);
  await flagd.post('/api/v1/flags', BANNER);
  await flagd.post('/api/v1/segments', { key: 'beta', included: ['u1'] });
  await flagd.patch(setting('banner', 'prod'), { enabled: false });
  const before = (await flagd.get('/api/v1/flags/banner')).text;
  const snapshot = (await flagd.get('/api/v1/environments/prod/snapshot')).headers.etag;
  await flagd.stop();
  const again = await startFlagd(t, { data: flagd.data });
  assert.equal((await again.get('/api/v1/flags/banner')).text, before);
  assert.equal((await again.get('/api/v1/environments/prod/snapshot')).headers.etag, snapshot);
  assert.equal((await again.get('/api/v1/flags/banner/history')).json.items.length, 5);
});

test('a daemon says that it is alive, ready, and how it does', async (t) => {
  const flagd = await startFlagd(t);
  assert.equal((await flagd.get('/healthz', { token: null })).json.status, 'ok');
  const ready = await flagd.get('/readyz', { token: null });
  assert.deepEqual(ready.json, { ready: true, reads: true, changes: true, reasons: [] });
  const metrics = await flagd.get('/metrics', { token: null });
  assert.equal(metrics.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
  assert.match(metrics.text, /^halyard_environment_revision\{environment="prod"\} 1$/m);
  assert.equal((await flagd.get('/nothing')).status, 404);
  const wrong = await flagd.delete('/healthz');
  assert.equal(wrong.status, 405);
  assert.match(wrong.headers.allow, /GET/);
});
