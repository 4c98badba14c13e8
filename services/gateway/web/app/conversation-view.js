import { Composer } from './composer.js';
import { confirmDialog } from './dialogs.js';
import { DetailsPane } from './details.js';
import { fill, h, iconButton, onceAFrame } from './dom.js';
import { MessageList } from './message-list.js';
import { avatar } from './people.js';
import { plural } from './format.js';

/** The open conversation: who it is with, its messages, where to write, and its details at the side. */
export class ConversationView {
  #conversation;
  #app;
  #list;
  #composer;
  /** @type {DetailsPane | null} */
  #details = null;
  #title = h('button', {
    type: 'button',
    class: 'conversation-title',
    'data-testid': 'conversation-title',
    onclick: () => this.#toggleDetails(),
  });
  #main;
  #stops;

  /** @param {import('../sdk/conversation.js').Conversation} conversation @param {import('./main.js').App} app */
  constructor(conversation, app) {
    this.#conversation = conversation;
    this.#app = app;
    this.#list = new MessageList(conversation, app, {
      onEdit: (row) => this.#composer.edit(row),
      onDelete: (row) => void this.#delete(row),
      onEscape: () => this.#composer.focus(),
    });
    this.#composer = new Composer(conversation, app, {
      onSent: () => this.#list.jumpToEnd(),
      onEditLast: () => this.#editLast(),
    });
    const header = h(
      'header',
      { class: 'conversation-header' },
      iconButton('back', 'Back to the list', () => app.open(''), { class: 'icon-button back', 'data-testid': 'back' }),
      this.#title,
      iconButton('info', 'Details', () => this.#toggleDetails(), { 'data-testid': 'details' }),
    );
    this.#main = h('div', { class: 'conversation-main' }, header, this.#list.element, this.#composer.element);
    this.element = h(
      'main',
      { class: 'conversation', 'data-testid': 'conversation', 'data-conversation-id': conversation.id },
      this.#main,
    );
    const draw = onceAFrame(() => this.#draw());
    this.#stops = [
      app.chat.on('change', (changed) => (!changed || changed === conversation) && draw()),
      app.chat.on('state', draw),
      app.on('troubled', draw),
      app.chat.on('removed', (removed) => removed === conversation && this.#removed()),
    ];
    this.#draw();
  }

  /** Only where the keyboard does not cover half of the screen. */
  focus() {
    if (matchMedia('(hover: hover)').matches) this.#composer.focus();
  }

  close() {
    for (const stop of this.#stops) stop();
    this.#list.close();
    this.#details?.close();
  }

  #draw() {
    if (this.#conversation.isRemoved) return;
    const face = this.#app.people.faceOf(this.#conversation);
    const { memberCount, peerUserId = '' } = this.#conversation.details;
    const below = this.#conversation.isDirect
      ? face.name === peerUserId
        ? ''
        : `@${peerUserId}`
      : plural(memberCount ?? 1, 'member');
    const wanted = JSON.stringify([face, below]);
    if (this.#title.dataset.drawn !== wanted) {
      this.#title.dataset.drawn = wanted;
      fill(
        this.#title,
        avatar(face, 'medium'),
        h('span', { class: 'two-lines' }, h('strong', {}, face.name), h('span', {}, below)),
      );
    }
    this.#composer.draw();
  }

  #removed() {
    this.#details?.close();
    this.#details = null;
    fill(
      this.element,
      h(
        'div',
        { class: 'empty', 'data-testid': 'removed' },
        h('h2', {}, 'You are no longer in this conversation'),
        h('p', {}, 'Its messages cannot be read any more.'),
        h('button', { type: 'button', class: 'button', onclick: () => this.#app.open('') }, 'Close'),
      ),
    );
  }

  #toggleDetails() {
    if (this.#details) {
      this.#details.close();
      this.#details.element.remove();
      this.#details = null;
    } else {
      this.#details = new DetailsPane(this.#conversation, this.#app, () => this.#toggleDetails());
      this.element.append(this.#details.element);
    }
    this.element.classList.toggle('has-details', this.#details !== null);
  }

  #editLast() {
    const row = this.#list.lastEditable();
    if (row) this.#composer.edit(row);
  }

  /** @param {import('./rows.js').MessageRow} row */
  async #delete(row) {
    const isSure = await confirmDialog({
      title: 'Delete this message?',
      text: 'It disappears for everyone in this conversation. This cannot be undone.',
      action: 'Delete',
    });
    if (isSure) this.#conversation.delete(row.messageId);
    this.#composer.focus();
  }
}
