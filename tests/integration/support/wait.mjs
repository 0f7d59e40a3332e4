// SPDX-License-Identifier: Apache-2.0
// Waiting: always for a condition, always with a deadline, never for a fixed time.

/** Rejects with a sentence that names `what` when `promise` is not settled in time. */
export async function withDeadline(promise, deadlineMs, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${deadlineMs} ms`)), deadlineMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Calls `probe` (which may be async) until it gives something truthy, and returns that.
 * For conditions that nothing announces; where there is an event, wait for the event.
 */
export async function waitUntil(probe, deadlineMs, what) {
  const end = performance.now() + deadlineMs;
  for (let pauseMs = 2; ; pauseMs = Math.min(2 * pauseMs, 50)) {
    const found = await probe();
    if (found) {
      return found;
    }
    if (performance.now() > end) {
      throw new Error(`${what}: not within ${deadlineMs} ms`);
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** What has come so far, and those who wait for what is still to come. */
export class Mailbox {
  items = [];
  #waiting = new Set();
  #ended = null;

  push(item) {
    this.items.push(item);
    this.#wake();
  }

  /** No more will come; `reason` ends up in the message of those who still wait. */
  end(reason) {
    this.#ended ??= reason;
    this.#wake();
  }

  get ended() {
    return this.#ended;
  }

  /** The first item, of those already here or still to come, that `predicate` accepts; `from` skips older ones. */
  async waitFor(predicate, deadlineMs = 5000, { from = 0, what = 'a matching item' } = {}) {
    let seen = from;
    const search = new Promise((resolve, reject) => {
      const look = () => {
        for (; seen < this.items.length; seen++) {
          if (predicate(this.items[seen])) {
            this.#waiting.delete(look);
            return resolve(this.items[seen]);
          }
        }
        if (this.#ended !== null) {
          this.#waiting.delete(look);
          reject(new Error(`${what}: will not come: ${this.#ended}`));
        }
      };
      this.#waiting.add(look);
      look();
    });
    return withDeadline(search, deadlineMs, what);
  }

  #wake() {
    for (const look of [...this.#waiting]) {
      look();
    }
  }
}
