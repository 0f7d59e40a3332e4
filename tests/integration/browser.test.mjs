// SPDX-License-Identifier: Apache-2.0
// A real browser: a page of another origin with OpenFeature's web SDK and provider, with CORS, EventSource and ETags.
import assert from 'node:assert/strict';
import { accessSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import test from 'node:test';

import { atEnd, startFlagd, temporaryFolder } from './support/flagd.mjs';
import { clientToken, createFlags } from './support/ofrep.mjs';
import { sources } from './support/sdk.mjs';
import { Mailbox } from './support/wait.mjs';

const CHROMIUM = '/usr/bin/chromium';
const ARGUMENTS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1', // it speaks to nobody but us
];
const BULK = /\/ofrep\/v1\/evaluate\/flags(\?|$)/;

function missing() {
  try {
    accessSync(CHROMIUM);
    return false;
  } catch {
    return `${CHROMIUM} is not installed`;
  }
}

async function bundle() {
  const esbuild = await import('esbuild');
  const made = await esbuild.build({
    entryPoints: [path.join(sources, 'browser/page.js')], bundle: true, write: false, format: 'esm', platform: 'browser', logLevel: 'silent',
  });
  return made.outputFiles[0].text;
}

/** Serves the page and nothing else; it may connect to `allowed` only. Gives its address. */
async function servePage(t, allowed) {
  const files = {
    '/': ['text/html', await readFile(path.join(sources, 'browser/index.html'))],
    '/page.js': ['text/javascript', await bundle()],
  };
  const server = http.createServer((incoming, outgoing) => {
    const [type, body] = files[incoming.url] ?? ['text/plain', null];
    const policy = `default-src 'none'; script-src 'self'; connect-src ${allowed}`;
    outgoing.writeHead(body === null ? 404 : 200, { 'content-type': type, 'content-security-policy': policy });
    outgoing.end(body);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => new Promise((resolve) => server.close(resolve).closeAllConnections()));
  return `http://127.0.0.1:${server.address().port}/`;
}

/** A tab; `answers` are those of the daemon, `said` is what the page wrote to its console. */
async function openTab(t) {
  const { chromium } = await import('playwright-core');
  const options = { executablePath: CHROMIUM, args: ARGUMENTS, headless: true, timeout: 60_000 };
  const browser = await chromium.launchPersistentContext(temporaryFolder(t), options);
  atEnd(t, () => browser.close());
  const page = await browser.newPage();
  const answers = new Mailbox();
  const said = [];
  page.on('console', (message) => said.push(message.text()));
  page.on('pageerror', (error) => said.push(String(error)));
  page.on('response', async (response) => {
    const request = response.request();
    answers.push({ url: response.url(), status: response.status(), type: request.resourceType(), sent: await request.allHeaders() });
  });
  return { page, answers, said };
}

async function shows({ page, said }, id, text) {
  const is = ([where, wanted]) => document.getElementById(where)?.textContent === wanted;
  await page.waitForFunction(is, [id, text], { timeout: 15_000 }).catch(async (error) => {
    throw new Error(`#${id} is not ${text}: ${await page.locator('body').innerText()}\n${said.join('\n')}\n${error.message}`);
  });
}

const bulkAnswer = (answers, status, from = 0) =>
  answers.waitFor((answer) => BULK.test(answer.url) && answer.status === status, 15_000, { from, what: `a bulk answer of ${status}` });

test('a page of another origin evaluates, follows a change, and asks with the ETag', { skip: missing() }, async (t) => {
  const flagd = await startFlagd(t);
  await createFlags(flagd);
  const address = await servePage(t, flagd.url);
  const tab = await openTab(t);
  const { page, answers } = tab;

  await page.goto(`${address}#url=${encodeURIComponent(flagd.url)}&token=${await clientToken(flagd, 'prod')}`);
  await shows(tab, 'text', 'snow ☃ "quoted"');
  await shows(tab, 'bool', 'true on STATIC');
  const first = await bulkAnswer(answers, 200);
  assert.equal(first.sent['if-none-match'], undefined);
  assert.notEqual(new URL(address).origin, new URL(first.url).origin);
  const stream = await answers.waitFor((answer) => answer.type === 'eventsource', 15_000, { what: 'the event stream' });
  assert.equal(stream.status, 200);
  assert.match(stream.url, /\/ofrep\/v1\/stream\?ticket=/);
  assert.equal(stream.sent.authorization, undefined, 'browsers send no token with an EventSource');

  const before = answers.items.length;
  await flagd.patch('/api/v1/flags/text/environments/prod', { default: { variant: 'b' } });
  await shows(tab, 'text', 'b');
  await shows(tab, 'changed', 'text');
  const told = await bulkAnswer(answers, 200, before);
  assert.match(told.url, /\?flagConfigEtag=/, 'the notice of the stream made it ask');
  assert.match(told.sent['if-none-match'], /^"[^"]+"$/, 'the page could read the ETag');

  const reloaded = answers.items.length;
  await page.reload();
  await shows(tab, 'text', 'b');
  const same = await bulkAnswer(answers, 304, reloaded);
  assert.match(same.sent['if-none-match'], /^"[^"]+"$/);
  assert.notEqual(same.sent['if-none-match'], told.sent['if-none-match']);
});

test('a page with a refused token can read why', { skip: missing() }, async (t) => {
  const flagd = await startFlagd(t);
  const address = await servePage(t, flagd.url);
  const tab = await openTab(t);
  await tab.page.goto(`${address}#url=${encodeURIComponent(flagd.url)}&token=hly_c_wrong`);
  await bulkAnswer(tab.answers, 401);
  await tab.page.waitForFunction(() => document.getElementById('error').textContent !== '', undefined, { timeout: 15_000 });
  assert.match(await tab.page.locator('#error').textContent(), /unauthorized|401/i);
});
