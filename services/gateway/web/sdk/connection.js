import { RequestError, SUBPROTOCOL, backoffMs } from './wire.js';

/** @typedef {import('./types.js').ConnectionState} ConnectionState */

const ATTEMPT_MS_MAX = 10_000;
const REQUEST_MS_MAX = 15_000;
/** A connection that lived this long was a good one: the next loss starts with short waits again. */
const STEADY_MS = 5_000;
/** After a goaway, how long answers that are under way may keep the old socket. */
const FINISH_MS_MAX = 2_000;
const CURSORS_PER_PART = 500;
const TOKEN_RETRY_MS = 5_000;

/** What our side says about close codes that carry no reason of their own. @type {Record<number, string>} */
const CLOSE_REASONS = {
  4000: 'SILENT',
  4001: 'DRAINING',
  4002: 'STORE_UNAVAILABLE',
  4008: 'SLOW_CONSUMER',
  4010: 'TOKEN_EXPIRED',
  4501: 'UNAUTHENTICATED',
  4503: 'KICKED',
  4504: 'PROTOCOL_ERROR',
};

/**
 * The life of the socket: connect, say hello, resume, keep alive, notice the loss, connect again.
 * It knows frames and ids, and nothing about conversations.
 */
export class Connection {
  /** @type {ConnectionState} */
  state = { name: 'closed', reason: '', since: 0, retryAt: 0 };
  /** What the gateway said at the last hello. @type {any} */
  welcome = null;

  #options;
  #environment;
  /** @type {import('./types.js').WebSocketLike | null} */
  #socket = null;
  /** Counts attempts, so that what an old one still brings is not taken for news. */
  #attempt = 0;
  #tries = 0;
  #lastId = 0;
  /** @type {Map<number, {name: string, resolve: (result: any) => void, reject: (error: RequestError) => void, timer: any}>} */
  #pending = new Map();
  /** @type {Map<string, any>} One timer of each name. */
  #timers = new Map();
  #onlineSince = 0;
  #heardAt = 0;
  #sentAt = 0;
  /** When the gateway asked to be left, and until when not to come back. 0: it did not. */
  #leaveAt = 0;
  /** Why the gateway refused the hello. */
  #refusal = '';

  /**
   * @param {object} options
   * @param {string} options.url
   * @param {() => Promise<string>} options.getToken Asked at every connect. An error with `fatal: true` ends it all.
   * @param {string} options.deviceId
   * @param {string} options.client
   * @param {import('./types.js').Environment} options.environment
   * @param {() => {conversationId: string, seq: string}[]} options.cursors Where to resume from.
   * @param {(push: any) => void} options.onPush
   * @param {(state: ConnectionState) => void} options.onState
   * @param {(direction: 'in' | 'out', text: string) => void} options.onFrame Everything on the wire.
   */
  constructor(options) {
    this.#options = options;
    this.#environment = options.environment;
  }

  get isOnline() {
    return this.state.name === 'online';
  }

  /** Connects now, unless it is connected or at it. */
  connect() {
    if (this.state.name === 'online' || this.state.name === 'connecting') return;
    void this.#tryOnce();
  }

  /** Ends the connection for good, until `connect`. */
  close() {
    this.#drop('CLOSED');
    this.#setState('closed', 'CLOSED');
  }

  /** Something woke the page: do not wait longer, and do not trust a socket that slept. */
  wake() {
    if (this.state.name === 'offline') this.connect();
    else if (this.isOnline) this.#checkHeard();
  }

  /**
   * Sends a frame and waits for its answer.
   * @param {string} name the frame's name in lowerCamelCase
   * @param {object} body
   * @param {number} [timeoutMs]
   * @returns {Promise<any>} the reply's content; rejects with a RequestError
   */
  request(name, body, timeoutMs = REQUEST_MS_MAX) {
    if (!this.isOnline) return Promise.reject(new RequestError('NOT_CONNECTED', 'not_attempted'));
    return this.#ask(name, body, timeoutMs);
  }

