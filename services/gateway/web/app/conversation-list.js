import { h, icon, keyedList, onceAFrame } from './dom.js';
import { listTime, plural, typingText } from './format.js';
import { avatarWithDot } from './people.js';

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
  #isArchive = false;
  /** Ends following the presence of those in sight. */
  #stopWatch = () => {};
  #watched = '';
  /** The row that has the focus: it stays, also out of sight. */
  #focusedId = '';
  #rows = h('div', { class: 'list-rows', role: 'list' });
  #empty = h('div', { class: 'list-empty', hidden: true });
  #archive = h('button', {
    type: 'button',
    class: 'archive-toggle',
    hidden: true,
    'data-testid': 'archive',
    onclick: () => this.#toggleArchive(),
  });
  #viewport;
  #show;

  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.#app = app;
    this.#viewport = h('div', { class: 'list-viewport', 'data-testid': 'conversation-list' }, this.#rows, this.#empty);
    this.element = h('div', { class: 'list-body' }, this.#archive, this.#viewport);
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
    this.#viewport.addEventListener('scroll', draw, { passive: true });
    this.#rows.addEventListener('keydown', (event) => this.#key(event));
    this.#rows.addEventListener('focusin', (event) => this.#focused(/** @type {HTMLElement} */ (event.target)));
    this.#rows.addEventListener('focusout', () => this.#focused(null));
    new ResizeObserver(draw).observe(this.#viewport);
    app.chat.on('change', draw);
    app.chat.on('state', draw);
    app.chat.on('presence', draw);
    app.on('opened', draw);
    app.on('troubled', draw);
  }

  /** Only those whose name contains this. @param {string} text */
  set filter(text) {
    this.#filter = text.trim().toLocaleLowerCase();
    this.#viewport.scrollTop = 0;
    this.draw();
  }

  #toggleArchive() {
    this.#isArchive = !this.#isArchive;
    this.#viewport.scrollTop = 0;
    this.draw();
  }

  draw() {
    this.#drawArchive();
    const all = this.#wanted();
    const { scrollTop, clientHeight } = this.#viewport;
    const first = Math.max(0, Math.floor(scrollTop / ROW_PX) - SPARE_ROWS);
    const last = Math.ceil((scrollTop + clientHeight) / ROW_PX) + SPARE_ROWS;
    this.#rows.style.height = `${all.length * ROW_PX}px`;
    this.#watch(all.slice(first, last));
    const places = all.slice(first, last).map((_, at) => first + at);
    const focused = this.#focusedId ? all.findIndex(({ id }) => id === this.#focusedId) : -1;
    if (focused >= 0 && focused < first) places.unshift(focused);
    if (focused >= last) places.push(focused);
    this.#show(
      places.map((at) => ({
        key: all[at].id,
        top: at * ROW_PX,
        conversation: all[at],
        signature: this.#signature(all[at], at, all.length),
      })),
    );
    this.#rove();
    this.#drawEmpty(all.length);
  }

  /** Puts the focus on a conversation, if it is in the list. @param {string} id */
  focus(id) {
    if (!this.#wanted().some((conversation) => conversation.id === id)) return;
    this.#focusedId = id;
    this.draw();
    this.#links().find((link) => link.dataset.conversationId === id)?.focus();
  }

  /** One row is the tab stop: the one that has the focus, or the open one, or the first. */
  #rove() {
    const links = this.#links();
    const of = (/** @type {string} */ wanted) => links.find((link) => link.dataset.conversationId === wanted);
    const stop = of(this.#focusedId) ?? of(this.#app.openId) ?? links[0];
    for (const link of links) link.tabIndex = link === stop ? 0 : -1;
  }

  /** @param {HTMLElement | null} target */
  #focused(target) {
    this.#focusedId = target?.dataset.conversationId ?? '';
    this.#rove();
  }

  #links() {
    return /** @type {HTMLElement[]} */ ([...this.#rows.querySelectorAll('.list-row')]);
  }

  /** Hidden as long as nothing is archived. */
  #drawArchive() {
    const count = this.#app.chat.conversations(true).length;
    if (count === 0) this.#isArchive = false;
    this.#archive.hidden = count === 0;
    const text = this.#isArchive ? 'Back to all conversations' : `Archived (${count})`;
    if (this.#archive.textContent !== text) this.#archive.replaceChildren(icon(this.#isArchive ? 'back' : 'archive'), text);
  }

  /** Follows the presence of those one would see. @param {Conversation[]} shown */
  #watch(shown) {
    const peers = shown.flatMap(({ isDirect, details }) => (isDirect && details.peerUserId ? [details.peerUserId] : []));
    const wanted = peers.sort().join('\n');
    if (this.#watched === wanted) return;
    this.#watched = wanted;
    const stop = this.#stopWatch;
    this.#stopWatch = this.#app.chat.presence.watch(peers);
    stop();
  }

  #wanted() {
    const all = this.#app.chat.conversations(this.#isArchive);
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
    const { lastMessage, unreadCount, isPinned, isDirect, isMuted, activityTime } = conversation;
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
      isMuted,
      this.#statusOf(conversation),
      this.#typing(conversation),
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
    const { unreadCount, isPinned, isMuted, activityTime } = conversation;
    const face = this.#app.people.faceOf(conversation);
    const time = listTime(activityTime, Date.now());
    const isOpen = this.#app.openId === conversation.id;
    element.style.transform = `translateY(${top}px)`;
    element.setAttribute('aria-posinset', String(top / ROW_PX + 1));
    element.setAttribute('aria-setsize', String(this.#app.chat.conversations(this.#isArchive).length));
    const link = /** @type {HTMLElement} */ (element.firstElementChild);
    link.classList.toggle('is-unread', unreadCount > 0);
    if (isOpen) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
    link.dataset.unread = String(unreadCount);
    link.replaceChildren(
      avatarWithDot(face, 'wide', this.#statusOf(conversation)),
      h('span', { class: 'list-name' }, face.name),
      h('span', { class: 'list-time' }, isMuted && icon('mute'), isPinned && icon('pin'), time),
      h('span', { class: 'list-preview', 'data-testid': 'preview' }, ...this.#preview(conversation)),
      unreadCount > 0
        ? h(
            'span',
            {
              class: `badge ${isMuted ? 'is-quiet' : ''}`,
              'data-testid': 'unread',
              'aria-label': `${plural(unreadCount, 'unread message')}`,
            },
            unreadCount > 999 ? '999+' : unreadCount,
          )
        : '',
    );
  }

  /** @param {Conversation} conversation */
  #statusOf({ isDirect, details }) {
    return isDirect ? this.#app.presenceOf(details.peerUserId ?? '').status : '';
  }

  /** @param {Conversation} conversation */
  #typing({ isDirect, typists }) {
    const { people } = this.#app;
    return isDirect && typists.userIds.length > 0 ? 'typing…' : typingText(typists.userIds.map((userId) => people.name(userId)));
  }

  /** @param {Conversation} conversation @returns {(Node | string)[]} */
  #preview(conversation) {
    const typing = this.#typing(conversation);
    if (typing) return [h('span', { class: 'list-typing' }, typing)];
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
    const all = this.#wanted();
    const at = all.findIndex(({ id }) => id === this.#focusedId);
    const wanted = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (at < 0 || wanted === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (all[wanted]) this.focus(all[wanted].id);
  }
}
