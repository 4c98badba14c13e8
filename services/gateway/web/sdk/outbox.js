import { RequestError, backoffMs } from './wire.js';

/**
 * @typedef {import('./types.js').OutboxRecord} OutboxRecord
 *
 * @typedef {object} OutboxItem
 * @property {string} id The request id: the same over all tries.
 * @property {OutboxRecord['kind']} kind
 * @property {string} conversationId
 * @property {string} text
 * @property {string} messageId The message that it is about; of a send once it is stored.
 * @property {Record<string, any>} more The other fields of the request.
 * @property {'pending' | 'sent' | 'failed'} state Sent: stored, and kept until the log has shown it here. Failed and not rejected:
 *   the conversation's queue is paused until somebody retries or discards it, or the connection comes back.
 * @property {string} reason Why it failed.
 * @property {boolean} isRejected Decided: this id is not stored and never will be. A new try needs a new id.
 * @property {number} order
 * @property {number} createdAt
 * @property {number | null | undefined} knownSeq The head known at the first try; undefined before it, null if none was known.
 * @property {number} seq Where it is stored; 0 before.
 * @property {OutboxItem | null} parent The unsent message that an edit is about.
 */

/** Busy: a request is under way. Waiting: the timer will go on. @typedef {{items: OutboxItem[], failures: number, isBusy: boolean, isWaiting: boolean, isPaused: boolean, timer: any}} Queue */

/** After this many failures in a row the queue stops trying by itself and says so. */
const FAILURES_MAX = 5;
const ITEMS_MAX = 1_000;
/** What was refused of these stands in the conversation until somebody deals with it; other kinds are dropped and reported. */
const ROW_KINDS = ['send', 'edit', 'delete'];
const FRESH = { state: /** @type {const} */ ('pending'), reason: '', isRejected: false, knownSeq: undefined, seq: 0 };

/**
 * What is on its way out: stored, then shown, then sent. Strictly in order within a conversation: one request at a time, and only
 * an ack, a duplicate or a rejection lets the next one go. Everything else is tried again with the same id and the same
 * `known_seq`, after a reload too if there is a store. Two pages that send the same item do no harm: its id is one.
 */
export class Outbox {
  #options;
  #store;
  /** @type {Map<string, Queue>} */
  #queues = new Map();
  #lastOrder = 0;
  #userId = '';
  /** What an earlier page left goes before what is new. */
  #isLoaded;
  /** Writes to the store are made one after the other. @type {Promise<any>} */
  #saved = Promise.resolve();

  /**
   * @param {object} options
   * @param {(name: string, body: object) => Promise<any>} options.request
   * @param {() => boolean} options.isOnline
   * @param {(conversationId: string) => number | null} options.cursor
   * @param {(conversationId: string) => void} options.onChange
   * @param {(item: OutboxItem) => void} options.onRefused A reaction or a pin that was not taken: it is dropped.
   * @param {import('./types.js').OutboxStore} [options.store]
   * @param {import('./types.js').Environment} options.environment
   */
  constructor(options) {
    this.#options = options;
    this.#store = options.store;
    this.#isLoaded = !options.store;
  }

  /** What waits in a conversation, oldest first. @param {string} conversationId @returns {readonly OutboxItem[]} */
  items(conversationId) {
    return this.#queues.get(conversationId)?.items ?? [];
  }