  async #tryOnce() {
    this.#clearTimers();
    const attempt = ++this.#attempt;
    const isOld = () => attempt !== this.#attempt;
    this.#leaveAt = 0;
    this.#refusal = '';
    this.#setState('connecting', this.state.reason);
    this.#startTimer('attempt', ATTEMPT_MS_MAX, () => this.#lost('CONNECTION_LOST'));

    let token;
    try {
      token = await this.#options.getToken();
    } catch (error) {
      if (isOld()) return;
      if (/** @type {any} */ (error)?.fatal) this.#end('NO_TOKEN');
      else this.#lost('NO_TOKEN');
      return;
    }
    if (isOld()) return;

    const socket = this.#environment.openSocket(this.#options.url, SUBPROTOCOL);
    this.#socket = socket;
    socket.onopen = () => isOld() || this.#hello(token);
    socket.onmessage = (event) => isOld() || this.#receive(event.data);
    socket.onclose = (event) => isOld() || this.#closed(event.code, event.reason);
  }

  /**
   * Hello and all of the resume go out at once. Also the first hello resumes, from nothing: the gateway then names the head of each
   * conversation from which it pushes, and nothing falls between that and what is listed.
   * @param {string} token
   */
  #hello(token) {
    const { deviceId, client } = this.#options;
    const cursors = this.#options.cursors();
    this.#ask('hello', { token, deviceId, client, resume: true }, ATTEMPT_MS_MAX).then(
      (welcome) => this.#welcomed(welcome),
      // The gateway closes next, and its code says whether to come back.
      (error) => void (this.#refusal = error.reason),
    );
    for (let at = 0; at < cursors.length; at += CURSORS_PER_PART) {
      this.#write('resumePart', { cursors: cursors.slice(at, at + CURSORS_PER_PART) });
    }
    this.#write('resumeEnd', {});
  }

  /** @param {any} welcome */
  #welcomed(welcome) {
    this.#stopTimer('attempt');
    this.welcome = welcome;
    this.#onlineSince = this.#environment.now();
    this.#startTimer('heartbeat', this.#environment.random() * this.#heartbeatMs, () => this.#beat());
    this.#startTimer('heard', 2 * this.#heartbeatMs, () => this.#checkHeard());
    this.#setState('online', '');
  }

  get #heartbeatMs() {
    return this.welcome?.heartbeatMs || 15_000;
  }

  #beat() {
    this.#write('heartbeat', {});
    this.#startTimer('heartbeat', this.#heartbeatMs, () => this.#beat());
  }

  #checkHeard() {
    const silentMs = this.#environment.now() - this.#heardAt;
    const left = 2 * this.#heartbeatMs - silentMs;
    if (left <= 0) this.#lost('SILENT');
    else this.#startTimer('heard', left, () => this.#checkHeard());
  }

  /** @param {string} text */
  #receive(text) {
    this.#heardAt = this.#environment.now();
    this.#options.onFrame('in', text);
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return;
    }
    if (frame.push) this.#pushed(frame.push);
    else if (frame.id) this.#answered(frame);
  }

  /** @param {any} push */
  #pushed(push) {
    if (push.goaway) this.#leave(push.goaway.reconnectAfterMs ?? 0);
    // Timers of a hidden page run once a minute; the gateway's heartbeats wake it more often.
    if (push.heartbeat && this.#environment.now() - this.#sentAt > this.#heartbeatMs / 2) this.#write('heartbeat', {});
    if (push.tokenExpires) void this.#refreshToken();
    this.#options.onPush(push);
  }

  /** The token ends soon. Without a newer one the socket ends with it, and the next hello asks again. */
  async #refreshToken() {
    const attempt = this.#attempt;
    try {
      const token = await this.#options.getToken();
      if (attempt === this.#attempt) await this.#ask('refreshToken', { token }, REQUEST_MS_MAX);
    } catch (error) {
      if (attempt !== this.#attempt || /** @type {any} */ (error).fatal) return;
      this.#startTimer('token', TOKEN_RETRY_MS, () => void this.#refreshToken());
    }
  }

  /** @param {any} frame */
  #answered({ id, reply, error }) {
    const pending = this.#pending.get(id);
    if (!pending) return;
    this.#pending.delete(id);
    this.#environment.clearTimeout(pending.timer);
    if (error) pending.reject(RequestError.fromFrame(error));
    else pending.resolve(reply?.[pending.name === 'hello' ? 'welcome' : pending.name] ?? {});
  }

  /** @param {string} name @param {object} body @param {number} timeoutMs */
  #ask(name, body, timeoutMs) {
    return new Promise((resolve, reject) => {
      const id = this.#write(name, body);
      const timer = this.#environment.setTimeout(() => {
        this.#pending.delete(id);
        reject(new RequestError('DEADLINE_EXCEEDED', 'unknown'));
      }, timeoutMs);
      this.#pending.set(id, { name, resolve, reject, timer });
    });
  }

  /** Sends a frame; alone if nobody needs its answer. @param {string} name @param {object} body */
  #write(name, body) {
    const id = ++this.#lastId;
    this.#sentAt = this.#environment.now();
    const text = JSON.stringify({ id, [name]: body });
    this.#options.onFrame('out', text);
    this.#socket?.send(text);
    return id;
  }

  /** Stay until the time that the gateway named and the answers are in, then move. @param {number} afterMs */
  #leave(afterMs) {
    this.#leaveAt = this.#environment.now() + afterMs;
    const move = () => {
      const late = this.#environment.now() - this.#leaveAt;
      if (this.#pending.size > 0 && late < FINISH_MS_MAX) return this.#startTimer('leave', 100, move);
      this.#drop('DRAINING');
      this.#setState('offline', 'DRAINING');
      void this.#tryOnce();
    };
    this.#startTimer('leave', afterMs, move);
  }

  /** @param {number} code @param {string} text */
  #closed(code, text) {
    const reason = this.#refusal || (CLOSE_REASONS[code] ?? (/^[A-Z_]+$/.test(text) ? text : 'CONNECTION_LOST'));
    if (code >= 4500 && code <= 4999) this.#end(reason);
    else this.#lost(reason);
  }

  /** @param {string} reason */
  #lost(reason) {
    const now = this.#environment.now();
    if (this.isOnline && now - this.#onlineSince >= STEADY_MS) this.#tries = 0;
    const holdOffMs = Math.max(0, this.#leaveAt - now);
    this.#drop(reason);
    const waitMs = holdOffMs + backoffMs(this.#tries++, this.#environment.random());
    this.#startTimer('retry', waitMs, () => void this.#tryOnce());
    this.#setState('offline', reason, now + waitMs);
  }

  /** @param {string} reason */
  #end(reason) {
    this.#drop(reason);
    this.#setState('closed', reason);
  }

  /** Forgets the socket; whoever waits hears that nobody knows. @param {string} reason */
  #drop(reason) {
    this.#attempt++;
    this.#clearTimers();
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close(1000);
    }
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject, timer } of pending) {
      this.#environment.clearTimeout(timer);
      reject(new RequestError('DISCONNECTED', 'unknown', { message: reason }));
    }
  }

  /** @param {ConnectionState['name']} name @param {string} reason @param {number} [retryAt] */
  #setState(name, reason, retryAt = 0) {
    const since = name === 'online' ? 0 : this.state.since || this.#environment.now();
    this.state = { name, reason, since, retryAt };
    this.#options.onState(this.state);
  }

  /** @param {string} name @param {number} ms @param {() => void} run */
  #startTimer(name, ms, run) {
    this.#stopTimer(name);
    this.#timers.set(name, this.#environment.setTimeout(run, ms));
  }

  /** @param {string} name */
  #stopTimer(name) {
    this.#environment.clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }

  #clearTimers() {
    for (const name of [...this.#timers.keys()]) this.#stopTimer(name);
  }
}
