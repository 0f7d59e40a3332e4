// SPDX-License-Identifier: Apache-2.0
// kill -9 at random points under writers: what was acknowledged is there, once, with its journal entry; nothing has a gap.
import assert from 'node:assert/strict';
import test from 'node:test';

import { Flagd, isSanitized, temporaryFolder } from './support/flagd.mjs';

const ROUNDS = Number(process.env.HALYARD_CRASH_ROUNDS ?? (isSanitized ? 30 : 220));
const WRITERS = 4;

/** Deterministic numbers in [0, 1), so that a failure can be seen again (mulberry32). */
function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Owns one flag; its k-th change writes "n-k", so that the state tells which changes happened. */
class Writer {
  acknowledged = 0;
  attempted = 0;

  constructor(index) {
    this.flag = `writer-${index}`;
    this.environment = index % 2 ? 'prod' : 'dev';
    this.path = `/api/v1/flags/${this.flag}/environments/${this.environment}`;
  }

  async change(flagd) {
    const answer = await flagd.patch(
      this.path,
      { targets: [{ variant: 'on', keys: [`n-${this.attempted}`] }], reason: `change ${this.attempted}` },
      { headers: { 'idempotency-key': `${this.flag}-${this.attempted}` } },
    );
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.json.version, String(this.attempted + 1));
    this.acknowledged = this.attempted;
  }

  async run(flagd, isOver) {
    while (!isOver()) {
      if (this.acknowledged === this.attempted) {
        this.attempted++;
      }
      await this.change(flagd);
    }
  }

  /** After a crash: the last change is there, or the one that was never answered. */
  async check(flagd) {
    const { json } = await flagd.get(this.path);
    const found = json.targets.length > 0 ? Number(json.targets[0].keys[0].slice(2)) : 0;
    assert.ok(found === this.acknowledged || found === this.attempted,
      `${this.flag}: found ${found}, acknowledged ${this.acknowledged}, attempted ${this.attempted}`);
    assert.equal(Number(json.version), found + 1, 'each change is one version');
    if (this.attempted > this.acknowledged) {
      await this.change(flagd); // the retry of what may have happened changes once
    }
  }
}

async function entriesOf(flagd, flag) {
  const entries = [];
  let cursor = '';
  do {
    const page = (await flagd.get(`/api/v1/flags/${flag}/history?limit=1000${cursor && `&cursor=${cursor}`}`, { deadlineMs: 30_000 })).json;
    entries.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor);
  return entries;
}

function assertGapless(numbers, what) {
  const sorted = [...new Set(numbers)].sort((a, b) => a - b);
  sorted.forEach((n, i) => assert.equal(n, sorted[0] + i, `${what} have no gap`));
  return sorted.at(-1);
}

test(`${ROUNDS} rounds of kill -9 under ${WRITERS} writers`, { timeout: 600_000 }, async (t) => {
  const seed = Number(process.env.HALYARD_SEED ?? Date.now() % 2 ** 31);
  t.diagnostic(`HALYARD_SEED=${seed}`);
  const random = randomOf(seed);
  const data = temporaryFolder(t);
  let flagd = await Flagd.start({ data });
  const writers = Array.from({ length: WRITERS }, (_, i) => new Writer(i));
  for (const writer of writers) {
    assert.equal((await flagd.post('/api/v1/flags', { key: writer.flag, type: 'boolean' })).status, 201);
  }
  for (let round = 0; round < ROUNDS; round++) {
    let isOver = false;
    const work = writers.map((writer) => writer.run(flagd, () => isOver).catch((error) => {
      if (error.code === 'ERR_ASSERTION') {
        throw error;
      }
    }));
    const dying = flagd;
    const kill = new Promise((resolve) => {
      setTimeout(() => resolve(dying.kill9()), 1 + random() * 40);
    });
    await kill;
    isOver = true;
    await Promise.all(work);
    flagd = await Flagd.start({ data });
    for (const writer of writers) {
      await writer.check(flagd);
    }
  }
  const entries = (await Promise.all(writers.map((writer) => entriesOf(flagd, writer.flag)))).flat();
  const perFlag = writers.map((writer) => entries.filter((e) => e.flag === writer.flag && e.action === 'setting.update').length);
  assert.deepEqual(perFlag, writers.map((writer) => writer.acknowledged));
  // The first start wrote 4 entries and each flag 4; the rest are the changes.
  const last = assertGapless(entries.map((entry) => Number(entry.seq)), 'journal numbers');
  assert.equal(last, 4 + 4 * WRITERS + perFlag.reduce((a, b) => a + b));
  for (const environment of ['dev', 'prod']) {
    const newest = assertGapless(entries.filter((e) => e.revisions[environment]).map((e) => Number(e.revisions[environment])), 'revisions');
    assert.equal((await flagd.get(`/api/v1/environments/${environment}`)).json.revision, String(newest));
  }
  t.diagnostic(`${perFlag.reduce((a, b) => a + b)} changes survived ${ROUNDS} crashes`);
  await flagd.stop();
});
