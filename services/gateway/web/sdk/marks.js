/** @typedef {import('./conversation.js').Conversation} Conversation */

const RETRY_MS = 2_000;
const GATHER_MS = 500;

/** Tells the gateway how far conversations are read, and have come to this device: the latest of each, when it can. */
export class Marks {
  /** @type {Record<'markRead' | 'markDelivered', Set<Conversation>>} */
  #waiting = { markRead: new Set(), markDelivered: new Set() };
  #sending = Promise.resolve();
  #isGathering = false;
  #chat;

  /** @param {import('./viberchat.js').ViberChat} chat */
  constructor(chat) {
    this.#chat = chat;
  }

  /** @param {Conversation} conversation */
  read(conversation) {
    this.#waiting.markRead.add(conversation);
    void this.send();
  }

  /** Only where such marks are kept; a moment later, for what came together. @param {Conversation} conversation */
  delivered(conversation) {
    if (!conversation.hasDeliveries || !this.#isNews(conversation)) return;
    this.#waiting.markDelivered.add(conversation);
    if (this.#isGathering) return;
    this.#isGathering = true;
    this.#chat.later(GATHER_MS, () => {
      this.#isGathering = false;
      void this.send();
    });
  }

  /** One request at a time. What comes while one is under way has a round after it. */
  send() {
    return (this.#sending = this.#sending.then(() => this.#round()));
  }

  async #round() {
    for (const name of /** @type {const} */ (['markRead', 'markDelivered'])) {
      for (const conversation of this.#waiting[name]) {
        if (this.#chat.state.name !== 'online') break;
        this.#waiting[name].delete(conversation);
        if (!(await this.#mark(name, conversation))) {
          this.#waiting[name].add(conversation);
          this.#chat.later(RETRY_MS, () => void this.send());
          break;
        }
      }
    }
  }

  /** What is read has been delivered. @param {Conversation} conversation */
  #isNews = ({ cursor, readSeq, deliveredSeq, isRemoved }) => !isRemoved && (cursor ?? 0) > Math.max(readSeq, deliveredSeq);

  /** @param {'markRead' | 'markDelivered'} name @param {Conversation} conversation @returns {Promise<boolean>} done, or not worth another try */
  async #mark(name, conversation) {
    const isRead = name === 'markRead';
    if (!isRead && !this.#isNews(conversation)) return true;
    const seq = isRead ? conversation.readSeq : (conversation.cursor ?? 0);
    try {
      const { position } = await this.#chat.request(name, { conversationId: conversation.id, seq: String(seq) });
      if (!isRead) conversation.deliveredSeq = seq;
      if (position) conversation.applyPosition(position);
      return true;
    } catch (error) {
      const { reason, mayPass } = /** @type {import('./wire.js').RequestError} */ (error);
      return !mayPass && reason !== 'NOT_CONNECTED' && reason !== 'DISCONNECTED';
    }
  }
}
