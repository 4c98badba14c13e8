import { RequestError, backoffMs } from './wire.js';

/**
 * @typedef {object} OutboxItem
 * @property {string} id The request id: the same over all tries.
 * @property {'send' | 'edit' | 'delete'} kind
 * @property {string} conversationId
 * @property {string} text
 * @property {string} messageId Of an edit or a deletion; of a send once it is stored.
 * @property {'pending' | 'sent' | 'failed'} state Sent: stored, and kept until the log has shown it here.
 * @property {string} reason Why it failed.
 * @property {boolean} isRejected Decided: this id is not stored and never will be. A new try needs a new id.
 * @property {number} createdAt
 * @property {number | null | undefined} knownSeq The head known at the first try; undefined before it, null if none was known.
 * @property {number} seq Where it is stored; 0 before.
 * @property {OutboxItem | null} parent The unsent message that an edit is about.
 */

/** Busy: a request is under way. Waiting: the timer will go on. @typedef {{items: OutboxItem[], failures: number, isBusy: boolean, isWaiting: boolean, isPaused: boolean, timer: any}} Queue */

/** After this many failures in a row the queue stops trying by itself and says so. */
const FAILURES_MAX = 5;
const ITEMS_MAX = 1_000;

/**
 * What is on its way out, in memory. Strictly in order within a conversation: one request at a time, and only an ack, a
 * duplicate or a rejection lets the next one go. Everything else is tried again with the same id and the same `known_seq`.
 */
export class Outbox {
  #options;
  /** @type {Map<string, Queue>} */
  #queues = new Map();

  /**
   * @param {object} options
   * @param {(name: string, body: object) => Promise<any>} options.request
   * @param {() => boolean} options.isOnline
   * @param {(conversationId: string) => number | null} options.cursor
   * @param {(conversationId: string) => void} options.onChange
   * @param {import('./types.js').Environment} options.environment
   */
  constructor(options) {
    this.#options = options;
  }

  /** What waits in a conversation, oldest first. @param {string} conversationId @returns {readonly OutboxItem[]} */
  items(conversationId) {
    return this.#queues.get(conversationId)?.items ?? [];
  }

  /** How many wait in all conversations. */
  get size() {
    let size = 0;
    for (const queue of this.#queues.values()) size += queue.items.length;
    return size;
  }

  /**
   * Takes a write and tries it as soon as its turn comes.
   * @param {{kind: OutboxItem['kind'], conversationId: string, messageId?: string, text: string, parent?: OutboxItem | null}} write
   * @returns {OutboxItem}
   */
  add({ kind, conversationId, messageId = '', text, parent = null }) {
    const queue = this.#queue(conversationId);
    if (queue.items.length >= ITEMS_MAX) throw new RequestError('LIMIT_EXCEEDED', 'rejected');
    /** @type {OutboxItem} */
    const item = {
      id: this.#options.environment.newId(),
      kind,
      conversationId,
      messageId,
      text,
      state: 'pending',
      reason: '',
      isRejected: false,
      createdAt: this.#options.environment.now(),
      knownSeq: undefined,
      seq: 0,
      parent,
    };
    queue.items.push(item);
    this.#options.onChange(conversationId);
    this.#pump(queue);
    return item;
  }

  /** Gives an unsent message another text: at once if it was never tried, else by an edit that follows it. @param {OutboxItem} item @param {string} text */
  edit(item, text) {
    if (item.knownSeq !== undefined)
      return void this.add({ kind: 'edit', conversationId: item.conversationId, text, parent: item });
    item.text = text;
    this.#options.onChange(item.conversationId);
  }

  /** Tries again: what was rejected under a new id, everything else under its own. @param {OutboxItem} item */
  retry(item) {
    const queue = this.#queue(item.conversationId);
    if (item.isRejected) {
      this.#remove(queue, item);
      this.add(item);
    }
    this.#resume(queue);
  }

  /** Gives an item up. What an earlier try may have stored shows up in the log. @param {OutboxItem} item */
  discard(item) {
    const queue = this.#queue(item.conversationId);
    this.#remove(queue, item);
    this.#options.onChange(item.conversationId);
    this.#resume(queue);
  }

  /** Gives up all of a conversation. @param {string} conversationId */
  discardAll(conversationId) {
    const queue = this.#queues.get(conversationId);
    this.#queues.delete(conversationId);
    if (queue) this.#options.environment.clearTimeout(queue.timer);
  }

  /** The connection is back: every queue goes on. */
  resumeAll() {
    for (const queue of this.#queues.values()) this.#resume(queue);
  }

  /**
   * The log has come this far: what it has shown here is done.
   * @param {string} conversationId
   * @param {number} seq
   * @param {{requestId?: string, messageId?: string}} [own] of an own entry
   */
  passed(conversationId, seq, own = {}) {
    const queue = this.#queues.get(conversationId);
    if (!queue) return;
    for (const item of [...queue.items]) {
      // Our own entry in the log says the same as its ack, and may come first.
      if (item.id === own.requestId) this.#stored(item, own.messageId ?? item.messageId, seq);
      if (item.state === 'sent' && item.seq <= seq) this.#remove(queue, item);
    }
    this.#pump(queue);
  }

  /** @param {string} conversationId @returns {Queue} */
  #queue(conversationId) {
    let queue = this.#queues.get(conversationId);
    if (!queue) {
      queue = { items: [], failures: 0, isBusy: false, isWaiting: false, isPaused: false, timer: undefined };
      this.#queues.set(conversationId, queue);
    }
    return queue;
  }

  /** @param {Queue} queue */
  #resume(queue) {
    this.#options.environment.clearTimeout(queue.timer);
    Object.assign(queue, { failures: 0, isWaiting: false, isPaused: false });
    for (const item of queue.items) {
      if (item.state !== 'failed' || item.isRejected) continue;
      item.state = 'pending';
      this.#options.onChange(item.conversationId);
    }
    this.#pump(queue);
  }

