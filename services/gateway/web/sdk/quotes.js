import { applyTo, messageOf } from './message.js';
import { toNumber } from './wire.js';

/** @typedef {import('./types.js').Message} Message */

const KEPT_MAX = 200;

/**
 * Messages that others refer to and that the window of history need not have: the quoted and the pinned ones. They follow the
 * log, so that nothing erased is shown.
 */
export class Quotes {
  /** The newest pin first; null until they are asked for. @type {Message[] | null} */
  pins = null;

  /** Null: it cannot be seen. Undefined: it is on its way. @type {Map<string, Message | null | undefined>} */
  #messages = new Map();
  #pinLoads = 0;
  #conversation;
  #chat;

  /** @param {import('./conversation.js').Conversation} conversation @param {import('./viberchat.js').ViberChat} chat */
  constructor(conversation, chat) {
    this.#conversation = conversation;
    this.#chat = chat;
  }

  /** The message, from what is here, else asked for: undefined until it has come, null if it cannot be seen. @param {string} messageId */
  get(messageId) {
    const shown = this.#conversation.history.items.find((item) => item.kind === 'message' && item.messageId === messageId);
    if (shown?.kind === 'message') return shown;
    if (!this.#messages.has(messageId)) void this.#load(messageId);
    return this.#messages.get(messageId);
  }

  /** Reads the list of pins; from then on it is kept in step. Only the answer to the last question counts. */
  async loadPins() {
    const load = ++this.#pinLoads;
    try {
      const reply = await this.#chat.read('listPinned', { conversationId: this.#conversation.id, pageSize: 200 });
      if (load !== this.#pinLoads) return;
      this.pins = this.#messagesOf(reply.messages ?? [], reply);
      this.#chat.changed(this.#conversation);
    } catch {
      // The next pin asks again.
    }
  }

  /** @param {import('./types.js').LogEntryJson} entry */
  applyEntry(entry) {
    const { userId } = this.#chat;
    for (const [id, message] of this.#messages) if (message) this.#messages.set(id, applyTo(message, entry, userId));
    if (!this.pins) return;
    this.pins = this.pins.map((message) => applyTo(message, entry, userId)).filter(({ pinnedByUserId }) => pinnedByUserId);
    if (entry.body?.pinned) void this.loadPins();
  }

  /** What is here may be out of date. */
  forget() {
    this.#messages.clear();
    if (this.pins) void this.loadPins();
  }

  /** @param {string} messageId */
  async #load(messageId) {
    this.#messages.set(messageId, undefined);
    const [oldest] = this.#messages.keys();
    if (this.#messages.size > KEPT_MAX) this.#messages.delete(oldest);
    const conversationId = this.#conversation.id;
    try {
      const reply = await this.#chat.read('getMessage', { conversationId, messageId });
      const [message] = this.#messagesOf([reply.message], reply);
      this.#messages.set(messageId, message);
    } catch {
      this.#messages.set(messageId, null);
    }
    this.#chat.changed(this.#conversation);
  }

  /** As they stand now: what came while they were on their way is applied. @param {import('./types.js').MessageJson[]} messages @param {{asOfSeq?: string}} reply */
  #messagesOf(messages, { asOfSeq }) {
    return messages.map((json) => this.#conversation.upToDate(messageOf(json, toNumber(asOfSeq))));
  }
}
