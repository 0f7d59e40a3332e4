// SPDX-License-Identifier: Apache-2.0
// tests/vectors with every value as it is written there: JSON.parse() would round numbers that flags keep exactly.
import { readFileSync } from 'node:fs';
import path from 'node:path';

import { root } from './flagd.mjs';

function member(text) {
  const [, name, value] = /^("(?:[^"\\]|\\.)*")\s*:\s*(.*)$/s.exec(text);
  return [JSON.parse(name), value];
}

/** The texts of what an array or object holds: [text] or [name, text]. `text` is valid JSON. */
function parts(text) {
  const found = [];
  const isObject = text.trimStart().startsWith('{');
  let depth = 0;
  let from = 0;
  for (const match of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{},]/gs)) {
    const [token] = match;
    if (token === '[' || token === '{') {
      from = depth++ === 0 ? match.index + 1 : from;
    } else if (token === ']' || token === '}' || token === ',') {
      depth -= token === ',' ? 0 : 1;
      if (depth === (token === ',' ? 1 : 0)) {
        found.push(text.slice(from, match.index).trim());
        from = match.index + 1;
      }
    }
  }
  const written = found.filter((part) => part !== '');
  return isObject ? written.map(member) : written;
}

/** The texts of an object's members by name. */
export const membersOf = (text) => Object.fromEntries(parts(text));

/** The texts of an array's elements; none of what is absent. */
export const elementsOf = (text) => (text === undefined ? [] : parts(text));

/** The text of an object of members' texts; absent ones are left out. */
export function objectOf(members) {
  const written = Object.entries(members).filter(([, text]) => text !== undefined);
  return `{${written.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join()}}`;
}

export const vectorsOf = (name) => membersOf(readFileSync(path.join(root, 'tests/vectors', name), 'utf8'));
