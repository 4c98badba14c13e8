import { History } from './history.js';
import { applyTo, changedMessageId, itemOf, messageOf } from './message.js';
import { Quotes } from './quotes.js';
import { Typing } from './typing.js';
import { toNumber, toTime } from './wire.js';

/**
 * @typedef {import('./types.js').ConversationJson} ConversationJson
 * @typedef {import('./types.js').LogEntryJson} LogEntryJson
 * @typedef {import('./types.js').HeadJson} HeadJson
 * @typedef {import('./types.js').PositionJson} PositionJson
 */

/** What may go with a message's text. @typedef {{replyToMessageId?: string, mentionedUserIds?: string[], metadata?: Record<string, string>}} SendOptions */

/** Larger groups keep no delivered positions. */
const DELIVERIES_MEMBERS_MAX = 32;
/** So many of the latest changes are kept for answers that were read before them. */
const RECENT_ITEMS = 100;

/** One conversation as this client knows it: its head, its last message, who has read how far, and a window of its history. */
export class Conversation {
  /** Everything up to this seq has been seen here; null while not known. @type {number | null} */
  cursor = null;
  /** How many messages the log has. */
  messageNo = 0;
  /** Our own read position. */
  readSeq = 0;
  readMessageNo = 0;
  /** What others have read, by user. @type {Map<string, number>} */
  positions = new Map();
  /** What has come to a device of others, by user; kept in directs and small groups. @type {Map<string, number>} */
  deliveries = new Map();
  /** What the gateway knows to have come to us. */
  deliveredSeq = 0;
  /** @type {import('./types.js').Message | null} */
  lastMessage = null;
  /** False until name, members and settings have come. */
  isLoaded = false;
  /** False until a head has come, and with it the last message and the unread count. */
  hasHead = false;
  /** We are no member any more. */
  isRemoved = false;
  /** @type {ConversationJson} */
  details;

  #chat;
  /** How many messages there are up to the cursor. */
  #cursorMessageNo = 0;
  /** The last entry that came; behind the cursor if that was set by what the gateway said of the head. */
  #lastEntrySeq = 0;
  /** @type {History | null} */
  #history = null;
  /** The latest entries that changed a message. @type {LogEntryJson[]} */
  #recent = [];

  /** @param {string} id @param {import('./viberchat.js').ViberChat} chat */
  constructor(id, chat) {
    this.id = id;
    this.#chat = chat;
    this.details = { conversationId: id, kind: '' };
    this.typists = new Typing(this, chat);
    /** Quoted and pinned messages. */
    this.quotes = new Quotes(this, chat);
  }

  get isDirect() {
    return this.details.kind === 'CONVERSATION_KIND_DIRECT';
  }

  get isPinned() {
    return this.details.settings?.pinned ?? false;
  }

  get isArchived() {
    return this.details.settings?.archived ?? false;
  }

  /** No notifications, for now. */
  get isMuted() {
    return toTime(this.details.settings?.muteUntilTime) > this.#chat.now();
  }

  /** Everything up to here was deleted for us, by us. */
  get clearedSeq() {
    return toNumber(this.details.settings?.clearedSeq);
  }

  /** Deleted for us, and nothing newer has come. */
  get isCleared() {
    return this.clearedSeq > 0 && (this.lastMessage?.seq ?? 0) <= this.clearedSeq;
  }

  get hasDeliveries() {
    return this.isDirect || (this.details.memberCount ?? Infinity) <= DELIVERIES_MEMBERS_MAX;
  }

  get unreadCount() {
    return Math.max(0, this.messageNo - this.readMessageNo);
  }

  /** Milliseconds since 1970; what the list is ordered by. */
  get activityTime() {
    return this.lastMessage?.time || toTime(this.details.activityTime) || toTime(this.details.createTime);
  }

  /** The window of history that is shown. Made when first asked for. */
  get history() {
    this.#history ??= new History(this, this.#chat);
    return this.#history;
  }

