import { h } from './dom.js';
import { plural } from './format.js';

const PAUSE_MS = 1_500;
/** Of what came during a pause only the latest are said in full. */
const AT_ONCE_MAX = 3;
const KEPT_MAX = 5;

/** Says new messages to those who listen instead of looking. Not more often than every pause: many at once are counted. */
export class Announcer {
  element = h('div', {
    class: 'visually-hidden',
    role: 'log',
    'aria-live': 'polite',
    'aria-label': 'New messages',
    'data-testid': 'spoken',
  });
  /** @type {{messageId: string, text: string}[]} */
  #waiting = [];
  /** @type {any} */
  #pause = null;

  /** @param {string} messageId @param {string} text */
  say(messageId, text) {
    this.#waiting.push({ messageId, text });
    if (this.#pause === null) this.#flush();
  }

  /** A deletion leaves the text nowhere on the page. @param {string} messageId */
  forget(messageId) {
    this.#waiting = this.#waiting.filter((said) => said.messageId !== messageId);
    this.element.querySelector(`[data-message-id="${CSS.escape(messageId)}"]`)?.remove();
  }

  close() {
    clearTimeout(this.#pause);
    this.#waiting = [];
  }

  #flush() {
    this.#pause = null;
    if (this.#waiting.length === 0) return;
    const left = this.#waiting.length - AT_ONCE_MAX;
    if (left > 0) this.element.append(h('div', {}, `${plural(left, 'more message')}`));
    for (const { messageId, text } of this.#waiting.slice(-AT_ONCE_MAX))
      this.element.append(h('div', { 'data-message-id': messageId }, text));
    this.#waiting = [];
    while (this.element.childElementCount > KEPT_MAX) this.element.firstElementChild?.remove();
    this.#pause = setTimeout(() => this.#flush(), PAUSE_MS);
  }
}
