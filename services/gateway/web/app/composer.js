import { fill, h, icon, iconButton, setProps } from './dom.js';
import { membersOf } from './members.js';
import { MentionMenu } from './mention-menu.js';
import { mentionedIn } from './mentions.js';
import { utf8Length } from '../sdk/wire.js';

/** @typedef {import('./rows.js').MessageRow} MessageRow */

const HEIGHT_PX_MAX = 200;
const MENTIONS_MAX = 50;
const PLACEHOLDER_MAX = 28;

/** What was written and not sent, by conversation. @type {Map<string, string>} */
const drafts = new Map();

/** Where messages are written, answered and edited. */
export class Composer {
  /** @type {MessageRow | null} */
  #editing = null;
  /** @type {MessageRow | null} */
  #replying = null;
  /** @type {string[]} */
  #candidates = [];
  #conversation;
  #app;
  #options;
  #input = h('textarea', { rows: 1, 'data-testid': 'composer', 'aria-describedby': 'composer-hint', enterKeyHint: 'send' });
  #send = iconButton('send', 'Send', () => this.#submit(), { class: 'send-button', 'data-testid': 'send' });
  #hint = h('div', { class: 'composer-hint', id: 'composer-hint', 'data-testid': 'composer-hint' });
  #banner = h('div', { class: 'composer-banner', hidden: true });
  #mentions;

  /**
   * @param {import('../sdk/conversation.js').Conversation} conversation
   * @param {import('./main.js').App} app
   * @param {{onSent: () => void, onEditLast: () => void}} options
   */
  constructor(conversation, app, options) {
    this.#conversation = conversation;
    this.#app = app;
    this.#options = options;
    this.#mentions = new MentionMenu(this.#input, {
      candidates: () => (this.#loadCandidates(), this.#mentionable(this.#candidates)),
      people: app.people,
      onInsert: () => this.#changed(),
    });
    setProps(this.#input, {
      oninput: () => this.#typed(),
      onclick: () => this.#mentions.update(),
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.#key(event),
      onblur: () => (this.#mentions.close(), conversation.typing(false)),
    });
    this.#input.value = drafts.get(conversation.id) ?? '';
    this.element = h(
      'form',
      { class: 'composer', onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), this.#submit()) },
      this.#mentions.element,
      this.#banner,
      h('div', { class: 'composer-box' }, this.#input, this.#send),
      this.#hint,
    );
    this.draw();
  }

  draw() {
    const { name } = this.#app.people.faceOf(this.#conversation);
    const label = `Message ${name}`;
    // A text area does not shorten it by itself.
    const placeholder = [...label].length > PLACEHOLDER_MAX ? `${[...label].slice(0, PLACEHOLDER_MAX).join('')}…` : label;
    if (this.#input.ariaLabel !== label) setProps(this.#input, { placeholder, 'aria-label': label });
    // Nothing of a deleted message stays on the page.
    const about = this.#editing ?? this.#replying;
    if (about?.messageId && this.#conversation.quotes.get(about.messageId)?.deleted) this.#stop();
    this.#changed();
  }

  focus() {
    this.#input.focus({ preventScroll: true });
  }

  close() {
    this.#conversation.typing(false);
  }

  /** @param {MessageRow} row */
  edit(row) {
    if (!this.#editing) drafts.set(this.#conversation.id, this.#input.value);
    this.#replying = null;
    this.#editing = row;
    this.#setText(row.text);
    this.#input.setSelectionRange(row.text.length, row.text.length);
    this.focus();
  }

  /** @param {MessageRow} row */
  reply(row) {
    if (this.#editing) this.#stop();
    this.#replying = row;
    this.#drawBanner();
    this.focus();
  }

  /** Ends editing or answering. What was written before is there again. */
  #stop() {
    const wasEditing = this.#editing !== null;
    this.#editing = this.#replying = null;
    if (wasEditing) this.#setText(drafts.get(this.#conversation.id) ?? '');
    this.#drawBanner();
    this.focus();
  }

  /** @param {string} text */
  #setText(text) {
    this.#input.value = text;
    this.#drawBanner();
    this.#changed();
  }

  #drawBanner() {
    const row = this.#editing ?? this.#replying;
    this.#banner.hidden = !row;
    // Also a hidden one keeps nothing of a message that may be deleted.
    if (!row) return fill(this.#banner);
    this.#banner.dataset.testid = this.#editing ? 'editing' : 'replying';
    const title = this.#editing ? 'Editing message' : `Reply to ${this.#app.people.nameOrYou(row.senderUserId)}`;
    fill(
      this.#banner,
      icon(this.#editing ? 'edit' : 'reply'),
      h('span', { class: 'two-lines' }, h('strong', {}, title), h('span', {}, row.text.slice(0, 200))),
      iconButton('close', this.#editing ? 'Cancel editing' : 'Cancel reply', () => this.#stop()),
    );
  }

  #typed() {
    this.#changed();
    this.#mentions.update();
    if (!this.#editing) this.#conversation.typing(this.#input.value.trim() !== '');
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
            ? 'What you write will be sent later.'
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
    if (this.#mentions.key(event)) void 0;
    else if (event.key === 'Enter' && !event.shiftKey) this.#submit();
    else if (event.key === 'Escape' && (this.#editing || this.#replying)) this.#stop();
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
      return this.#stop();
    }
    const replyToMessageId = this.#replying?.messageId;
    const mentionedUserIds = this.#mentioned(text);
    this.#conversation.send(text, {
      ...(replyToMessageId && { replyToMessageId }),
      ...(mentionedUserIds.length > 0 && { mentionedUserIds }),
    });
    this.#replying = null;
    this.#setText('');
    this.focus();
    this.#options.onSent();
  }

  /** @param {MessageRow} row @param {string} text */
  #saveEdit({ messageId, change, text: before }, text) {
    if (text === before) return;
    if (messageId) this.#conversation.edit(messageId, text, this.#mentioned(text));
    else if (change) this.#app.chat.outbox.edit(change, text, this.#mentioned(text));
  }

  /** @param {string} text */
  #mentioned(text) {
    if (!text.includes('@')) return [];
    const { mentionedUserIds = [] } = this.#editing ?? {};
    const people = this.#mentionable([...this.#candidates, ...mentionedUserIds]);
    return [...new Set(mentionedIn(text, people))].slice(0, MENTIONS_MAX);
  }

  /** By all their names: one that was written before the profile came still counts. @param {string[]} userIds */
  #mentionable(userIds) {
    return userIds.map((userId) => ({ userId, names: this.#app.people.names(userId) }));
  }

  /** Members, without oneself. Those of a group come when the first `@` is typed. */
  #loadCandidates() {
    const { chat } = this.#app;
    const take = (/** @type {string[]} */ userIds) => {
      const isNew = this.#candidates.length === 0;
      this.#candidates = userIds.filter((id) => id !== chat.userId);
      if (isNew && this.#candidates.length > 0) this.#mentions.update();
    };
    const { isDirect, details } = this.#conversation;
    if (isDirect) return take([details.peerUserId ?? '']);
    void membersOf(this.#conversation, chat).then(
      (members) => take(members.map(({ userId }) => userId)),
      () => {},
    );
  }
}
