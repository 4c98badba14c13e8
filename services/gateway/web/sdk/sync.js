import { Conversation } from './conversation.js';
import { toNumber } from './wire.js';

/** @typedef {import('./types.js').LogEntryJson} LogEntryJson */

const LIST_ITEMS = 200;
const HEADS_ITEMS = 200;
const LOG_ITEMS = 200;
/** Heads of one instance may lag behind another by this much. */
const HEAD_LAG_MS = 1_000;
const REFRESH_RETRY_MS = 2_000;

/**
 * Keeps the conversations in step with the gateway: the first listing, resume with its verdicts, pushes, and filling holes. Every
 * entry passes `#takeEntry`, which lets exactly the next one through.
 */
export class Sync {
  /** @type {Map<string, Conversation>} */
  conversations = new Map();
  /** The first page has come: there is something to show, or there is nothing. */
  isListed = false;

  #chat;
  #isListComplete = false;
  /** Counts connections, so that a listing that belongs to an old one stops. */
  #connection = 0;
  /** Whose details, and whose heads, are to be asked for. @type {Set<string>} */
  #staleDetails = new Set();
  /** @type {Set<string>} */
  #staleHeads = new Set();
  #isRefreshing = false;
  /** Conversations that are filled from the log, with the greatest seq that is known to exist. @type {Map<string, number>} */
  #filling = new Map();
  /** Heads that a heartbeat named and that had not come. @type {Map<string, number>} */
  #missing = new Map();

  /** @param {import('./viberchat.js').ViberChat} chat */
  constructor(chat) {
    this.#chat = chat;
  }

  /** Where to resume from. */
  cursors() {
    return [...this.conversations.values()]
      .filter((conversation) => conversation.cursor !== null)
      .map(({ id, cursor }) => ({ conversationId: id, seq: String(cursor) }));
  }

