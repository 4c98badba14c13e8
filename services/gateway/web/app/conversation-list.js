import { h, icon, keyedList, onceAFrame } from './dom.js';
import { listTime, plural } from './format.js';
import { avatar } from './people.js';

/** @typedef {import('../sdk/conversation.js').Conversation} Conversation */
/** @typedef {{key: string, top: number, conversation: Conversation, signature: string}} ListRow */

/** The same as `--row-height` in shell.css. */
const ROW_PX = 68;
/** Rows beyond the edges, so that a quick scroll finds them there. */
const SPARE_ROWS = 8;

/** All conversations. Thousands are no matter: rows have one height and stand at computed places, and only those in sight exist. */
export class ConversationList {
  #app;
  #filter = '';
  #rows = h('div', { class: 'list-rows', role: 'list' });
  #empty = h('div', { class: 'list-empty', hidden: true });
  #show;

  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.#app = app;
    this.element = h('div', { class: 'list-viewport', 'data-testid': 'conversation-list' }, this.#rows, this.#empty);
    this.#show = keyedList(this.#rows, {
      create: (/** @type {ListRow} */ row) =>
        h(
          'div',
          { role: 'listitem', class: 'list-item' },
          h('a', {
            class: 'list-row',
            href: `#/c/${row.key}`,
            'data-testid': 'conversation-row',
            'data-conversation-id': row.key,
          }),
        ),
      draw: (element, row) => this.#drawRow(element, row),
      signature: (row) => row.signature,
    });
    const draw = onceAFrame(() => this.draw());
    this.element.addEventListener('scroll', draw, { passive: true });
    this.#rows.addEventListener('keydown', (event) => this.#key(event));
    new ResizeObserver(draw).observe(this.element);
    app.chat.on('change', draw);
    app.chat.on('state', draw);
    app.on('opened', draw);
  }

  /** Only those whose name contains this. @param {string} text */
  set filter(text) {
    this.#filter = text.trim().toLocaleLowerCase();
    this.element.scrollTop = 0;
    this.draw();
  }

  draw() {
    const all = this.#wanted();
    const { scrollTop, clientHeight } = this.element;
    const first = Math.max(0, Math.floor(scrollTop / ROW_PX) - SPARE_ROWS);
    const last = Math.ceil((scrollTop + clientHeight) / ROW_PX) + SPARE_ROWS;
    this.#rows.style.height = `${all.length * ROW_PX}px`;
    this.#show(
      all
        .slice(first, last)
        .map((conversation, at) => ({
          key: conversation.id,
          top: (first + at) * ROW_PX,
          conversation,
          signature: this.#signature(conversation, first + at, all.length),
        })),
    );
    this.#drawEmpty(all.length);
  }

  #wanted() {
    const all = this.#app.chat.conversations();
    if (!this.#filter) return all;
    return all.filter((conversation) => this.#app.people.faceOf(conversation).name.toLocaleLowerCase().includes(this.#filter));
  }

  /** @param {number} count */
  #drawEmpty(count) {
    this.#empty.hidden = count > 0;
    if (count > 0) return;
    const { chat } = this.#app;
    if (!chat.isListed) {
      if (!this.#empty.querySelector('.skeleton-row'))
        this.#empty.replaceChildren(
          ...Array.from({ length: 6 }, () =>
            h('div', { class: 'skeleton-row' }, h('span', { class: 'skeleton-avatar' }), h('span', { class: 'skeleton-text' })),
          ),
        );
    } else {
      this.#empty.replaceChildren(
        this.#filter
          ? h('p', {}, 'No conversation by this name.')
          : h('div', { class: 'empty' }, h('h2', {}, 'No conversations yet'), h('p', {}, 'Start one with the button above.')),
      );
    }
  }

  /** @param {Conversation} conversation @param {number} at @param {number} count */
  #signature(conversation, at, count) {
    const { lastMessage, unreadCount, isPinned, isDirect, activityTime } = conversation;
    const waiting = conversation.outgoing().findLast(({ kind, seq }) => kind === 'send' && seq === 0);
    const face = this.#app.people.faceOf(conversation);
    const sender = lastMessage ? this.#app.people.nameOrYou(lastMessage.senderUserId) : '';
    const isOpen = this.#app.openId === conversation.id;
    return JSON.stringify([
      face,
      lastMessage,
      sender,
      unreadCount,
      isPinned,
      isDirect,
      waiting?.state,
      waiting?.text,
      isOpen,
      listTime(activityTime, Date.now()),
      at,
      count,
    ]);
  }

  /** @param {HTMLElement} element @param {ListRow} row */
  #drawRow(element, { conversation, top }) {
    const { unreadCount, isPinned, activityTime } = conversation;
    const face = this.#app.people.faceOf(conversation);
    const time = listTime(activityTime, Date.now());
    const isOpen = this.#app.openId === conversation.id;
    element.style.transform = `translateY(${top}px)`;
    element.setAttribute('aria-posinset', String(top / ROW_PX + 1));
    element.setAttribute('aria-setsize', String(this.#app.chat.conversations().length));
    const link = /** @type {HTMLElement} */ (element.firstElementChild);
    link.classList.toggle('is-unread', unreadCount > 0);
    if (isOpen) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
    link.dataset.unread = String(unreadCount);
    link.replaceChildren(
      avatar(face, 'wide'),
      h('span', { class: 'list-name' }, face.name),
      h('span', { class: 'list-time' }, isPinned && icon('pin'), time),
      h('span', { class: 'list-preview', 'data-testid': 'preview' }, ...this.#preview(conversation)),
      unreadCount > 0
        ? h(
            'span',
            { class: 'badge', 'data-testid': 'unread', 'aria-label': `${plural(unreadCount, 'unread message')}` },
            unreadCount > 999 ? '999+' : unreadCount,
          )
        : '',
    );
  }

  /** @param {Conversation} conversation @returns {(Node | string)[]} */
  #preview(conversation) {
    const waiting = conversation.outgoing().findLast(({ kind, seq }) => kind === 'send' && seq === 0);
    if (waiting) return [icon(waiting.state === 'failed' ? 'warning' : 'clock'), `You: ${waiting.text}`];
    const { lastMessage, isDirect } = conversation;
    if (!lastMessage) return [isDirect ? 'No messages yet' : 'Group created'];
    const name = this.#app.people.nameOrYou(lastMessage.senderUserId);
    const text = lastMessage.deleted ? h('em', {}, 'Message deleted') : lastMessage.text.slice(0, 200);
    return isDirect && name !== 'You' ? [text] : [`${name.split(' ')[0]}: `, text];
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const item = /** @type {HTMLElement} */ (event.target).closest('.list-item');
    if (!step || !item) return;
    event.preventDefault();
    const wanted = Number(item.getAttribute('aria-posinset')) + step;
    const link = /** @type {HTMLElement | null} */ (this.#rows.querySelector(`[aria-posinset="${wanted}"] > a`));
    link?.focus();
  }
}
