// SPDX-License-Identifier: Apache-2.0
// The vectors of the engine through the whole system: stored by the admin API, then asked of OFREP, of the evaluation
// API and of libhalyard. All three must give the verdict that the engine's own test wants.
import assert from 'node:assert/strict';
import http from 'node:http';
import test from 'node:test';

import { startProbe } from './support/client.mjs';
import { atEnd, startFlagd } from './support/flagd.mjs';
import { clientToken } from './support/ofrep.mjs';
import { elementsOf, membersOf, objectOf, vectorsOf } from './support/vectors.mjs';

const parse = (text) => (text === undefined ? undefined : JSON.parse(text));

/** A flag of the vectors as the admin API takes it: its settings are those of dev, without what the API would fill in. */
function flagBody(text) {
  const { key, type, variants, enabled, off_variant = 'null', prerequisites, targets, rules, default: fallthrough, ...unknown } = membersOf(text);
  const dev = objectOf({ enabled, off_variant, prerequisites, targets, rules, default: fallthrough });
  return objectOf({ key, type, variants, environments: objectOf({ dev }), ...unknown });
}

const FLAGS = '/api/v1/flags';
const SEGMENTS = '/api/v1/segments';

/** Stores [address, document] in whatever order they need each other; gives the problems of those that are refused. */
async function store(flagd, documents) {
  let waiting = documents.map(([target, body]) => ({ target, body }));
  for (;;) {
    const refused = [];
    for (const { target, body } of waiting) {
      const made = await flagd.post(target, body);
      if (made.status !== 201) {
        assert.equal(made.status, 400, `${body}\n${made.text}`);
        refused.push({ target, body, key: JSON.parse(body).key, detail: made.json.detail });
      }
    }
    if (refused.length === waiting.length) {
      return refused;
    }
    waiting = refused;
  }
}

/** Asks all three for one case and checks each against what is expected. */
class Judge {
  verdicts = 0;

  static async start(t, flagd) {
    const judge = new Judge();
    judge.flagd = flagd;
    judge.agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    atEnd(t, () => judge.agent.destroy());
    judge.token = await clientToken(flagd, 'dev');
    judge.probe = startProbe(t, { url: flagd.url, token: judge.token, environment: 'dev', args: ['--telemetry-ms', '3600000'] });
    const { revision } = (await flagd.get('/api/v1/environments/dev')).json;
    const there = await judge.probe.ask(`wait ${revision} 10000`);
    assert.equal(there.ok, true, `the client has revision ${revision}: ${JSON.stringify(there)}`);
    return judge;
  }

  async ofrep(flag, context) {
    const answer = await this.#post(`/ofrep/v1/evaluate/flags/${flag}`, objectOf({ context }));
    const { value, variant, reason = 'ERROR', errorCode, errorDetails } = answer.json;
    assert.equal(answer.status === 200, errorCode === undefined, answer.text);
    return { value, variant, reason, error: errorCode, cause: errorDetails };
  }

  async api(flag, context, options = {}) {
    const body = objectOf({ flag: JSON.stringify(flag), context, ...options });
    const answer = await this.#post('/api/v1/environments/dev/evaluate', body);
    assert.equal(answer.status, 200, answer.text);
    const { value, variant, reason, error_code: error, cause } = answer.json.flags[0];
    return { value, variant, reason, error, cause };
  }

  async client(flag, context) {
    const answer = await this.probe.ask(`json ${flag} ${context}`);
    const { is_default: isDefault, value, variant, reason, error } = answer;
    return { value: isDefault ? undefined : value, variant: variant || undefined, reason, error: error === 'NONE' ? undefined : error };
  }

  /** `expect` has the members of the vectors; what is absent must be absent. */
  async check(name, flag, context, expect) {
    const wanted = { value: expect.value, variant: expect.variant, reason: expect.reason, error: expect.error_code };
    const given = {
      OFREP: await this.ofrep(flag, context),
      'the evaluation API': await this.api(flag, context),
      'the evaluation API, explained': await this.api(flag, context, { explain: 'true' }),
      libhalyard: await this.client(flag, context),
    };
    for (const [who, { cause, ...verdict }] of Object.entries(given)) {
      assert.deepEqual(verdict, wanted, `${name}: ${who}: flag ${flag}, context ${context}`);
      if (expect.cause !== undefined && cause !== undefined) {
        assert.equal(cause, expect.cause, `${name}: ${who}`);
      }
      this.verdicts++;
    }
  }

