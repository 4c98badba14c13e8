/** What the frames look like: names, numbers, errors, and the world outside. */

export const SUBPROTOCOL = 'viberchat.v1.json';

/** 64-bit numbers come as strings, zeros not at all. @param {string | number | undefined} value */
export const toNumber = (value) => Number(value ?? 0);

/** @param {string | undefined} timestamp @returns {number} milliseconds since 1970, or 0 */
export const toTime = (timestamp) => (timestamp ? Date.parse(timestamp) : 0);

/** @param {string} text */
export const utf8Length = (text) => new TextEncoder().encode(text).length;

/** A random id of 32 characters. `randomUUID` is missing where the page is not a secure context. */
export const newId = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');

/** `STATUS_ONLINE` is `online`, what is not said is empty. @param {string} [value] */
export const enumName = (value = '') => value.replace(/^[A-Z]+_(UNSPECIFIED)?/, '').toLowerCase();

/** Why a request failed, and what became of it. */
export class RequestError extends Error {
  /**
   * @param {string} reason One of the protocol's reasons, or NOT_CONNECTED, DISCONNECTED, CLOSED.
   * @param {'rejected' | 'not_attempted' | 'unknown' | ''} outcome Empty: not a write, or not said.
   * @param {{message?: string, retryAfterMs?: number, fieldViolations?: {field: string, description: string}[]}} [details]
   */
  constructor(reason, outcome, details = {}) {
    super(details.message || reason);
    this.name = 'RequestError';
    this.reason = reason;
    this.outcome = outcome;
    this.retryAfterMs = details.retryAfterMs ?? 0;
    this.fieldViolations = details.fieldViolations ?? [];
  }

  /** Whether the same request may succeed a little later. */
  get mayPass() {
    return this.retryAfterMs > 0 || this.outcome === 'unknown';
  }

  /** @param {any} error the frame's `error` */
  static fromFrame(error) {
    return new RequestError(error.reason || 'INTERNAL', /** @type {any} */ (enumName(error.outcome)), error);
  }
}

/** Full jitter: anywhere between now and a ceiling that doubles with each try. @param {number} tries @param {number} random */
export const backoffMs = (tries, random) => random * Math.min(20_000, 500 * 2 ** Math.min(tries, 10));

/** The browser. @type {import('./types.js').Environment} */
export const browserEnvironment = {
  openSocket: (url, protocol) => /** @type {any} */ (new WebSocket(url, protocol)),
  now: () => Date.now(),
  setTimeout: (run, ms) => setTimeout(run, ms),
  clearTimeout: (timer) => clearTimeout(timer),
  random: () => Math.random(),
  newId,
};
