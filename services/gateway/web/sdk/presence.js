import { enumName, toTime } from './wire.js';

/** @typedef {import('./types.js').Presence} Presence */

const BATCH = 200;
/** The gateway follows no more for one session. */
const WATCHED_MAX = 500;
const GATHER_MS = 100;
const RETRY_MS = 5_000;
/** @type {Presence} */
const UNKNOWN = { status: 'unknown', lastSeen: 0 };

/** Who is there. Users are followed as long as somebody looks at them: what is asked for in a moment goes together. */
export class Presences {
  /** How many look at a user. @type {Map<string, number>} */
  #wanted = new Map();
  /** Whom the gateway follows for this connection. @type {Set<string>} */
  #followed = new Set();
  /** @type {Map<string, Presence>} */
  #known = new Map();
  #isGathering = false;
  #chat;

  /** @param {import('./viberchat.js').ViberChat} chat */
  constructor(chat) {
    this.#chat = chat;
  }

  /** @param {string} userId @returns {Presence} */
  get(userId) {
    return this.#known.get(userId) ?? UNKNOWN;
  }

  /** Follows users until the returned function is called. @param {Iterable<string>} userIds */
  watch(userIds) {
    const ids = new Set(userIds);
    for (const id of ids) this.#wanted.set(id, (this.#wanted.get(id) ?? 0) + 1);
    this.#gather(GATHER_MS);
    return () => {
      for (const id of ids) {
        const count = (this.#wanted.get(id) ?? 1) - 1;
        if (count > 0) this.#wanted.set(id, count);
        else this.#wanted.delete(id);
      }
      ids.clear();
      this.#gather(GATHER_MS);
    };
  }

  /** A new connection follows nobody yet. */
  online() {
    this.#followed.clear();
    this.#gather(0);
  }

  /** @param {import('./types.js').PresenceJson[]} presences */
  learn(presences) {
    for (const { userId, status, lastSeenTime } of presences)
      this.#known.set(userId, { status: /** @type {any} */ (enumName(status) || 'unknown'), lastSeen: toTime(lastSeenTime) });
    this.#chat.emit('presence');
  }

  /** @param {number} ms */
  #gather(ms) {
    if (this.#isGathering) return;
    this.#isGathering = true;
    this.#chat.later(ms, () => {
      this.#isGathering = false;
      this.#tell().catch(() => this.#gather(RETRY_MS));
    });
  }

  async #tell() {
    if (this.#chat.state.name !== 'online') return;
    const wanted = new Set([...this.#wanted.keys()].slice(0, WATCHED_MAX));
    await this.#tellOf(
      'unwatchPresence',
      [...this.#followed].filter((id) => !wanted.has(id)),
    );
    await this.#tellOf(
      'watchPresence',
      [...wanted].filter((id) => !this.#followed.has(id)),
    );
  }

  /** @param {'watchPresence' | 'unwatchPresence'} name @param {string[]} all */
  async #tellOf(name, all) {
    for (let at = 0; at < all.length; at += BATCH) {
      const userIds = all.slice(at, at + BATCH);
      const { presences = [] } = await this.#chat.request(name, { userIds });
      for (const id of userIds) {
        // What is not followed any more is not known any more.
        this.#known.delete(id);
        if (name === 'watchPresence') this.#followed.add(id);
        else this.#followed.delete(id);
      }
      this.learn(presences);
    }
  }
}