  /** Lets go of the window. */
  closeHistory() {
    this.#history?.close();
    this.#history = null;
  }

  /** Puts a message in the queue. @param {string} text @param {SendOptions} [options] @returns {import('./outbox.js').OutboxItem} */
  send(text, { metadata, ...options } = {}) {
    this.typing(false);
    return this.#write('send', '', text, { ...options, ...(metadata && { metadata: { entries: metadata } }) });
  }

  /** Gives a message a new text. @param {string} messageId @param {string} text @param {string[]} [mentionedUserIds] */
  edit(messageId, text, mentionedUserIds = []) {
    return this.#write('edit', messageId, text, { mentionedUserIds });
  }

  /** Deletes a message for everyone. @param {string} messageId */
  delete(messageId) {
    return this.#write('delete', messageId);
  }

  /** @param {string} messageId @param {string} emoji */
  react(messageId, emoji) {
    return this.#write('react', messageId, '', { emoji });
  }

  /** @param {string} messageId @param {string} emoji */
  unreact(messageId, emoji) {
    return this.#write('unreact', messageId, '', { emoji });
  }

  /** @param {string} messageId */
  pin(messageId) {
    return this.#write('pin', messageId);
  }

  /** @param {string} messageId */
  unpin(messageId) {
    return this.#write('unpin', messageId);
  }

  /** Says that we type, or no more. To be called at every key. @param {boolean} [isTyping] */
  typing(isTyping = true) {
    this.typists.say(isTyping);
  }

  /**
   * Changes our own settings of the conversation; `clearedSeq` deletes the chat for us up to there.
   * @param {{pinned?: boolean, archived?: boolean, nickname?: string, muteUntilTime?: string, clearedSeq?: string}} changes
   */
  async setSettings(changes) {
    const { settings } = await this.#chat.request('updateSettings', { conversationId: this.id, ...changes });
    if (this.setDetails({ ...this.details, settings: settings ?? {} })) this.#chat.refresh(this.id);
    this.#chat.changed(this);
  }

