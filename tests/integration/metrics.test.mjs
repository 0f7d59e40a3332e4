// SPDX-License-Identifier: Apache-2.0
// /metrics of the real daemon: accepted by Prometheus's own checker, complete, and it counts.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { root, startFlagd } from './support/flagd.mjs';

/** Value of a series such as `name{a="b"}`, or undefined. */
function valueOf(page, series) {
  const line = page.split('\n').find((text) => text.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

async function pageOf(flagd) {
  const answer = await flagd.get('/metrics', { token: null });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
  return answer.text;
}

/** A little of everything that is counted. */
async function use(flagd) {
  const report = {
    client: { name: 'test', version: '1', instance: '0123456789abcdef' }, epoch: '1', revision: '1',
    evaluations: [{ flag: 'a', variant: 'on "quoted" \\ back', count: 7 }], unknown: [{ flag: 'gone', count: 3 }],
  };
  assert.equal((await flagd.post('/api/v1/flags', { key: 'a', type: 'boolean' })).status, 201);
  assert.equal((await flagd.post('/api/v1/telemetry?environment=prod', report)).status, 204);
  assert.equal((await flagd.post('/ofrep/v1/evaluate/flags/a?environment=prod', {})).status, 200);
  assert.equal((await flagd.get('/api/v1/flags/none')).status, 404);
  assert.equal((await flagd.get('/api/v1/flags', { token: 'hly_o_nonsense' })).status, 401);
  assert.equal((await flagd.get('/nowhere')).status, 404);
}

test('promtool accepts the page', async (t) => {
  const flagd = await startFlagd(t);
  await use(flagd);
  const checked = spawnSync('promtool', ['check', 'metrics'], { input: await pageOf(flagd), encoding: 'utf8' });
  if (checked.error?.code === 'ENOENT') {
    t.skip('promtool is not installed');
    return;
  }
  assert.equal(checked.status, 0, checked.stdout + checked.stderr);
});

test('every documented metric is on the page, and nothing else', async (t) => {
  const flagd = await startFlagd(t);
  await use(flagd);
  const documented = readFileSync(path.join(root, 'docs/metrics.md'), 'utf8').matchAll(/^\| `(halyard_\w+)`/gm);
  const written = (await pageOf(flagd)).matchAll(/^# TYPE (\S+)/gm);
  assert.deepEqual([...written].map((match) => match[1]).sort(), [...documented].map((match) => match[1]).sort());
});

test('requests, changes and reports are counted', async (t) => {
  const flagd = await startFlagd(t);
  await use(flagd);
  const page = await pageOf(flagd);
  assert.equal(valueOf(page, 'halyard_http_requests_total{route="flag_create",status="2xx"}'), 1);
  assert.equal(valueOf(page, 'halyard_http_requests_total{route="flag_get",status="4xx"}'), 1);
  assert.equal(valueOf(page, 'halyard_http_requests_total{route="flag_list",status="4xx"}'), 1);
  assert.equal(valueOf(page, 'halyard_http_requests_total{route="none",status="4xx"}'), 1);
  assert.equal(valueOf(page, 'halyard_http_request_duration_seconds_count{route="flag_create"}'), 1);
  assert.equal(valueOf(page, 'halyard_environment_revision{environment="prod"}'), 2);
  assert.equal(valueOf(page, 'halyard_environment_flags{environment="prod"}'), 1);
  assert.equal(valueOf(page, 'halyard_auth_failures_total'), 1);
  assert.equal(valueOf(page, 'halyard_store_writable'), 1);
  assert.equal(
    valueOf(page, 'halyard_client_evaluations_total{environment="prod",flag="a",variant="on \\"quoted\\" \\\\ back"}'), 7);
  assert.equal(valueOf(page, 'halyard_client_unknown_flags_total{environment="prod"}'), 3);
  assert.equal(valueOf(page, 'halyard_client_revision_lag{environment="prod"}'), 1);
});
