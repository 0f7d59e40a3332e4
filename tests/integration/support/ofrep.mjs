// SPDX-License-Identifier: Apache-2.0
// Flags of every type for the tests of OFREP and its providers.
import assert from 'node:assert/strict';

const on = (setting = {}) => ({ environments: { prod: { enabled: true, ...setting } } });

export const FLAGS = [
  { key: 'bool', type: 'boolean', ...on() },
  { key: 'text', type: 'string', variants: { a: 'snow ☃ "quoted"', b: 'b' }, ...on() },
  { key: 'int', type: 'integer', variants: { a: 42, b: 1 }, ...on() },
  '{"key":"number-whole","type":"number","variants":{"a":1.0,"b":0.5},"environments":{"prod":{"enabled":true}}}',
  '{"key":"number","type":"number","variants":{"a":3.0000000000000004},"environments":{"prod":{"enabled":true}}}',
  '{"key":"object","type":"object","variants":{"a":{"a":[1,2.50],"b":null}},"environments":{"prod":{"enabled":true}}}',
  { key: 'off', type: 'string', variants: { a: 'a' } },
  { key: 'off-false', type: 'boolean' },
  { key: 'half', type: 'boolean', ...on({ default: { split: [{ variant: 'on', weight: 50000 }, { variant: 'off', weight: 50000 }] } }) },
  {
    key: 'rule', type: 'boolean',
    ...on({ rules: [{ if: [{ attribute: 'plan', op: 'eq', value: 'pro' }], serve: { variant: 'on' } }], default: { variant: 'off' } }),
  },
];

export async function createFlags(flagd) {
  for (const flag of FLAGS) {
    const made = await flagd.post('/api/v1/flags', flag);
    assert.equal(made.status, 201, made.text);
  }
}

export async function clientToken(flagd, environment) {
  const made = await flagd.post('/api/v1/tokens', { name: 'test', kind: 'client', environment });
  assert.equal(made.status, 201, made.text);
  return made.json.token;
}
