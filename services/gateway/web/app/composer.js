import { h, icon, iconButton, setProps } from './dom.js';
import { utf8Length } from '../sdk/wire.js';

/** @typedef {import('./rows.js').MessageRow} MessageRow */

const HEIGHT_PX_MAX = 200;

/** What was written and not sent, by conversation. @type {Map<string, string>} */
const drafts = new Map();

/** Where messages are written, and edited. */
export class Composer {
  /** @type {MessageRow | null} */
  #editing = null;
  #conversation;
  #app;
  #options;
  #input = h('textarea', { rows: 1, 'data-testid': 'composer', 'aria-describedby': 'composer-hint', enterKeyHint: 'send' });
  #send = iconButton('send', 'Send', () => this.#submit(), { class: 'send-button', 'data-testid': 'send' });
  #hint = h('div', { class: 'composer-hint', id: 'composer-hint', 'data-testid': 'composer-hint' });
  #banner = h(
    'div',
    { class: 'editing-banner', hidden: true, 'data-testid': 'editing' },
    icon('edit'),
    h('span', {}, 'Editing message'),
    h('span', { class: 'grow' }),
    iconButton('close', 'Cancel editing', () => this.#stopEditing()),
  );

  /**
   * @param {import('../sdk/conversation.js').Conversation} conversation
   * @param {import('./main.js').App} app
   * @param {{onSent: () => void, onEditLast: () => void}} options
   */
  constructor(conversation, app, options) {
    this.#conversation = conversation;
    this.#app = app;
    this.#options = options;
    setProps(this.#input, {
      oninput: () => this.#changed(),
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.#key(event),
    });
    this.#input.value = drafts.get(conversation.id) ?? '';
    this.element = h(
      'form',
      { class: 'composer', onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), this.#submit()) },
      this.#banner,
      h('div', { class: 'composer-box' }, this.#input, this.#send),
      this.#hint,
    );
    this.draw();
  }

  draw() {
    const { name } = this.#app.people.faceOf(this.#conversation);
    const label = `Message ${name}`;
    if (this.#input.placeholder !== label) setProps(this.#input, { placeholder: label, 'aria-label': label });
    this.#changed();
  }

  focus() {
    this.#input.focus({ preventScroll: true });
  }

  /** @param {MessageRow} row */
  edit(row) {
    if (!this.#editing) drafts.set(this.#conversation.id, this.#input.value);
    this.#editing = row;
    this.#setText(row.text);
    this.#input.setSelectionRange(row.text.length, row.text.length);
    this.focus();
  }

  #stopEditing() {
    this.#editing = null;
    this.#setText(drafts.get(this.#conversation.id) ?? '');
    this.focus();
  }

  /** @param {string} text */
  #setText(text) {
    this.#input.value = text;
    this.#banner.hidden = !this.#editing;
    this.#changed();
  }

  #changed() {
    const text = this.#input.value;
    if (!this.#editing) drafts.set(this.#conversation.id, text);
    const left = this.#app.chat.limits.textBytesMax - utf8Length(text);
    const isOffline = this.#app.chat.state.name !== 'online';
    const hint =
      left < 0
        ? `${-left} bytes too long`
        : left < 500
          ? `${left} bytes left`
          : isOffline && this.#app.isTroubled
            ? 'No connection. What you write will be sent later.'
            : '';
    if (this.#hint.textContent !== hint) this.#hint.textContent = hint;
    this.#hint.classList.toggle('is-error', left < 0);
    this.#send.disabled = left < 0 || text.trim() === '';
    this.#send.setAttribute('aria-label', this.#editing ? 'Save' : 'Send');
    this.#input.style.height = 'auto';
    this.#input.style.height = `${Math.min(this.#input.scrollHeight, HEIGHT_PX_MAX)}px`;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.isComposing) return;
    if (event.key === 'Enter' && !event.shiftKey) this.#submit();
    else if (event.key === 'Escape' && this.#editing) this.#stopEditing();
    else if (event.key === 'ArrowUp' && this.#input.value === '' && !this.#editing) this.#options.onEditLast();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #submit() {
    const text = this.#input.value.trim();
    if (this.#send.disabled) return;
    if (this.#editing) {
      this.#saveEdit(this.#editing, text);
      return this.#stopEditing();
    }
    this.#conversation.send(text);
    this.#setText('');
    this.focus();
    this.#options.onSent();
  }

  /** @param {MessageRow} row @param {string} text */
  #saveEdit({ messageId, change, text: before }, text) {
    if (text === before) return;
    if (messageId) this.#conversation.edit(messageId, text);
    else if (change) this.#app.chat.outbox.edit(change, text);
  }
}
