import { fill, h, icon, iconButton } from './dom.js';
import { listTime, plural } from './format.js';

/** Under the header: the newest pinned message, and the list of all of them. */
export class PinsBar {
  #conversation;
  #app;
  #options;
  #isListOpen = false;
  element = h('section', { class: 'pins', 'aria-label': 'Pinned messages', hidden: true, 'data-testid': 'pins' });

  /**
   * @param {import('../sdk/conversation.js').Conversation} conversation @param {import('./main.js').App} app
   * @param {{onJump: (seq: number) => void, mayPin: () => boolean}} options
   */
  constructor(conversation, app, options) {
    this.#conversation = conversation;
    this.#app = app;
    this.#options = options;
    this.element.addEventListener('keydown', (event) => event.key === 'Escape' && this.#toggle(false));
    void conversation.quotes.loadPins();
  }

  draw() {
    const pins = this.#pins();
    const { people } = this.#app;
    const shown = pins.map(({ messageId, text, senderUserId }) => [messageId, text, people.nameOrYou(senderUserId)]);
    const wanted = JSON.stringify([shown, this.#isListOpen, this.#options.mayPin()]);
    if (this.element.dataset.drawn === wanted) return;
    this.element.dataset.drawn = wanted;
    this.element.hidden = pins.length === 0;
    if (pins.length === 0) return fill(this.element);
    const [newest] = pins;
    fill(
      this.element,
      h(
        'div',
        { class: 'pins-bar' },
        icon('pin'),
        this.#line(newest),
        pins.length > 1 &&
          h(
            'button',
            {
              type: 'button',
              class: 'text-button pins-count',
              'aria-expanded': String(this.#isListOpen),
              'data-testid': 'pins-all',
              onclick: () => this.#toggle(!this.#isListOpen),
            },
            plural(pins.length, 'pin'),
          ),
        pins.length === 1 && this.#unpin(newest.messageId),
      ),
      this.#isListOpen &&
        pins.length > 1 &&
        h(
          'ul',
          { class: 'pins-list', 'data-testid': 'pins-list' },
          pins.map((pin) => h('li', {}, this.#line(pin), this.#unpin(pin.messageId))),
        ),
    );
  }

  /** What waits to be unpinned is gone already. */
  #pins() {
    const leaving = new Set(this.#conversation.outgoing().flatMap((item) => (item.kind === 'unpin' ? [item.messageId] : [])));
    return (this.#conversation.quotes.pins ?? []).filter(({ messageId }) => !leaving.has(messageId));
  }

  /** @param {import('../sdk/types.js').Message} message */
  #line({ seq, senderUserId, text, time }) {
    return h(
      'button',
      {
        type: 'button',
        class: 'pin-line',
        title: 'Go to this message',
        'data-testid': 'pin-line',
        onclick: () => (this.#toggle(false), this.#options.onJump(seq)),
      },
      h('strong', {}, this.#app.people.nameOrYou(senderUserId)),
      h('span', { class: 'grow' }, text.slice(0, 200)),
      h('time', { dateTime: new Date(time).toISOString() }, listTime(time, Date.now())),
    );
  }

  /** @param {string} messageId */
  #unpin(messageId) {
    const unpin = () => this.#conversation.unpin(messageId);
    return this.#options.mayPin() && iconButton('close', 'Unpin', unpin, { 'data-testid': 'unpin' });
  }

  /** @param {boolean} isOpen */
  #toggle(isOpen) {
    this.#isListOpen = isOpen;
    this.draw();
  }
}
