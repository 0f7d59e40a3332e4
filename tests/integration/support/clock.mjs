// SPDX-License-Identifier: Apache-2.0
// A daemon whose wall clock is wrong: environment for libfaketime (Debian's package faketime). Monotonic time stays.
import { existsSync, readdirSync } from 'node:fs';

function libraryPath() {
  for (const folder of readdirSync('/usr/lib').map((name) => `/usr/lib/${name}/faketime`)) {
    if (existsSync(`${folder}/libfaketime.so.1`)) {
      return `${folder}/libfaketime.so.1`;
    }
  }
  return undefined;
}

/** Environment that sets the wall clock off by `offset` ("+2h", "-1d"), or undefined when libfaketime is not there. */
export function clockOffset(offset) {
  const library = libraryPath();
  return library && { LD_PRELOAD: library, FAKETIME: offset, FAKETIME_DONT_FAKE_MONOTONIC: '1', FAKETIME_NO_CACHE: '1' };
}