  /** Asks how far the others have read. */
  async loadPositions() {
    for (const position of await this.#chat.readAll('listPositions', { conversationId: this.id }, 'positions'))
      this.applyPosition(position);
    this.#chat.changed(this);
  }

  /** What waits to be sent or to show up in the log. */
  outgoing() {
    return this.#chat.outbox.items(this.id);
  }

  /** Everything seen so far is read. Shows at once; the gateway hears it when it can. */
  markRead() {
    if (this.cursor === null || this.isRemoved) return;
    if (this.readSeq >= this.cursor) return;
    this.#moveRead(this.cursor, this.#cursorMessageNo);
    this.#chat.changed(this);
    this.#chat.marks.read(this);
  }

  /** @param {ConversationJson} details @returns {boolean} messages have gone with it: the head has to be asked for again */
  setDetails(details) {
    const before = this.clearedSeq;
    this.details = details;
    const isCut = this.isLoaded && this.clearedSeq > before;
    this.isLoaded = true;
    if (!isCut) return false;
    if (this.isCleared) this.lastMessage = null;
    this.#invalidate();
    return true;
  }

  /** A message that was read a moment ago, with what has come since. @param {import('./types.js').Message} message */
  upToDate(message) {
    return this.#recent.reduce((now, entry) => applyTo(now, entry, this.#chat.userId), message);
  }

  /**
   * A head may lag behind what the gateway said elsewhere: it only moves things forward.
   * @param {HeadJson} head
   * @returns {boolean} false: it lags, and no entry has brought what it lacks
   */
  applyHead(head) {
    const headSeq = toNumber(head.headSeq);
    const messageNo = toNumber(head.messageNo);
    this.hasHead = true;
    if (this.cursor === null || headSeq >= this.cursor || !this.lastMessage) {
      this.lastMessage = head.lastMessage ? messageOf(head.lastMessage, headSeq) : null;
    }
    // A cursor never jumps over entries that are still to come: only where none is known yet is the head the start.
    this.cursor ??= headSeq;
    if (this.cursor === headSeq) this.#cursorMessageNo = messageNo;
    this.messageNo = Math.max(this.messageNo, messageNo);
    this.#moveRead(toNumber(head.readSeq), messageNo - toNumber(head.unreadCount));
    return headSeq >= this.cursor || this.#lastEntrySeq === this.cursor;
  }

  /** The gateway pushes what comes after this. A window that could not be had before is asked for again. @param {number} headSeq */
  announce(headSeq) {
    this.cursor ??= headSeq;
    if (this.#history?.error) void this.#history.open();
  }

  /** @param {PositionJson} position */
  applyPosition(position) {
    const { userId } = position;
    const seq = toNumber(position.readSeq);
    const delivered = toNumber(position.deliveredSeq);
    if (userId === this.#chat.userId) {
      this.#moveRead(seq, toNumber(position.readMessageNo));
      this.deliveredSeq = Math.max(this.deliveredSeq, delivered);
    } else {
      this.positions.set(userId, Math.max(seq, this.positions.get(userId) ?? 0));
      this.deliveries.set(userId, Math.max(seq, delivered, this.deliveries.get(userId) ?? 0));
    }
  }

  /** Takes the next entry of the log. @param {LogEntryJson} entry @returns {boolean} details have to be asked for again */
  applyEntry(entry) {
    const seq = toNumber(entry.seq);
    const body = entry.body ?? {};
    this.cursor = body.hidden ? Math.max(seq, toNumber(body.hidden.toSeq)) : seq;
    this.#lastEntrySeq = this.cursor;
    this.#cursorMessageNo = Math.max(this.#cursorMessageNo, toNumber(entry.messageNo));
    this.messageNo = Math.max(this.messageNo, this.#cursorMessageNo);
    const item = itemOf(entry);
    if (item?.kind === 'message') this.lastMessage = item;
    if (changedMessageId(entry)) {
      this.#recent = [...this.#recent.slice(1 - RECENT_ITEMS), entry];
      this.lastMessage &&= applyTo(this.lastMessage, entry, this.#chat.userId);
    }
    if (body.message) this.typists.heard(entry.actorUserId ?? '', false);
    const isOwnMessage = body.message && entry.actorUserId === this.#chat.userId && !body.message.actingService;
    if (isOwnMessage) this.#moveRead(seq, toNumber(entry.messageNo));
    this.#history?.applyEntry(entry);
    this.quotes.applyEntry(entry);
    return Boolean(
      body.conversationCreated || body.conversationUpdated || body.membersAdded || body.memberRemoved || body.roleChanged,
    );
  }

  /** Entries up to this seq will not come: what the window shows is not to be trusted. @param {number} seq */
  skipTo(seq) {
    this.cursor = seq;
    this.#invalidate();
  }

  /** The log is not the one that was known. */
  forget() {
    this.cursor = null;
    this.messageNo = this.readSeq = this.readMessageNo = this.#cursorMessageNo = 0;
    this.lastMessage = null;
    this.positions.clear();
    this.deliveries.clear();
    this.#recent = [];
    this.#invalidate();
  }

  /**
   * @param {import('./types.js').OutboxRecord['kind']} kind @param {string} messageId @param {string} [text]
   * @param {Record<string, any>} [more]
   */
  #write(kind, messageId, text = '', more = {}) {
    return this.#chat.outbox.add({ kind, conversationId: this.id, messageId, text, more });
  }

  /** Messages that are here may be out of date. */
  #invalidate() {
    this.quotes.forget();
    this.#history?.invalidate();
  }

  /** @param {number} seq @param {number} messageNo */
  #moveRead(seq, messageNo) {
    this.readSeq = Math.max(this.readSeq, seq);
    this.readMessageNo = Math.max(this.readMessageNo, messageNo);
  }
}
