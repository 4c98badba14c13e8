import { Composer } from './composer.js';
import { confirmDialog } from './dialogs.js';
import { fill, h, iconButton, onceAFrame } from './dom.js';
import { plural, presenceText, reasonText, typingText } from './format.js';
import { MessageList } from './message-list.js';
import { avatarWithDot } from './people.js';
import { PinsBar } from './pins-bar.js';

/** Below this the details cover the conversation: the same as in details.css. */
const COVERED = '(width < 800px)';

/** The open conversation: who it is with, its pins and messages, who types, where to write, and its details at the side. */
export class ConversationView {
  #conversation;
  #app;
  #list;
  #composer;
  #pins;
  /** @type {import('./details.js').DetailsPane | null} */
  #details = null;
  #isClosed = false;
  #title = h('button', {
    type: 'button',
    class: 'conversation-title',
    'data-testid': 'conversation-title',
    'aria-expanded': 'false',
    onclick: () => void this.#toggleDetails(),
  });
  #info = iconButton('info', 'Details', () => void this.#toggleDetails(), { 'data-testid': 'details', 'aria-expanded': 'false' });
  #typing = h('div', { class: 'typing-line', role: 'status', 'data-testid': 'typing' });
  #obstacle = h('div', { class: 'obstacle', role: 'alert', hidden: true, 'data-testid': 'obstacle' });
  #main;
  #stops;

  /** @param {import('../sdk/conversation.js').Conversation} conversation @param {import('./main.js').App} app */
  constructor(conversation, app) {
    this.#conversation = conversation;
    this.#app = app;
    this.#list = new MessageList(conversation, app, {
      onEdit: (row) => this.#composer.edit(row),
      onReply: (row) => this.#composer.reply(row),
      onDelete: (row) => void this.#delete(row),
      onEscape: () => this.#composer.focus(),
    });
    this.#pins = new PinsBar(conversation, app, {
      onJump: (seq) => void this.#list.jumpTo(seq),
      mayPin: () => this.#list.drawing.mayPin(),
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
      this.#info,
    );
    this.#main = h(
      'div',
      { class: 'conversation-main' },
      header,
      this.#pins.element,
      this.#list.element,
      this.#typing,
      this.#obstacle,
      this.#composer.element,
    );
    this.element = h(
      'main',
      { class: 'conversation', 'data-testid': 'conversation', 'data-conversation-id': conversation.id },
      this.#main,
    );
    const draw = onceAFrame(() => this.#draw());
    const narrow = matchMedia(COVERED);
    const cover = () => this.#cover();
    narrow.addEventListener('change', cover);
    this.#stops = [
      () => narrow.removeEventListener('change', cover),
      app.chat.on('change', (changed) => (!changed || changed === conversation) && draw()),
      app.chat.on('state', draw),
      app.chat.on('presence', draw),
      app.on('troubled', draw),
      app.chat.on('removed', (removed) => removed === conversation && this.#removed()),
      app.chat.presence.watch(conversation.isDirect ? [conversation.details.peerUserId ?? ''] : []),
    ];
    this.#draw();
  }

  /** Only where the keyboard does not cover half of the screen. */
  focus() {
    if (matchMedia('(hover: hover)').matches) this.#composer.focus();
  }

  close() {
    this.#isClosed = true;
    for (const stop of this.#stops) stop();
    this.#composer.close();
    this.#list.close();
    this.#details?.close();
  }

  #draw() {
    if (this.#conversation.isRemoved) return;
    this.#drawTitle();
    this.#drawTyping();
    this.#drawObstacle();
    this.#pins.draw();
    this.#composer.draw();
  }

  #drawTitle() {
    const face = this.#app.people.faceOf(this.#conversation);
    const { memberCount, peerUserId = '' } = this.#conversation.details;
    const { isDirect } = this.#conversation;
    const presence = this.#app.presenceOf(isDirect ? peerUserId : '');
    const id = face.name === peerUserId ? '' : `@${peerUserId}`;
    const below = isDirect ? presenceText(presence, Date.now()) || id : plural(memberCount ?? 1, 'member');
    const wanted = JSON.stringify([face, below, presence]);
    if (this.#title.dataset.drawn === wanted) return;
    this.#title.dataset.drawn = wanted;
    fill(
      this.#title,
      avatarWithDot(face, 'medium', presence.status),
      h('span', { class: 'two-lines' }, h('strong', {}, face.name), h('span', { 'data-testid': 'subtitle' }, below)),
    );
  }

  #drawTyping() {
    const { userIds } = this.#conversation.typists;
    const text = typingText(userIds.map((userId) => this.#app.people.name(userId)));
    if (this.#typing.textContent === text) return;
    fill(this.#typing, text && h('span', { class: 'typing-dots', 'aria-hidden': 'true' }, h('i'), h('i'), h('i')), text);
  }

  /** A reaction or a pin has no row where it could say that it holds up what comes after it. */
  #drawObstacle() {
    const { outbox } = this.#app.chat;
    const item = this.#conversation.outgoing().find(({ state, isRejected }) => state === 'failed' && !isRejected);
    const isShown = item !== undefined && !['send', 'edit', 'delete'].includes(item.kind);
    this.#obstacle.hidden = !isShown;
    if (!item || !isShown || this.#obstacle.dataset.id === item.id) return;
    this.#obstacle.dataset.id = item.id;
    const what = item.kind === 'pin' || item.kind === 'unpin' ? 'A pin' : 'A reaction';
    fill(
      this.#obstacle,
      `${what} could not be saved: ${reasonText(item.reason)}. `,
      h('button', { type: 'button', class: 'text-button', onclick: () => outbox.retry(item) }, 'Retry'),
      h('button', { type: 'button', class: 'text-button', onclick: () => outbox.discard(item) }, 'Discard'),
    );
  }

  #removed() {
    this.#details?.close();
    this.#details = null;
    this.element.classList.remove('has-details');
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

  async #toggleDetails() {
    if (this.#details) {
      const hadFocus = this.#details.element.contains(document.activeElement);
      this.#details.close();
      this.#details.element.remove();
      this.#details = null;
      this.#cover();
      if (hadFocus) this.#info.focus();
    } else {
      const { DetailsPane } = await import('./details.js');
      // Two quick presses, or gone meanwhile.
      if (this.#details || this.#isClosed || this.#conversation.isRemoved) return;
      this.#details = new DetailsPane(this.#conversation, this.#app, () => void this.#toggleDetails());
      this.element.append(this.#details.element);
      this.#cover();
    }
    this.element.classList.toggle('has-details', this.#details !== null);
    for (const button of [this.#title, this.#info]) button.setAttribute('aria-expanded', String(this.#details !== null));
  }

  /** What the details cover is out of reach. */
  #cover() {
    this.#main.inert = this.#details !== null && matchMedia(COVERED).matches;
    if (this.#main.inert && this.#details && !this.#details.element.contains(document.activeElement)) this.#details.focus();
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
