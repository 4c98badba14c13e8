import { applyTo, changedMessageId, itemOf, messageOf } from './message.js';
import { toNumber } from './wire.js';

/**
 * @typedef {import('./types.js').HistoryItem} HistoryItem
 * @typedef {import('./types.js').LogEntryJson} LogEntryJson
 * @typedef {import('./types.js').MessageJson} MessageJson
 */

const PAGE_ITEMS = 50;
const ITEMS_MAX = 3 * PAGE_ITEMS;
/** While somebody reads further up, this many live ones are added below before the window stops growing. */
const LIVE_ITEMS_MAX = 4 * PAGE_ITEMS;
const LOG_ITEMS = 200;
/** Behind by more than this, the window is paged instead of caught up. */
const CATCH_UP_MAX = 2 * LOG_ITEMS;

/**
 * A window of a conversation's log, without a hole: messages as they stand, and between them the changes of the group. It grows
 * by pages at either end and is trimmed at the other one. Items are never changed in place, so that a view can compare them.
 */
export class History {
  /** In the order of their seq. @type {HistoryItem[]} */
  items = [];
  /** The first and the last seq that the window covers. */
  from = 0;
  to = 0;
  isOpen = false;
  isLoadingOlder = false;
  isLoadingNewer = false;
  /** Why the first page could not be had. */
  error = '';
  /** The view is at the bottom: what comes live pushes out what is far up. Set by the view. */
  follows = true;
  /** What the view looks at: kept in sight when the window has to be loaded anew. Set by the view. */
  anchorSeq = 0;

  #conversation;
  #chat;
  /** Counts fresh starts; answers from before one are dropped. */
  #epoch = 0;
  /** @param {import('./conversation.js').Conversation} conversation @param {import('./viberchat.js').ViberChat} chat */
  constructor(conversation, chat) {
    this.#conversation = conversation;
    this.#chat = chat;
  }

  get isAtStart() {
    return this.isOpen && this.from <= 1;
  }

