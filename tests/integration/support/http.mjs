// SPDX-License-Identifier: Apache-2.0
// Speaking to a server: whole requests, raw bytes, event streams. Nothing is retried and nothing is pooled.
import http from 'node:http';
import net from 'node:net';

import { Mailbox, withDeadline } from './wait.mjs';

/**
 * One request. `body` is sent as JSON, a string or Buffer as it is.
 * Gives { status, headers, text, json, bytes }; `json` is undefined when the answer is not JSON.
 */
export function request(base, method, path, { token, body, headers = {}, agent, deadlineMs = 10_000 } = {}) {
  const bytes = body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  const sent = { ...headers };
  if (token) {
    sent.authorization ??= `Bearer ${token}`;
  }
  if (bytes !== undefined) {
    sent['content-type'] ??= 'application/json';
    sent['content-length'] ??= Buffer.byteLength(bytes);
  }
  const answer = new Promise((resolve, reject) => {
    const outgoing = http.request(new URL(path, base), { method, headers: sent, agent: agent ?? false });
    outgoing.on('error', reject);
    outgoing.on('response', (incoming) => {
      const parts = [];
      incoming.on('data', (part) => parts.push(part));
      incoming.on('error', reject);
      incoming.on('end', () => resolve(answerOf(incoming, Buffer.concat(parts))));
    });
    outgoing.end(bytes);
  });
  return withDeadline(answer, deadlineMs, `${method} ${path}`);
}

function answerOf(incoming, bytes) {
  const text = bytes.toString();
  const isJson = /[/+]json\b/.test(incoming.headers['content-type'] ?? '');
  return {
    status: incoming.statusCode,
    headers: incoming.headers,
    bytes,
    text,
    json: isJson && text !== '' ? JSON.parse(text) : undefined,
  };
}

/**
 * A TCP connection for bytes that no client would send.
 *   const socket = await RawSocket.open(port);
 *   socket.write('GET / HTTP/1.1\r\n…'); await socket.readUntil('\r\n\r\n'); await socket.closed(2000);
 */
export class RawSocket {
  received = Buffer.alloc(0);
  #socket;
  #changes = new Mailbox();

  static async open(port, host = '127.0.0.1') {
    const raw = new RawSocket();
    await new Promise((resolve, reject) => {
      raw.#socket = net.connect({ port, host, noDelay: true }, resolve);
      raw.#socket.on('error', reject);
    });
    raw.#socket.on('data', (part) => {
      raw.received = Buffer.concat([raw.received, part]);
      raw.#changes.push(raw.received.length);
    });
    raw.#socket.on('error', (error) => raw.#changes.end(error.code));
    raw.#socket.on('close', () => raw.#changes.end('closed'));
    return raw;
  }

  write(bytes) {
    this.#socket.write(bytes);
  }

  /** Everything received so far once it holds `text`. */
  async readUntil(text, deadlineMs = 5000) {
    if (!this.received.includes(text)) {
      await this.#changes.waitFor(() => this.received.includes(text), deadlineMs, { what: `${JSON.stringify(text)}` });
    }
    return this.received.toString('latin1');
  }

  /** Waits for the other side to close; gives all that was received. */
  async closed(deadlineMs = 5000) {
    if (this.#changes.ended === null) {
      const done = new Promise((resolve) => this.#socket.once('close', resolve));
      await withDeadline(done, deadlineMs, 'end of the connection');
    }
    return this.received.toString('latin1');
  }

  /** Stops reading: the receive window fills up. */
  pause() {
    this.#socket.pause();
  }

  resume() {
    this.#socket.resume();
  }

  destroy() {
    this.#socket.destroy();
  }
}

/** Sends bytes, gives what comes back until the server closes. */
export async function exchange(port, bytes, deadlineMs = 5000) {
  const socket = await RawSocket.open(port);
  socket.write(bytes);
  try {
    return await socket.closed(deadlineMs);
  } finally {
    socket.destroy();
  }
}

/**
 * A server-sent event stream. Events are { id, event, data, json }; comments are kept apart with their time.
 *   const stream = await EventStream.open(base, path, { token });
 *   const delta = await stream.waitFor((event) => event.event === 'delta', 2000);
 *   stream.close();
 */
export class EventStream {
  comments = new Mailbox();
  lastEventId = '';
  #events = new Mailbox();
  #outgoing;
  #pending = '';
  #fields = {};

  static open(base, path, { token, lastEventId, headers = {}, deadlineMs = 5000 } = {}) {
    const sent = { accept: 'text/event-stream', ...headers };
    if (token) {
      sent.authorization = `Bearer ${token}`;
    }
    if (lastEventId !== undefined) {
      sent['last-event-id'] = lastEventId;
    }
    const stream = new EventStream();
    const opened = new Promise((resolve, reject) => {
      stream.#outgoing = http.get(new URL(path, base), { headers: sent, agent: false });
      stream.#outgoing.on('error', (error) => {
        stream.#end(error.code ?? error.message);
        reject(error);
      });
      stream.#outgoing.on('response', (incoming) => {
        stream.status = incoming.statusCode;
        stream.headers = incoming.headers;
        incoming.setEncoding('utf8');
        incoming.on('data', (text) => stream.#feed(text));
        incoming.on('error', (error) => stream.#end(error.code ?? error.message));
        incoming.on('close', () => stream.#end('the stream ended'));
        resolve(stream);
      });
    });
    return withDeadline(opened, deadlineMs, `GET ${path}`);
  }

  get events() {
    return this.#events.items;
  }

  /** Why the stream is over, or null. */
  get ended() {
    return this.#events.ended;
  }

  waitFor(predicate, deadlineMs = 5000, options = {}) {
    return this.#events.waitFor(predicate, deadlineMs, { what: 'an event', ...options });
  }

  close() {
    this.#outgoing.destroy();
  }

  #end(reason) {
    this.#events.end(reason);
    this.comments.end(reason);
  }

  #feed(text) {
    const lines = (this.#pending + text).split(/\r\n|\n|\r/);
    this.#pending = lines.pop();
    for (const line of lines) {
      this.#line(line);
    }
  }

  #line(line) {
    if (line === '') {
      this.#dispatch();
    } else if (line.startsWith(':')) {
      this.comments.push({ text: line.slice(1).trim(), atMs: performance.now() });
    } else {
      const [, name, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(line);
      this.#fields[name] = name === 'data' && 'data' in this.#fields ? `${this.#fields.data}\n${value ?? ''}` : value ?? '';
    }
  }

  #dispatch() {
    const { id, event = 'message', data } = this.#fields;
    this.#fields = {};
    this.lastEventId = id ?? this.lastEventId;
    if (data !== undefined) {
      this.#events.push({ id: this.lastEventId, event, data, json: jsonOf(data), atMs: performance.now() });
    }
  }
}

function jsonOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