  /** @param {Queue} queue */
  #pump(queue) {
    if (queue.isBusy || queue.isWaiting || queue.isPaused || !this.#options.isOnline()) return;
    const next = queue.items.find((item) => item.state === 'pending');
    if (next) void this.#try(queue, next);
  }

  /** @param {Queue} queue @param {OutboxItem} item */
  async #try(queue, item) {
    if (item.parent) item.messageId = item.parent.messageId;
    if (item.parent && !item.messageId) return this.discard(item);
    if (item.knownSeq === undefined) item.knownSeq = this.#options.cursor(item.conversationId);
    queue.isBusy = true;
    let waitMs = 0;
    try {
      const { message, seq } = await this.#options.request(item.kind, requestOf(item));
      queue.failures = 0;
      this.#stored(item, message.messageId, Number(seq ?? message.seq));
      if ((this.#options.cursor(item.conversationId) ?? 0) >= item.seq) this.#remove(queue, item);
    } catch (error) {
      if (queue.items.includes(item) && item.state === 'pending') waitMs = this.#failed(queue, item, /** @type {any} */ (error));
    }
    queue.isBusy = false;
    this.#options.onChange(item.conversationId);
    if (waitMs > 0) this.#pumpLater(queue, waitMs);
    else this.#pump(queue);
  }

  /** @param {Queue} queue @param {number} ms */
  #pumpLater(queue, ms) {
    queue.isWaiting = true;
    queue.timer = this.#options.environment.setTimeout(() => {
      queue.isWaiting = false;
      this.#pump(queue);
    }, ms);
  }

  /**
   * @param {Queue} queue @param {OutboxItem} item @param {RequestError} error
   * @returns {number} milliseconds to wait before the next try
   */
  #failed(queue, item, error) {
    if (error.outcome === 'rejected') {
      Object.assign(item, { state: 'failed', reason: error.reason, isRejected: true });
      return 0;
    }
    // Without a connection nothing is wrong with the queue; it goes on when the connection is back.
    if (error.reason === 'NOT_CONNECTED' || error.reason === 'DISCONNECTED') return 0;
    if (error.reason !== 'RATE_LIMITED') queue.failures++;
    if (queue.failures >= FAILURES_MAX || !error.mayPass) {
      queue.isPaused = true;
      Object.assign(item, { state: 'failed', reason: error.reason });
      return 0;
    }
    const { environment } = this.#options;
    return Math.max(50, error.retryAfterMs, backoffMs(queue.failures, environment.random()));
  }

  /** @param {OutboxItem} item @param {string} messageId @param {number} seq */
  #stored(item, messageId, seq) {
    Object.assign(item, { state: 'sent', reason: '', messageId, seq });
  }

  /** @param {Queue} queue @param {OutboxItem} item */
  #remove(queue, item) {
    queue.items = queue.items.filter((other) => other !== item);
  }
}

/** @param {OutboxItem} item */
function requestOf({ id, kind, conversationId, messageId, text, knownSeq }) {
  const known = knownSeq === null || knownSeq === undefined ? {} : { knownSeq: String(knownSeq) };
  if (kind === 'send') return { conversationId, clientMessageId: id, text, ...known };
  if (kind === 'edit') return { conversationId, messageId, text, requestId: id, ...known };
  return { conversationId, messageId, requestId: id, ...known };
}