  get isAtEnd() {
    return this.isOpen && this.to >= (this.#conversation.cursor ?? 0);
  }

  /** Loads the newest page, or the one around a seq. What is there stays until it has come. @param {number} [aroundSeq] */
  async open(aroundSeq = 0) {
    let epoch = ++this.#epoch;
    this.isLoadingOlder = this.isLoadingNewer = false;
    this.error = '';
    try {
      let page = await this.#list(aroundSeq ? { aroundSeq: String(aroundSeq) } : {});
      const around = aroundSeq > 0 && page.messages.length > 0;
      if (aroundSeq && !around) page = await this.#list({});
      const to = around ? page.messages[page.messages.length - 1].seq : page.asOfSeq;
      const from = firstSeq(page, around);
      const items = await this.#withSystemLines(page.messages, from, to);
      if (epoch !== this.#epoch) return;
      // Pages that were asked for meanwhile belong to the old window.
      epoch = ++this.#epoch;
      this.isLoadingOlder = this.isLoadingNewer = false;
      Object.assign(this, { items: this.#upToDate(items), from, to, isOpen: true });
      if (!around) await this.#catchUp(epoch);
    } catch (error) {
      if (epoch !== this.#epoch) return;
      this.error = /** @type {any} */ (error).reason ?? 'INTERNAL';
    }
    this.#changed();
  }

  /** Adds a page above. */
  async loadOlder() {
    if (!this.isOpen || this.isAtStart || this.isLoadingOlder) return;
    await this.#load('isLoadingOlder', async (epoch) => {
      const before = this.from;
      const page = await this.#list({ beforeSeq: String(before) });
      const from = firstSeq(page, false);
      const items = await this.#withSystemLines(page.messages, from, before - 1);
      if (epoch !== this.#epoch) return;
      this.items = [...this.#upToDate(items), ...this.items];
      this.from = from;
      if (this.items.length <= ITEMS_MAX) return;
      this.items = this.items.slice(0, ITEMS_MAX);
      this.to = this.items[ITEMS_MAX - 1].seq;
    });
  }

  /** Adds a page below. */
  async loadNewer() {
    if (!this.isOpen || this.isAtEnd || this.isLoadingNewer) return;
    await this.#load('isLoadingNewer', async (epoch) => {
      const after = this.to;
      const page = await this.#list({ afterSeq: String(after) });
      const to = page.hasMore ? page.messages[page.messages.length - 1].seq : Math.max(after, page.asOfSeq);
      const items = await this.#withSystemLines(page.messages, after + 1, to);
      if (epoch !== this.#epoch) return;
      this.items = [...this.items, ...this.#upToDate(items)];
      this.to = to;
      this.#trimStart();
      if (!page.hasMore) await this.#catchUp(epoch);
    });
  }

  /** Takes an entry as it comes: adds it at the end, or changes the message that it is about. @param {LogEntryJson} entry */
  applyEntry(entry) {
    if (!this.isOpen) return;
    const { userId } = this.#chat;
    if (changedMessageId(entry))
      this.items = this.items.map((item) => (item.kind === 'message' ? applyTo(item, entry, userId) : item));
    const seq = toNumber(entry.seq);
    if (seq !== this.to + 1 || (!this.follows && this.items.length >= LIVE_ITEMS_MAX)) return;
    this.to = Math.max(seq, toNumber(entry.body?.hidden?.toSeq));
    const item = itemOf(entry);
    if (item) this.items = [...this.items, item];
    if (this.follows) this.#trimStart();
  }

  /** Entries were missed: what is here may be out of date. */
  invalidate() {
    if (this.isOpen) void this.open(this.follows ? 0 : this.anchorSeq);
  }

  close() {
    this.#epoch++;
  }

  /** @param {'isLoadingOlder' | 'isLoadingNewer'} flag @param {(epoch: number) => Promise<void>} load */
  async #load(flag, load) {
    const epoch = this.#epoch;
    this[flag] = true;
    this.#changed();
    try {
      await load(epoch);
    } catch {
      // The window stays as it is; scrolling asks again.
    }
    // A window that was opened anew meanwhile has flags of its own.
    if (epoch === this.#epoch) this[flag] = false;
    this.#changed();
  }

  /** Reads what came while a page was on its way. @param {number} epoch */
  async #catchUp(epoch) {
    while (!this.isAtEnd && (this.#conversation.cursor ?? 0) - this.to <= CATCH_UP_MAX) {
      const before = this.to;
      const entries = await this.#readLog(before, LOG_ITEMS);
      if (epoch !== this.#epoch) return;
      for (const entry of entries) this.applyEntry(entry);
      if (this.to === before) return;
    }
  }

  #trimStart() {
    if (this.items.length <= ITEMS_MAX) return;
    this.items = this.items.slice(-ITEMS_MAX);
    this.from = this.items[0].seq;
  }

  /** What came while a page was on its way is in none of its messages. @param {HistoryItem[]} items */
  #upToDate = (items) => items.map((item) => (item.kind === 'message' ? this.#conversation.upToDate(item) : item));

  /** A page, which may be empty only at the end. @param {object} anchor */
  async #list(anchor) {
    const conversationId = this.#conversation.id;
    let pageToken;
    for (;;) {
      const reply = await this.#chat.read('listMessages', { conversationId, pageSize: PAGE_ITEMS, ...anchor, pageToken });
      const asOfSeq = toNumber(reply.asOfSeq);
      pageToken = reply.nextPageToken;
      const messages = (reply.messages ?? []).map((/** @type {MessageJson} */ message) => messageOf(message, asOfSeq));
      if (messages.length > 0 || !pageToken) return { messages, asOfSeq, hasMore: Boolean(pageToken) };
    }
  }

  /** @param {number} afterSeq @param {number} limit @returns {Promise<LogEntryJson[]>} */
  async #readLog(afterSeq, limit) {
    const reply = await this.#chat.read('readLog', { conversationId: this.#conversation.id, afterSeq: String(afterSeq), limit });
    return reply.entries ?? [];
  }

  /**
   * Pages have messages only; in a group the places between them are read from the log. One page's worth at most, the newest.
   * @param {import('./types.js').Message[]} messages @param {number} from @param {number} to
   * @returns {Promise<HistoryItem[]>}
   */
  async #withSystemLines(messages, from, to) {
    if (this.#conversation.isDirect || messages.length > to - from) return messages;
    /** @type {HistoryItem[]} */
    const lines = [];
    // Long stretches of nothing but changes are cut: they cost a request for every 200 of them.
    let after = Math.max(from, to - 5 * LOG_ITEMS) - 1;
    while (after < to) {
      const entries = await this.#readLog(after, Math.min(LOG_ITEMS, to - after));
      if (entries.length === 0) break;
      for (const entry of entries) {
        after = Math.max(toNumber(entry.seq), toNumber(entry.body?.hidden?.toSeq));
        const item = itemOf(entry);
        if (item?.kind === 'system' && item.seq <= to) lines.push(item);
      }
    }
    return [...messages, ...lines.slice(-PAGE_ITEMS)].sort((a, b) => a.seq - b.seq);
  }

  #changed() {
    this.#chat.changed(this.#conversation);
  }
}

/**
 * Where a page that goes back begins: at its first message, or at the log's first entry if no message is before it.
 * @param {{messages: import('./types.js').Message[], hasMore: boolean}} page @param {boolean} isAround
 */
function firstSeq({ messages, hasMore }, isAround) {
  const isFirst = messages.length === 0 || messages[0].messageNo === 1 || (!hasMore && !isAround);
  return isFirst ? 1 : messages[0].seq;
}
