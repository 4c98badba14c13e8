import { fill, h } from './dom.js';
import { insertMention, mentionMatches, mentionQuery } from './mentions.js';
import { avatar, userFace } from './people.js';

/** @typedef {import('./mentions.js').Mentionable} Mentionable */

const ID = 'mention-menu';

/** Completes an `@` in a text field among people: a listbox above it, steered from the field. */
export class MentionMenu {
  /** @type {Mentionable[]} */
  #shown = [];
  #at = 0;
  #input;
  #options;
  element = h('div', {
    class: 'mention-menu',
    id: ID,
    role: 'listbox',
    'aria-label': 'People to mention',
    hidden: true,
    'data-testid': 'mention-menu',
  });

  /**
   * @param {HTMLTextAreaElement} input
   * @param {{candidates: () => Mentionable[], people: import('./people.js').People, onInsert: () => void}} options
   */
  constructor(input, options) {
    this.#input = input;
    this.#options = options;
    input.setAttribute('aria-controls', ID);
    input.setAttribute('aria-autocomplete', 'list');
  }

  get isOpen() {
    return !this.element.hidden;
  }

  /** After each change of the text or the caret. */
  update() {
    const typed = mentionQuery(this.#input.value, this.#input.selectionStart);
    this.#shown = typed && document.activeElement === this.#input ? mentionMatches(this.#options.candidates(), typed.query) : [];
    this.#at = 0;
    this.#draw();
  }

  close() {
    this.#shown = [];
    this.#draw();
  }

  /** @param {KeyboardEvent} event @returns {boolean} it was for the menu */
  key({ key }) {
    if (!this.isOpen) return false;
    const step = { ArrowDown: 1, ArrowUp: -1 }[key];
    if (step) this.#at = (this.#at + step + this.#shown.length) % this.#shown.length;
    else if (key === 'Enter' || key === 'Tab') this.#choose(this.#shown[this.#at]);
    else if (key === 'Escape') this.#shown = [];
    else return false;
    this.#draw();
    return true;
  }

  /** @param {Mentionable} person */
  #choose(person) {
    const { value, selectionStart } = this.#input;
    const typed = mentionQuery(value, selectionStart);
    this.#shown = [];
    if (!typed) return;
    const { text, caret } = insertMention(value, typed, selectionStart, person.names[0]);
    this.#input.value = text;
    this.#input.setSelectionRange(caret, caret);
    this.#input.focus({ preventScroll: true });
    this.#options.onInsert();
  }

  #draw() {
    const isOpen = this.#shown.length > 0;
    this.element.hidden = !isOpen;
    if (isOpen) this.#input.setAttribute('aria-activedescendant', `${ID}-${this.#at}`);
    else this.#input.removeAttribute('aria-activedescendant');
    fill(
      this.element,
      this.#shown.map((person, at) =>
        h(
          'div',
          {
            class: 'person',
            role: 'option',
            id: `${ID}-${at}`,
            'aria-selected': String(at === this.#at),
            'data-testid': 'mention-option',
            // The field keeps the focus.
            onpointerdown: (/** @type {Event} */ event) => (event.preventDefault(), this.#choose(person), this.#draw()),
          },
          avatar(userFace(this.#options.people.get(person.userId))),
          h('strong', {}, person.names[0]),
          person.names[0] !== person.userId && h('span', { class: 'quiet' }, `@${person.userId}`),
        ),
      ),
    );
  }
}