  #post(target, body) {
    return this.flagd.post(target, body, { token: this.token, agent: this.agent });
  }
}

const suites = elementsOf(vectorsOf('evaluation.json').suites).map(membersOf);

/** Suite → how many flags and segments the admin API must refuse, and cases that ask for those flags. */
const REFUSED = { problems: { flags: 17, segments: 2, cases: 18 } };
const NONE = { flags: 0, segments: 0, cases: 0 };

for (const suite of suites) {
  const title = JSON.parse(suite.name);
  test(`evaluation: ${title}`, async (t) => {
    const flagd = await startFlagd(t);
    const segments = elementsOf(suite.segments).map((text) => [SEGMENTS, text]);
    const refused = await store(flagd, [...segments, ...elementsOf(suite.flags).map((text) => [FLAGS, flagBody(text)])]);
    const flags = new Set(refused.filter(({ target }) => target === FLAGS).map(({ key }) => key));
    const judge = await Judge.start(t, flagd);
    const cases = elementsOf(suite.cases).map(membersOf);
    const possible = cases.filter(({ flag }) => !flags.has(JSON.parse(flag)));
    for (const { name, flag, context, expect } of possible) {
      await judge.check(JSON.parse(name), JSON.parse(flag), context, JSON.parse(expect));
    }
    const counts = { flags: flags.size, segments: refused.length - flags.size, cases: cases.length - possible.length };
    assert.deepEqual(counts, REFUSED[title] ?? NONE, refused.map(({ key, detail }) => `${key}: ${detail}`).join('\n'));
    assert.ok(possible.length > 0 && judge.verdicts === 4 * possible.length);
  });
}

/** One flag whose only rule is this condition. */
function conditionFlag(key, condition) {
  const rules = `[{"if":[${condition}],"serve":{"variant":"on"}}]`;
  const dev = `{"enabled":true,"rules":${rules},"default":{"variant":"off"}}`;
  return objectOf({ key: JSON.stringify(key), type: '"boolean"', environments: objectOf({ dev }) });
}

test('operators: every case as the rule of a flag', async (t) => {
  const flagd = await startFlagd(t);
  const cases = elementsOf(vectorsOf('operators.json').cases).map(membersOf);
  const keys = new Map();
  for (const { condition } of cases) {
    if (!keys.has(condition)) {
      keys.set(condition, `condition-${keys.size}`);
    }
  }
  const refused = await store(flagd, [...keys].map(([condition, key]) => [FLAGS, conditionFlag(key, condition)]));
  assert.deepEqual(refused, []);
  const judge = await Judge.start(t, flagd);
  const verdicts = {
    true: { value: true, variant: 'on', reason: 'TARGETING_MATCH' },
    false: { value: false, variant: 'off', reason: 'DEFAULT' },
    '"exceeded"': { reason: 'ERROR', error_code: 'GENERAL', cause: 'A regular expression took too many steps' },
  };
  for (const { name, condition, context, expect } of cases) {
    await judge.check(JSON.parse(name), keys.get(condition), context, verdicts[expect]);
  }
  assert.ok(judge.verdicts >= 4 * 450);
});

test('operators: what the engine cannot compile is refused with the place and the reason', async (t) => {
  const flagd = await startFlagd(t);
  const rows = elementsOf(vectorsOf('operators.json').invalid).map(membersOf);
  assert.ok(rows.length >= 79);
  for (const { condition, path, message_contains: message } of rows) {
    const answer = await flagd.post(FLAGS, conditionFlag('broken', condition));
    assert.equal(answer.status, 400, `${condition}\n${answer.text}`);
    assert.equal(answer.json.path, `/environments/dev/rules/0/if/0${parse(path) ?? ''}`, condition);
    assert.ok(answer.json.detail.includes(parse(message) ?? ''), `${condition}\n${answer.text}`);
  }
  assert.deepEqual((await flagd.get(FLAGS)).json.items, []);
});