  /** A connection stands: list what is not known, and ask again for what no entry tells. */
  async online() {
    const connection = ++this.#connection;
    for (const { id, unreadCount } of this.conversations.values()) {
      // Read on another device meanwhile, perhaps.
      if (unreadCount > 0) this.#staleHeads.add(id);
    }
    void this.#refresh();
    const wholeList = !this.#isListComplete;
    for (const archived of wholeList ? [false, true] : [false]) {
      let pageToken;
      do {
        const reply = await this.#chat.read('listConversations', { pageSize: LIST_ITEMS, archived, pageToken });
        if (connection !== this.#connection) return;
        await this.#listed(reply.conversations ?? []);
        if (connection !== this.#connection) return;
        pageToken = reply.nextPageToken;
      } while (pageToken && wholeList);
    }
    if (!wholeList) return;
    this.#isListComplete = true;
    // What the gateway named and no page had came while the pages were read.
    for (const { id, isLoaded } of this.conversations.values()) if (!isLoaded) this.stale(id);
  }

  /** @param {any} push */
  push(push) {
    if (push.entry) this.#takeEntry(push.entry);
    else if (push.resumed) this.#resumed(push.resumed);
    else if (push.positions) this.#positions(push.positions.positions ?? []);
    else if (push.conversation) this.#conversationEvent(push.conversation);
    else if (push.heartbeat) this.#heartbeat(push.heartbeat.heads ?? []);
    else if (push.typing)
      this.conversations.get(push.typing.conversationId)?.typists.heard(push.typing.userId, push.typing.typing);
    else if (push.presence) this.#chat.presence.learn(push.presence.presences ?? []);
    else if (push.ready) this.#chat.emit('ready');
    else if (push.shed) this.#chat.emit('shed', push.shed);
  }

  /** The conversation, made known if need be. @param {string} id */
  ensure(id) {
    let conversation = this.conversations.get(id);
    if (!conversation) {
      conversation = new Conversation(id, this.#chat);
      this.conversations.set(id, conversation);
      if (this.#isListComplete) this.stale(id);
    }
    return conversation;
  }

  /** A conversation from an answer. @param {import('./types.js').ConversationJson} details */
  takeDetails(details) {
    const isNew = !this.conversations.has(details.conversationId);
    const conversation = this.ensure(details.conversationId);
    if (conversation.setDetails(details)) this.#staleHeads.add(conversation.id);
    this.#staleDetails.delete(conversation.id);
    if (isNew) this.#staleHeads.add(conversation.id);
    this.#chat.changed(conversation);
    void this.#refresh();
    return conversation;
  }

  /** Asks anew for a conversation's details and head. @param {string} id */
  stale(id) {
    this.#staleDetails.add(id);
    this.#staleHeads.add(id);
    void this.#refresh();
  }

  /** @param {string} id */
  remove(id) {
    const conversation = this.conversations.get(id);
    if (!conversation) return;
    this.conversations.delete(id);
    this.#staleDetails.delete(id);
    this.#staleHeads.delete(id);
    conversation.isRemoved = true;
    this.#chat.outbox.discardAll(id);
    this.#chat.changed(conversation);
    this.#chat.emit('removed', conversation);
  }

  /** @param {import('./types.js').ConversationJson[]} listed */
  async #listed(listed) {
    const ids = [];
    for (const details of listed) {
      const id = details.conversationId;
      const conversation = this.conversations.get(id) ?? new Conversation(id, this.#chat);
      this.conversations.set(id, conversation);
      if (conversation.setDetails(details) || !conversation.hasHead) ids.push(id);
    }
    await this.#loadHeads(ids);
    this.isListed = true;
    this.#chat.changed(null);
  }

  /** @param {string[]} ids */
  async #loadHeads(ids) {
    if (ids.length === 0) return;
    const reply = await this.#chat.read('getHeads', { conversationIds: ids });
    const lagging =
      reply.heads?.filter((/** @type {any} */ head) => this.conversations.get(head.conversationId)?.applyHead(head) === false) ??
      [];
    for (const id of ids) {
      const conversation = this.conversations.get(id);
      if (conversation?.unreadCount) this.#chat.marks.delivered(conversation);
    }
    if (lagging.length === 0) return;
    this.#chat.later(HEAD_LAG_MS, () => {
      for (const { conversationId } of lagging) if (this.conversations.has(conversationId)) this.#staleHeads.add(conversationId);
      void this.#refresh();
    });
  }

  /** Works off what is stale, one request at a time. */
  async #refresh() {
    if (this.#isRefreshing) return;
    this.#isRefreshing = true;
    // What is asked for in one turn goes together.
    await null;
    try {
      while (this.#staleHeads.size + this.#staleDetails.size > 0) {
        if (this.#staleHeads.size > 0) await this.#refreshHeads();
        else await this.#refreshDetails();
      }
    } catch {
      this.#chat.later(REFRESH_RETRY_MS, () => void this.#refresh());
    }
    this.#isRefreshing = false;
  }

  async #refreshHeads() {
    const ids = [...this.#staleHeads].slice(0, HEADS_ITEMS);
    await this.#loadHeads(ids);
    for (const id of ids) this.#staleHeads.delete(id);
    this.#chat.changed(null);
  }

  async #refreshDetails() {
    const [id] = this.#staleDetails;
    this.#staleDetails.delete(id);
    try {
      const { conversation } = await this.#chat.read('getConversation', { conversationId: id });
      if (this.conversations.get(id)?.setDetails(conversation)) this.#staleHeads.add(id);
      this.#chat.changed(this.conversations.get(id) ?? null);
    } catch (error) {
      if (/** @type {any} */ (error).reason === 'CONVERSATION_NOT_FOUND') return this.remove(id);
      this.#staleDetails.add(id);
      throw error;
    }
  }

  /** Contiguity is kept here: known ones are dropped, and over a hole nothing passes. @param {LogEntryJson} entry */
  #takeEntry(entry) {
    const conversation = this.ensure(entry.conversationId);
    const seq = toNumber(entry.seq);
    const lastSeq = Math.max(seq, toNumber(entry.body?.hidden?.toSeq));
    const { cursor } = conversation;
    if (cursor !== null && lastSeq <= cursor) return;
    if (cursor !== null && seq > cursor + 1) return void this.#fill(conversation, lastSeq);
    const detailsChanged = conversation.applyEntry(entry);
    if (detailsChanged) this.#staleDetails.add(conversation.id);
    const isOwn = entry.actorUserId === this.#chat.userId;
    if (entry.body?.message && !isOwn) this.#chat.marks.delivered(conversation);
    // How many messages that stands for, the head says.
    if (entry.body?.hidden) this.#staleHeads.add(conversation.id);
    this.#chat.outbox.passed(
      conversation.id,
      lastSeq,
      isOwn ? { requestId: entry.requestId, messageId: entry.body?.message?.messageId } : {},
    );
    this.#chat.emit('entry', conversation, entry);
    this.#chat.changed(conversation);
    if (entry.body?.conversationClosed) this.remove(conversation.id);
    if (detailsChanged || entry.body?.hidden) void this.#refresh();
  }

  /** Reads the log from the cursor on, up to what is known to exist. @param {Conversation} conversation @param {number} toSeq */
  async #fill(conversation, toSeq) {
    const { id } = conversation;
    const isUnderWay = this.#filling.has(id);
    this.#filling.set(id, Math.max(toSeq, this.#filling.get(id) ?? 0));
    if (isUnderWay) return;
    try {
      while (!conversation.isRemoved && conversation.cursor !== null && conversation.cursor < (this.#filling.get(id) ?? 0)) {
        const before = conversation.cursor;
        const reply = await this.#chat.read('readLog', { conversationId: id, afterSeq: String(before), limit: LOG_ITEMS });
        for (const entry of reply.entries ?? []) this.#takeEntry(entry);
        if (conversation.cursor === before) break;
      }
    } catch {
      // The next entry or heartbeat finds the hole again.
    }
    this.#filling.delete(id);
  }

  /** @param {any} resumed */
  #resumed({ conversationId, complete, gap, reset }) {
    const conversation = this.conversations.get(conversationId);
    if (!conversation) return;
    if (reset?.removed) return this.remove(conversationId);
    if (complete) {
      const headSeq = toNumber(complete.headSeq);
      if (headSeq > (conversation.cursor ?? 0)) void this.#fill(conversation, headSeq);
      return;
    }
    if (gap) {
      const cursor = toNumber(gap.fromSeq) - 1;
      conversation.skipTo(cursor);
      // What was acknowledged before that is in the log, and no entry will say so any more.
      this.#chat.outbox.passed(conversationId, cursor);
    } else {
      conversation.forget();
    }
    this.stale(conversationId);
  }

  /** @param {import('./types.js').PositionJson[]} positions */
  #positions(positions) {
    for (const position of positions) {
      const conversation = this.conversations.get(position.conversationId);
      conversation?.applyPosition(position);
      if (conversation) this.#chat.changed(conversation);
    }
  }

  /** @param {any} event */
  #conversationEvent({ conversationId, added, removed }) {
    if (removed) return this.remove(conversationId);
    const conversation = this.ensure(conversationId);
    if (added) {
      const headSeq = toNumber(added.headSeq);
      conversation.announce(headSeq);
      if (headSeq > (conversation.cursor ?? 0)) void this.#fill(conversation, headSeq);
    }
    // Before all are listed, the list brings the rest.
    if (this.#isListComplete) this.stale(conversationId);
  }

  /** A head named by two heartbeats in a row, with nothing come between, is fetched. @param {{conversationId: string, headSeq?: string}[]} heads */
  #heartbeat(heads) {
    const missing = new Map();
    for (const head of heads) {
      const conversation = this.conversations.get(head.conversationId);
      const headSeq = toNumber(head.headSeq);
      if (!conversation || conversation.cursor === null || conversation.cursor >= headSeq) continue;
      if (this.#missing.get(conversation.id) === conversation.cursor) void this.#fill(conversation, headSeq);
      else missing.set(conversation.id, conversation.cursor);
    }
    this.#missing = missing;
  }
}
