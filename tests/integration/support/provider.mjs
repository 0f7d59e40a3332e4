// SPDX-License-Identifier: Apache-2.0
// What every provider with a dynamic context must make of the flags in ofrep.mjs, whatever its language.
import assert from 'node:assert/strict';

import { startFlagd } from './flagd.mjs';
import { clientToken, createFlags } from './ofrep.mjs';
import { evaluateCases } from './sdk.mjs';

const user = { targetingKey: 'user-1' };
const own = { reason: 'ERROR' }; // and the default of the code
const METADATA = { flagSetId: 'prod', version: '1' };

// Defaults are told apart from every value that the daemon could serve.
const DEFAULTS = { boolean: false, string: 'mine', integer: -7, float: -7.5, object: { mine: true } };

/** name, type, flag, context, what is expected, and the default where it is not the usual one. */
const CASES = [
  ['boolean', 'boolean', 'bool', user, { value: true, variant: 'on', reason: 'STATIC' }],
  ['string', 'string', 'text', user, { value: 'snow ☃ "quoted"', variant: 'a', reason: 'STATIC' }],
  ['integer', 'integer', 'int', user, { value: 42, variant: 'a', reason: 'STATIC' }],
  ['float', 'float', 'number', user, { value: 3.0000000000000004, variant: 'a', reason: 'STATIC' }],
  ['whole float', 'float', 'number-whole', user, { value: 1, variant: 'a', reason: 'STATIC' }],
  ['object', 'object', 'object', user, { value: { a: [1, 2.5], b: null }, variant: 'a', reason: 'STATIC' }],
  ['rule', 'boolean', 'rule', { ...user, plan: 'pro' }, { value: true, variant: 'on', reason: 'TARGETING_MATCH' }],
  ['no rule', 'boolean', 'rule', { ...user, plan: 'free' }, { value: false, variant: 'off', reason: 'DEFAULT' }, true],
  ['split', 'boolean', 'half', user, { value: true, variant: 'on', reason: 'SPLIT' }],
  ['the other side of a split', 'boolean', 'half', { targetingKey: 'user-2' }, { value: false, variant: 'off', reason: 'SPLIT' }, true],
  ['off with a value', 'boolean', 'off-false', user, { value: false, variant: 'off', reason: 'DISABLED' }, true],
  ['no such flag', 'string', 'no-such-flag', user, { ...own, errorCode: 'FLAG_NOT_FOUND' }],
  ['no targeting key', 'boolean', 'half', { plan: 'pro' }, { ...own, errorCode: 'TARGETING_KEY_MISSING' }],
  ['another type', 'boolean', 'text', user, { ...own, errorCode: 'TYPE_MISMATCH' }],
  ['float of an integer flag', 'float', 'int', user, { ...own, errorCode: 'TYPE_MISMATCH' }],
  ['integer of a float flag', 'integer', 'number', user, { ...own, errorCode: 'TYPE_MISMATCH' }],
];

export async function providerDaemon(t) {
  const flagd = await startFlagd(t);
  await createFlags(flagd);
  return { flagd, url: flagd.url, token: await clientToken(flagd, 'prod') };
}

const request = ([name, type, flag, context, , fallback]) => ({ name, type, flag, context, default: fallback ?? DEFAULTS[type] });

/**
 * Runs all cases with a provider's program. `differing` are a provider's own deviations by case, `types` the names
 * that the language gives to the types of values.
 */
export async function checkProvider(command, daemon, { types, differing = {} }) {
  const cases = CASES.map(request);
  const answers = await evaluateCases(command, { ...daemon, cases });
  assert.equal(answers.size, CASES.length);
  for (const [name, type, , , usual, fallback] of CASES) {
    const answer = answers.get(name);
    const expected = { value: fallback ?? DEFAULTS[type], ...usual, ...differing[name] };
    for (const [field, value] of Object.entries(expected).filter(([, given]) => given !== undefined)) {
      assert.deepEqual(answer[field], value, `${name}: ${field} of ${JSON.stringify(answer)}`);
    }
    if (expected.errorCode === undefined) {
      assert.ok(!answer.errorCode, JSON.stringify(answer));
      assert.deepEqual(answer.metadata, METADATA, name);
      assert.match(answer.type, types[type], name);
    } else {
      assert.notEqual(answer.errorMessage ?? '', '', `${name}: an error says why`);
    }
  }
}

/** A flag that is off and has no value: every provider gives the default of the code, `told` is what it says of it. */
export async function checkOffWithoutValue(command, daemon, told) {
  const [answer] = (await evaluateCases(command, { ...daemon, cases: [request(['off', 'string', 'off', user])] })).values();
  assert.equal(answer.value, DEFAULTS.string);
  assert.deepEqual({ reason: answer.reason, errorCode: answer.errorCode || null }, told);
}

/** A token that the daemon refuses: the default, and an error that names the cause. */
export async function checkDenied(command, daemon, message) {
  const cases = [request(CASES[0])];
  const [answer] = (await evaluateCases(command, { ...daemon, token: 'hly_c_wrong', cases })).values();
  assert.deepEqual([answer.value, answer.reason, answer.errorCode], [false, 'ERROR', 'GENERAL']);
  assert.match(answer.errorMessage, message);
}
