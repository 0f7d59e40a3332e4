// SPDX-License-Identifier: Apache-2.0
// Reporter for `node --test`: one JSON line per finished test, the same in every version of node.
// tools/results.py reads it.
import { inspect } from 'node:util';

export default async function* reporter(events) {
  for await (const { type, data } of events) {
    if (type !== 'test:pass' && type !== 'test:fail') {
      continue;
    }
    const error = data.details?.error;
    const skipped = data.skip !== undefined && data.skip !== false;
    yield `${JSON.stringify({
      result: type === 'test:fail' ? 'fail' : skipped ? 'skip' : 'pass',
      file: data.file ?? '',
      name: data.name,
      nesting: data.nesting,
      kind: data.details?.type ?? 'test',
      is_file: data.name === data.file || /\.test\.mjs$/.test(data.name),
      cause: error?.failureType ?? '',
      error: error === undefined ? '' : inspect(error.cause ?? error),
    })}\n`;
  }
}
