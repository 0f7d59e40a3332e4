// SPDX-License-Identifier: Apache-2.0
// /openapi.json of the real daemon: valid, complete, and true: answers are what it says, and only open routes are open.
import assert from 'node:assert/strict';
import test from 'node:test';

import { Validator } from '@seriousme/openapi-schema-validator';
import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

import { startFlagd } from './support/flagd.mjs';

const METHODS = ['get', 'put', 'post', 'delete', 'patch'];

/** Every operation of the document with its place. */
function operationsOf(document) {
  return Object.entries(document.paths).flatMap(([pattern, item]) =>
    METHODS.filter((method) => item[method]).map((method) => ({ pattern, method, ...item[method] })));
}

/** Every $ref below a value. */
function refsOf(value) {
  if (value === null || typeof value !== 'object') {
    return [];
  }
  const own = typeof value.$ref === 'string' ? [value.$ref] : [];
  return [...own, ...Object.values(value).flatMap(refsOf)];
}

const pointer = (...parts) =>
  `#/${parts.map((part) => encodeURIComponent(String(part).replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`;

function resolve(document, ref) {
  assert.match(ref, /^#\//);
  const parts = ref.slice(2).split('/').map((part) => decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~'));
  return parts.reduce((value, part) => value?.[part], document);
}

class Contract {
  constructor(document) {
    this.document = document;
    this.operations = new Map(operationsOf(document).map((operation) => [operation.operationId, operation]));
    this.ajv = new Ajv2020({ strict: false, allErrors: true });
    addFormats(this.ajv);
    this.ajv.addSchema(document, 'openapi');
  }

  static async read(flagd) {
    const answer = await flagd.get('/openapi.json', { token: null });
    assert.equal(answer.status, 200, answer.text);
    return new Contract(answer.json);
  }

  matches(place, value, what) {
    const validate = this.ajv.compile({ $ref: `openapi${place}` });
    assert.ok(validate(value), `${what}: ${this.ajv.errorsText(validate.errors)}\n${JSON.stringify(value)}`);
  }

  /** The answer has a status, a media type and a body that the document promises for this operation. */
  holds(operationId, answer) {
    const { pattern, method, responses } = this.operations.get(operationId);
    const what = `${operationId} → ${answer.status}`;
    let place = pointer('paths', pattern, method, 'responses', answer.status);
    let response = responses[answer.status];
    assert.ok(response, `${what} is not in the document: ${answer.text}`);
    if (response.$ref) {
      place = response.$ref;
      response = resolve(this.document, place);
    }
    if (!response.content) {
      assert.equal(answer.text, '', what);
      return answer;
    }
    const type = answer.headers['content-type'].split(';')[0];
    assert.ok(response.content[type], `${what}: ${type} is not in the document`);
    this.matches(`${place}/${pointer('content', type, 'schema').slice(2)}`, answer.json ?? answer.text, what);
    assert.match(answer.headers['x-request-id'], /^[0-9a-f]{16}$/, what);
    assert.ok(!response.headers.ETag || answer.headers.etag || answer.json?.dry_run, `${what}: no ETag`);
    return answer;
  }
}

test('the document is valid OpenAPI 3.1', async (t) => {
  const { document } = await Contract.read(await startFlagd(t));
  assert.equal(document.openapi, '3.1.0');
  const outcome = await new Validator().validate(structuredClone(document));
  assert.ok(outcome.valid, JSON.stringify(outcome.errors, null, 1));
});

test('every reference leads somewhere, and no component is left over', async (t) => {
  const { document } = await Contract.read(await startFlagd(t));
  const refs = new Set(refsOf(document));
  for (const ref of refs) {
    assert.ok(resolve(document, ref) !== undefined, ref);
  }
  for (const group of ['schemas', 'parameters', 'headers', 'responses']) {
    const left = Object.keys(document.components[group]).filter((name) => !refs.has(`#/components/${group}/${name}`));
    assert.deepEqual(left, [], `components/${group} that nothing uses`);
  }
});

test('examples are examples of their schema', async (t) => {
  const contract = await Contract.read(await startFlagd(t));
  for (const [name, schema] of Object.entries(contract.document.components.schemas)) {
    for (const example of schema.examples ?? []) {
      contract.matches(`#/components/schemas/${name}`, example, name);
    }
  }
});

test('every operation says who may call it, what it takes, and how it fails', async (t) => {
  const { document, operations } = await Contract.read(await startFlagd(t));
  assert.equal(operations.size, operationsOf(document).length, 'operation ids are unique');
  const tags = new Set(document.tags.map((tag) => tag.name));
  for (const [id, operation] of operations) {
    assert.match(id, /^[a-z_]+$/);
    assert.ok(operation.summary, id);
    assert.ok(operation.tags.length === 1 && tags.has(operation.tags[0]), `${id}: tag`);
    assert.ok(Array.isArray(operation.security), `${id}: security`);
    for (const scheme of operation.security.flatMap(Object.keys)) {
      assert.ok(document.components.securitySchemes[scheme], `${id}: ${scheme}`);
    }
    const parameters = operation.parameters.map((parameter) => resolve(document, parameter.$ref));
    const inPath = parameters.filter((parameter) => parameter.in === 'path').map((parameter) => `{${parameter.name}}`);
    assert.deepEqual(inPath, operation.pattern.match(/\{\w+\}/g) ?? [], `${id}: path parameters`);
    const problems = Object.keys(operation.responses).filter((status) => status.startsWith('4'));
    assert.ok(problems.includes('400'), `${id}: 400`);
    assert.equal(problems.includes('401'), operation.security.length > 0, `${id}: 401`);
    for (const status of problems) {
      const { content } = resolve(document, operation.responses[status].$ref);
      assert.ok(content['application/problem+json'], `${id}: ${status} has no problem document`);
    }
  }
});

test('what the document calls open answers without a token, and nothing else does', async (t) => {
  const flagd = await startFlagd(t);
  const contract = await Contract.read(flagd);
  for (const [id, { pattern, method, security }] of contract.operations) {
    const target = pattern.replace('{environment}', 'dev').replaceAll(/\{\w+\}/g, 'x');
    const body = ['post', 'put', 'patch'].includes(method) ? {} : undefined;
    for (const token of [null, 'hly_o_0000000000000000000000000000000000000000000000']) {
      const answer = await flagd.request(method.toUpperCase(), target, { token, body });
      if (security.length === 0) {
        assert.equal(answer.status, 200, `${id}: ${answer.text}`);
      } else {
        assert.equal(answer.status, 401, `${id}: ${answer.text}`);
      }
      contract.holds(id, answer);
    }
  }
});

test('answers are what the document says', async (t) => {
  const flagd = await startFlagd(t);
  const contract = await Contract.read(flagd);
  const { schemas } = contract.document.components;
  const banner = schemas.FlagCreate.examples.find((example) => example.key === 'banner');
  const setting = '/api/v1/flags/banner/environments/prod';
  const segment = '/api/v1/segments/beta';
  const steps = [
    ['health_get', 200, () => flagd.get('/healthz')],
    ['ready_get', 200, () => flagd.get('/readyz')],
    ['environment_list', 200, () => flagd.get('/api/v1/environments?limit=2')],
    ['environment_create', 200, () => flagd.post('/api/v1/environments?dry_run=true', schemas.EnvironmentCreate.examples[0])],
    ['environment_create', 201, () => flagd.post('/api/v1/environments', schemas.EnvironmentCreate.examples[0])],
    ['environment_create', 409, () => flagd.post('/api/v1/environments', schemas.EnvironmentCreate.examples[0])],
    ['environment_get', 200, () => flagd.get('/api/v1/environments/canary')],
    ['environment_update', 200, () => flagd.patch('/api/v1/environments/canary', schemas.EnvironmentPatch.examples[0])],
    ['segment_create', 201, () => flagd.post('/api/v1/segments', schemas.SegmentCreate.examples[0])],
    ['segment_replace', 200, () => flagd.put(segment, { ...schemas.SegmentPut.examples[0], included: ['user-9'] })],
    ['segment_replace', 201, () => flagd.put('/api/v1/segments/gamma', schemas.SegmentPut.examples[0])],
    ['segment_get', 200, () => flagd.get(segment)],
    ['segment_list', 200, () => flagd.get('/api/v1/segments')],
    ['segment_history', 200, () => flagd.get(`${segment}/history`)],
    ['segment_delete', 204, () => flagd.delete('/api/v1/segments/gamma')],
    ['flag_create', 200, () => flagd.post('/api/v1/flags?dry_run=true', banner)],
    ['flag_create', 201, () => flagd.post('/api/v1/flags', banner)],
    ['flag_create', 201, () => flagd.post('/api/v1/flags', schemas.FlagCreate.examples[0])],
    ['flag_create', 400, () => flagd.post('/api/v1/flags', { key: 'x', type: 'boolean', nonsense: 1 })],
    ['flag_list', 200, () => flagd.get('/api/v1/flags?q=alert&limit=1')],
    ['flag_get', 200, () => flagd.get('/api/v1/flags/banner')],
    ['flag_get', 404, () => flagd.get('/api/v1/flags/nothing')],
    ['flag_update', 200, () => flagd.patch('/api/v1/flags/banner', schemas.FlagPatch.examples[0])],
    ['setting_get', 200, () => flagd.get(setting)],
    ['setting_get', 304, () => flagd.get(setting, { headers: { 'if-none-match': '"1"' } })],
    ['setting_update', 200, () => flagd.patch(`${setting}?dry_run=true`, { enabled: false })],
    ['setting_update', 200, () => flagd.patch(setting, { enabled: false, reason: 'try' })],
    ['setting_update', 412, () => flagd.patch(setting, { enabled: true }, { headers: { 'if-match': '"1"' } })],
    ['setting_revert', 200, () => flagd.post(`${setting}/revert`, schemas.RevertRequest.examples[0])],
    ['flag_history', 200, () => flagd.get('/api/v1/flags/banner/history?environment=prod')],
    ['evaluate', 200, () => flagd.post('/api/v1/environments/prod/evaluate', {})],
    ['evaluate', 200, () => flagd.post('/api/v1/environments/prod/evaluate', schemas.EvaluateRequest.examples[0])],
    ['token_create', 201, () => flagd.post('/api/v1/tokens', schemas.TokenCreate.examples[0])],
    ['token_list', 200, () => flagd.get('/api/v1/tokens')],
    ['telemetry_post', 204, () => flagd.post('/api/v1/telemetry?environment=prod', schemas.TelemetryReport.examples[0])],
    ['telemetry_get', 200, () => flagd.get('/api/v1/environments/prod/telemetry')],
    ['signing_keys_get', 200, () => flagd.get('/api/v1/signing-keys')],
    ['snapshot_get', 200, () => flagd.get('/api/v1/environments/prod/snapshot')],
    ['ofrep_evaluate', 200, () => flagd.post('/ofrep/v1/evaluate/flags/banner?environment=prod', schemas.OfrepRequest.examples[0])],
    ['ofrep_evaluate', 404, () => flagd.post('/ofrep/v1/evaluate/flags/nothing?environment=prod', {})],
    ['ofrep_evaluate_all', 200, () => flagd.post('/ofrep/v1/evaluate/flags?environment=prod', schemas.OfrepRequest.examples[0])],
    ['flag_archive', 204, () => flagd.delete('/api/v1/flags/ENABLE_ALERTS')],
    ['metrics_get', 200, () => flagd.get('/metrics')],
  ];
  for (const [id, status, ask] of steps) {
    const answer = await ask();
    assert.equal(answer.status, status, `${id}: ${answer.text}`);
    contract.holds(id, answer);
  }
});