  /** How many wait in all conversations. */
  get size() {
    return [...this.#queues.values()].reduce((size, { items }) => size + items.length, 0);
  }

  /**
   * Takes a write and tries it as soon as its turn comes.
   * @param {{kind: OutboxItem['kind'], conversationId: string, messageId?: string, text: string, more?: Record<string, any>, parent?: OutboxItem | null}} write
   * @returns {OutboxItem}
   */
  add(write) {
    const { conversationId } = write;
    const { newId, now } = this.#options.environment;
    const queue = this.#queue(conversationId);
    if (queue.items.length >= ITEMS_MAX) throw new RequestError('LIMIT_EXCEEDED', 'rejected');
    this.#lastOrder = Math.max(this.#lastOrder + 1, now());
    const own = { ...FRESH, id: newId(), createdAt: now(), order: this.#lastOrder };
    /** @type {OutboxItem} */
    const item = { messageId: '', more: {}, parent: null, ...write, ...own };
    const show = () => {
      queue.items.push(item);
      this.#options.onChange(conversationId);
      this.#pump(queue);
    };
    if (this.#store) void this.#save(item).then(show);
    else show();
    return item;
  }

  /**
   * Gives an unsent message another text: at once if it was never tried, else by an edit that follows it.
   * @param {OutboxItem} item @param {string} text @param {string[]} [mentionedUserIds]
   */
  edit(item, text, mentionedUserIds = []) {
    const { conversationId } = item;
    if (item.knownSeq !== undefined)
      return void this.add({ kind: 'edit', conversationId, text, more: { mentionedUserIds }, parent: item });
    Object.assign(item, { text, more: { ...item.more, mentionedUserIds } });
    void this.#save(item);
    this.#options.onChange(conversationId);
  }

  /** Tries again: what was rejected under a new id, everything else under its own. @param {OutboxItem} item */
  retry(item) {
    const queue = this.#queue(item.conversationId);
    if (item.isRejected) {
      this.#drop(queue, item);
      this.add(item);
    }
    this.#resume(queue);
  }

  /** Gives an item up. What an earlier try may have stored shows up in the log. @param {OutboxItem} item */
  discard(item) {
    const queue = this.#queue(item.conversationId);
    this.#drop(queue, item);
    this.#options.onChange(item.conversationId);
    this.#resume(queue);
  }

  /** Gives up all of a conversation. @param {string} conversationId */
  discardAll(conversationId) {
    const queue = this.#queues.get(conversationId);
    if (!queue) return;
    for (const item of queue.items) this.#drop(queue, item);
    this.#queues.delete(conversationId);
    this.#options.environment.clearTimeout(queue.timer);
  }

  /** The connection is back: what was left behind is taken up, and every queue goes on. @param {string} userId */
  async resumeAll(userId) {
    this.#userId = userId;
    if (this.#store) await this.#load(this.#store);
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
      if (item.id === own.requestId) this.#stored(queue, item, own.messageId ?? item.messageId, seq);
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

  /** @param {import('./types.js').OutboxStore} store */
  async #load(store) {
    const records = await store.load(this.#userId).catch((error) => (console.warn(error), []));
    this.#isLoaded = true;
    /** @type {Map<string, OutboxItem>} */
    const byId = new Map();
    for (const { parentId, userId, ...record } of records.sort(inOrder)) {
      const queue = this.#queue(record.conversationId);
      if (queue.items.some(({ id }) => id === record.id)) continue;
      /** @type {OutboxItem} */
      const item = { ...FRESH, ...record, parent: byId.get(parentId) ?? null };
      if (item.reason) Object.assign(item, { state: 'failed', isRejected: true });
      byId.set(item.id, item);
      this.#lastOrder = Math.max(this.#lastOrder, item.order);
      queue.items = [...queue.items, item].sort(inOrder);
      this.#options.onChange(item.conversationId);
    }
  }

  /** A store that fails costs the reload, not the message. @param {OutboxItem} item @returns {Promise<void>} */
  #save({ parent, state, seq, isRejected, ...rest }) {
    const reason = isRejected ? rest.reason : '';
    return this.#inTurn((store) => store.put({ ...rest, reason, userId: this.#userId, parentId: parent?.id ?? '' }));
  }

  /** @param {(store: import('./types.js').OutboxStore) => Promise<void>} write @returns {Promise<void>} */
  #inTurn(write) {
    const store = this.#store;
    if (store) this.#saved = this.#saved.then(() => write(store)).catch((error) => console.warn(error));
    return this.#saved;
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
    if (queue.isBusy || queue.isWaiting || queue.isPaused || !this.#isLoaded || !this.#options.isOnline()) return;
    const next = queue.items.find((item) => item.state === 'pending');
    if (next) void this.#try(queue, next);
  }

  /** @param {Queue} queue @param {OutboxItem} item */
  async #try(queue, item) {
    if (item.parent) item.messageId = item.parent.messageId;
    if (!item.messageId && item.kind !== 'send') return this.discard(item);
    queue.isBusy = true;
    const isFirst = item.knownSeq === undefined;
    if (isFirst) {
      item.knownSeq = this.#options.cursor(item.conversationId);
      if (this.#store) await this.#save(item);
    }
    let waitMs = 0;
    try {
      const { message, seq } = await this.#options.request(item.kind, requestOf(item));
      queue.failures = 0;
      // A reaction or a pin that was there already has no seq.
      this.#stored(queue, item, message?.messageId ?? item.messageId, Number(seq ?? (item.kind === 'send' ? message.seq : 0)));
      if ((this.#options.cursor(item.conversationId) ?? 0) >= item.seq) this.#remove(queue, item);
    } catch (error) {
      if (queue.items.includes(item) && item.state === 'pending')
        waitMs = this.#failed(queue, item, /** @type {any} */ (error), isFirst);
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
   * @param {Queue} queue @param {OutboxItem} item @param {RequestError} error @param {boolean} isFirst No try came before.
   * @returns {number} milliseconds to wait before the next try
   */
  #failed(queue, item, error, isFirst) {
    const isNothing = error.outcome === 'rejected' || (isFirst && error.outcome === 'not_attempted' && !error.mayPass);
    if (isNothing && !ROW_KINDS.includes(item.kind) && error.reason !== 'NOT_CONNECTED') {
      this.#drop(queue, item);
      this.#options.onRefused(Object.assign(item, { reason: error.reason }));
      return 0;
    }
    if (error.outcome === 'rejected') {
      Object.assign(item, { state: 'failed', reason: error.reason, isRejected: true });
      void this.#save(item);
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

  /** Its id has ended. Edits that follow it learn its message before the store forgets it. @param {Queue} queue @param {OutboxItem} item @param {string} messageId @param {number} seq */
  #stored(queue, item, messageId, seq) {
    if (item.state === 'sent') return;
    Object.assign(item, { state: 'sent', reason: '', messageId, seq });
    for (const child of queue.items) {
      if (child.parent !== item) continue;
      child.messageId = messageId;
      void this.#save(child);
    }
    void this.#inTurn((store) => store.remove(item.id));
  }

  /** Of the page and of the store. @param {Queue} queue @param {OutboxItem} item */
  #drop(queue, item) {
    this.#remove(queue, item);
    void this.#inTurn((store) => store.remove(item.id));
  }

  /** @param {Queue} queue @param {OutboxItem} item */
  #remove(queue, item) {
    queue.items = queue.items.filter((other) => other !== item);
  }
}

/** @param {{order: number}} a @param {{order: number}} b */
const inOrder = (a, b) => a.order - b.order;

/** @param {OutboxItem} item */
function requestOf({ id, kind, conversationId, messageId, text, more, knownSeq }) {
  const known = knownSeq === null || knownSeq === undefined ? {} : { knownSeq: String(knownSeq) };
  if (kind === 'send') return { conversationId, clientMessageId: id, text, ...more, ...known };
  if (kind === 'edit') return { conversationId, messageId, text, requestId: id, ...more, ...known };
  return { conversationId, messageId, requestId: id, ...more, ...known };
}
