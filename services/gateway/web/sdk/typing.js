/** A typist has to say so again every 3 s, and is forgotten after 6; with the way there. */
const HEARD_MS = 7_000;
const SAY_MS = 3_000;

/** Who types in a conversation, and saying so oneself. */
export class Typing {
  /** Until when somebody counts as typing. @type {Map<string, number>} */
  #typists = new Map();
  #saidAt = -Infinity;
  #conversation;
  #chat;

  /** @param {import('./conversation.js').Conversation} conversation @param {import('./viberchat.js').ViberChat} chat */
  constructor(conversation, chat) {
    this.#conversation = conversation;
    this.#chat = chat;
  }

  get userIds() {
    return [...this.#typists.keys()];
  }

  /** @param {string} userId @param {boolean} isTyping */
  heard(userId, isTyping) {
    if (isTyping) {
      const until = this.#chat.now() + HEARD_MS;
      this.#typists.set(userId, until);
      this.#chat.later(HEARD_MS, () => this.#typists.get(userId) === until && this.heard(userId, false));
    } else if (!this.#typists.delete(userId)) return;
    this.#chat.changed(this.#conversation);
  }

  /** Call it at every key: it speaks every 3 s. @param {boolean} isTyping */
  say(isTyping) {
    const now = this.#chat.now();
    if (isTyping ? now - this.#saidAt < SAY_MS : this.#saidAt === -Infinity) return;
    this.#saidAt = isTyping ? now : -Infinity;
    // Nobody misses one that is lost.
    this.#chat.request('setTyping', { conversationId: this.#conversation.id, typing: isTyping }).catch(() => {});
  }
}
