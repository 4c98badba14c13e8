import { History } from './history.js';
import { toNumber, toTime } from './wire.js';

/**
 * @typedef {import('./types.js').ConversationJson} ConversationJson
 * @typedef {import('./types.js').LogEntryJson} LogEntryJson
 * @typedef {import('./types.js').HeadJson} HeadJson
 * @typedef {import('./types.js').PositionJson} PositionJson
 */

/** What a list shows of the last message. @typedef {{messageId: string, senderUserId: string, text: string, deleted: boolean, time: number}} LastMessage */

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
  /** @type {LastMessage | null} */
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

  /** @param {string} id @param {import('./viberchat.js').ViberChat} chat */
  constructor(id, chat) {
    this.id = id;
    this.#chat = chat;
    this.details = { conversationId: id, kind: '' };
  }

  get isDirect() {
    return this.details.kind === 'CONVERSATION_KIND_DIRECT';
  }

  get isPinned() {
    return this.details.settings?.pinned ?? false;
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

  /** Puts a message in the queue. @param {string} text @returns {import('./outbox.js').OutboxItem} */
  send(text) {
    return this.#chat.outbox.add({ kind: 'send', conversationId: this.id, text });
  }

  /** Gives a message a new text. @param {string} messageId @param {string} text */
  edit(messageId, text) {
    return this.#chat.outbox.add({ kind: 'edit', conversationId: this.id, messageId, text });
  }

  /** Deletes a message for everyone. @param {string} messageId */
  delete(messageId) {
    return this.#chat.outbox.add({ kind: 'delete', conversationId: this.id, messageId, text: '' });
  }

  /** Asks how far the others have read. */
  async loadPositions() {
    const reply = await this.#chat.read('listPositions', { conversationId: this.id });
    for (const position of reply.positions ?? []) this.applyPosition(position);
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
    this.#chat.queueMarkRead(this);
  }

  /** @param {ConversationJson} details */
  setDetails(details) {
    this.details = details;
    this.isLoaded = true;
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
      this.lastMessage = head.lastMessage ? lastMessageOf(head.lastMessage) : null;
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
    const seq = toNumber(position.readSeq);
    if (position.userId === this.#chat.userId) this.#moveRead(seq, toNumber(position.readMessageNo));
    else this.positions.set(position.userId, Math.max(seq, this.positions.get(position.userId) ?? 0));
  }

  /** Takes the next entry of the log. @param {LogEntryJson} entry @returns {boolean} details have to be asked for again */
  applyEntry(entry) {
    const seq = toNumber(entry.seq);
    const body = entry.body ?? {};
    this.cursor = body.hidden ? Math.max(seq, toNumber(body.hidden.toSeq)) : seq;
    this.#lastEntrySeq = this.cursor;
    this.#cursorMessageNo = Math.max(this.#cursorMessageNo, toNumber(entry.messageNo));
    this.messageNo = Math.max(this.messageNo, this.#cursorMessageNo);
    this.#applyToLastMessage(entry, body);
    const isOwnMessage = body.message && entry.actorUserId === this.#chat.userId && !body.message.actingService;
    if (isOwnMessage) this.#moveRead(seq, toNumber(entry.messageNo));
    this.#history?.applyEntry(entry);
    return Boolean(
      body.conversationCreated || body.conversationUpdated || body.membersAdded || body.memberRemoved || body.roleChanged,
    );
  }

  /** Entries up to this seq will not come: what the window shows is not to be trusted. @param {number} seq */
  skipTo(seq) {
    this.cursor = seq;
    this.#history?.invalidate();
  }

  /** The log is not the one that was known. */
  forget() {
    this.cursor = null;
    this.messageNo = this.readSeq = this.readMessageNo = this.#cursorMessageNo = 0;
    this.lastMessage = null;
    this.positions.clear();
    this.#history?.invalidate();
  }

  /** @param {LogEntryJson} entry @param {Record<string, any>} body */
  #applyToLastMessage(entry, body) {
    const last = this.lastMessage;
    if (body.message || body.redacted?.kind === 'REDACTED_KIND_MESSAGE') {
      const { messageId, text } = body.message ?? body.redacted;
      this.lastMessage = {
        messageId,
        senderUserId: entry.actorUserId ?? '',
        text: text ?? '',
        deleted: !body.message,
        time: toTime(entry.createTime),
      };
    } else if (last && body.edited?.messageId === last.messageId) {
      this.lastMessage = { ...last, text: body.edited.text ?? '' };
    } else if (last && body.deleted?.messageId === last.messageId) {
      this.lastMessage = { ...last, text: '', deleted: true };
    }
  }

  /** @param {number} seq @param {number} messageNo */
  #moveRead(seq, messageNo) {
    this.readSeq = Math.max(this.readSeq, seq);
    this.readMessageNo = Math.max(this.readMessageNo, messageNo);
  }
}

/** @param {import('./types.js').MessageJson} message @returns {LastMessage} */
function lastMessageOf(message) {
  return {
    messageId: message.messageId,
    senderUserId: message.senderUserId,
    text: message.text ?? '',
    deleted: Boolean(message.deleteTime),
    time: toTime(message.createTime),
  };
}
