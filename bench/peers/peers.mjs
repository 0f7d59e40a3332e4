// SPDX-License-Identifier: Apache-2.0
// What one evaluation costs in another product's SDK, by the same load as bench_eval.c: 1,000 boolean flags,
// a 50 % rollout by user id, random order of flags and users, nothing sent anywhere.
//
//   node peers.mjs [PEER…] [--evaluations N]
//
// Prints a line "PEER NS_PER_EVALUATION SHARE_OF_TRUE" each, the median of several repetitions.
import { parseArgs } from 'node:util';

const FLAGS = 1000;
const USERS = 4096;
const REPETITIONS = 5;
const keys = Array.from({ length: FLAGS }, (_, i) => `bench-flag-a-${String(i).padStart(6, '0')}`);
const silent = { error() {}, warn() {}, info() {}, debug() {} };

/** Features of all keys, made by `make(key)`. */
function featuresOf(make) {
  return Object.fromEntries(keys.map((key) => [key, make(key)]));
}

/** Each opens the SDK and gives a function of (key, user) and, when it has to be awaited, isAsync. */
const peers = {
  async growthbook() {
    const { GrowthBookClient } = await import('@growthbook/growthbook');
    const rules = [{ force: true, coverage: 0.5, hashAttribute: 'id' }];
    const client = new GrowthBookClient();
    client.initSync({ payload: { features: featuresOf(() => ({ defaultValue: false, rules })) } });
    return {
      context: (user) => ({ attributes: { id: user } }),
      evaluate: (key, context) => client.isOn(key, context),
    };
  },

  async 'flagd-core'() {
    const { FlagdCore } = await import('@openfeature/flagd-core');
    const core = new FlagdCore(undefined, silent);
    const flag = {
      state: 'ENABLED',
      variants: { on: true, off: false },
      defaultVariant: 'off',
      targeting: { fractional: [['on', 50], ['off', 50]] },
    };
    core.setConfigurations(JSON.stringify({ flags: featuresOf(() => flag) }));
    return {
      context: (user) => ({ targetingKey: user }),
      evaluate: (key, context) => core.resolveBooleanEvaluation(key, false, context, silent).value,
    };
  },

  async unleash() {
    const { Unleash } = await import('unleash-client');
    const data = keys.map((name) => ({
      name,
      type: 'release',
      enabled: true,
      stale: false,
      impressionData: false,
      project: 'default',
      variants: [],
      strategies: [{ name: 'flexibleRollout', parameters: { rollout: '50', stickiness: 'userId', groupId: name } }],
    }));
    const client = new Unleash({
      url: 'http://127.0.0.1:9/',
      appName: 'bench',
      refreshInterval: 0,
      disableMetrics: true,
      bootstrap: { data },
      storageProvider: { get: async () => undefined, set: async () => {} },
    });
    client.on('error', () => {});
    client.on('warn', () => {});
    await new Promise((resolve) => client.once('ready', resolve));
    return {
      context: (user) => ({ userId: user }),
      evaluate: (key, context) => client.isEnabled(key, context),
    };
  },

  async launchdarkly() {
    const sdk = await import('@launchdarkly/node-server-sdk');
    const { TestData } = await import('@launchdarkly/node-server-sdk/integrations');
    const data = new TestData();
    const weights = [0, 1].map((variation) => ({ variation, weight: 50000 }));
    for (const key of keys) {
      await data.usePreconfiguredFlag({
        key,
        version: 1,
        on: true,
        variations: [true, false],
        offVariation: 1,
        salt: key,
        fallthrough: { rollout: { variations: weights } },
        rules: [],
        targets: [],
      });
    }
    const client = sdk.init('bench', { updateProcessor: data.getFactory(), sendEvents: false, diagnosticOptOut: true, logger: silent });
    await client.waitForInitialization({ timeout: 10 });
    return {
      isAsync: true,
      context: (user) => ({ kind: 'user', key: user }),
      evaluate: (key, context) => client.boolVariation(key, context, false),
    };
  },
};

/** One repetition; loops of their own, so that nothing is awaited where the SDK does not ask for it. */
async function repetition(peer, contexts, order, evaluations) {
  let trues = 0;
  const start = process.hrtime.bigint();
  if (peer.isAsync) {
    for (let i = 0; i < evaluations; i++) {
      trues += (await peer.evaluate(keys[order[i % USERS]], contexts[(i * 7) % USERS])) ? 1 : 0;
    }
  } else {
    for (let i = 0; i < evaluations; i++) {
      trues += peer.evaluate(keys[order[i % USERS]], contexts[(i * 7) % USERS]) ? 1 : 0;
    }
  }
  const ns = Number(process.hrtime.bigint() - start) / evaluations;
  return { ns, share: trues / evaluations };
}

async function measure(name, evaluations) {
  const peer = await peers[name]();
  let state = 88172645;
  const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0);
  const contexts = Array.from({ length: USERS }, (_, i) => peer.context(`user-${random().toString(16).padStart(8, '0')}-${i}`));
  const order = Uint16Array.from({ length: USERS }, () => Math.floor((random() / 2 ** 32) * FLAGS));
  await repetition(peer, contexts, order, evaluations); // the compiler gets to know it
  const results = [];
  for (let i = 0; i < REPETITIONS; i++) {
    results.push(await repetition(peer, contexts, order, evaluations));
  }
  results.sort((a, b) => a.ns - b.ns);
  const { ns, share } = results[REPETITIONS >> 1];
  console.log(`${name} ${ns.toFixed(1)} ${share.toFixed(3)}`);
  return share > 0.45 && share < 0.55;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { evaluations: { type: 'string', default: '200000' } },
});
let isRight = true;
for (const name of positionals.length > 0 ? positionals : Object.keys(peers)) {
  isRight = (await measure(name, Number(values.evaluations))) && isRight;
}
process.exit(isRight ? 0 : 1); // SDKs keep timers
