import { Announcer } from './announcer.js';
import { avatar } from './people.js';
import { fill, h, icon, keyedList, onceAFrame } from './dom.js';
import { plural, reasonText } from './format.js';
import { canDelete, canEdit, canPin, hasFailed, isStored } from './message-actions.js';
import { rowDrawing } from './message-row.js';
import { rowsOf } from './rows.js';
import { Scroller } from './scroll.js';

/** @typedef {import('./rows.js').MessageRow} MessageRow */

/** More unread than this are opened at the first of them, else at the newest page. */
const UNREAD_ON_PAGE = 40;
const READ_AFTER_MS = 250;
const REACT_BUTTON = '[data-testid=react]';
const MARKED_MS = 2_000;

/** The messages of one conversation: rows, scrolling, the unread divider, reading, and the keys. */
export class MessageList {
  #conversation;
  #app;
  #handlers;
  #scroller;
  #show;
  #older = h('div', { class: 'loading-line', hidden: true }, 'Loading…');
  #start = h('div', { class: 'conversation-start', hidden: true });
  #rows = h('div', { class: 'rows', role: 'feed', 'aria-busy': 'true', 'aria-label': 'Messages' });
  #notice = h('div', { class: 'list-notice', hidden: true });
  #viewport = h('div', { class: 'messages', 'data-testid': 'messages' });
  #jump = h('button', { type: 'button', class: 'jump', hidden: true, 'data-testid': 'jump', onclick: () => this.jumpToEnd() });
  #announcer = new Announcer();
  /** @type {MessageRow[]} */
  #messageRows = [];
  /** Messages after this seq were unread on opening; null: none were. @type {number | null} */
  #unreadAfterSeq = null;
  #isPlaced = false;
  #focusedKey = '';
  #stops;
  #isReadQueued = false;

  /**
   * @param {import('../sdk/conversation.js').Conversation} conversation
   * @param {import('./main.js').App} app
   * @param {{onEdit: (row: MessageRow) => void, onReply: (row: MessageRow) => void, onDelete: (row: MessageRow) => void, onEscape: () => void}} handlers
   */
  constructor(conversation, app, handlers) {
    this.#conversation = conversation;
    this.#app = app;
    this.#handlers = handlers;
    const { chat, people } = app;
    this.drawing = {
      people,
      ...handlers,
      isOnline: () => chat.state.name === 'online',
      isAdmin: () => ['ROLE_OWNER', 'ROLE_ADMIN'].includes(conversation.details.role ?? '') && !conversation.isDirect,
      ownUserId: () => chat.userId,
      mayPin: () => conversation.isDirect || this.drawing.isAdmin(),
      onPin: (/** @type {MessageRow} */ row) =>
        row.isPinned ? conversation.unpin(row.messageId) : conversation.pin(row.messageId),
      onReact: (/** @type {MessageRow} */ row, /** @type {string} */ emoji) => this.#react(row, emoji),
      onJump: (/** @type {number} */ seq) => void this.jumpTo(seq),
      onRetry: (/** @type {MessageRow} */ row) => row.change && chat.outbox.retry(row.change),
      onDiscard: (/** @type {MessageRow} */ row) => row.change && chat.outbox.discard(row.change),
    };
    this.#show = keyedList(this.#rows, rowDrawing(this.drawing));
    this.#viewport.append(h('div', { class: 'messages-inner' }, this.#start, this.#older, this.#rows, this.#notice));
    this.element = h('div', { class: 'messages-pane' }, this.#viewport, this.#jump, this.#announcer.element);
    this.#scroller = new Scroller(this.#viewport, this.#rows, {
      isAnchor: (row) => row.classList.contains('message'),
      isAtEnd: () => conversation.history.isAtEnd,
      onMove: () => this.#moved(),
      onNearTop: () => void conversation.history.loadOlder(),
      onNearBottom: () => void conversation.history.loadNewer(),
    });
    this.#viewport.addEventListener('keydown', (event) => this.#key(event));
    this.#rows.addEventListener('focusin', (event) => this.#focused(/** @type {HTMLElement} */ (event.target)));
    this.#rows.addEventListener(
      'focusout',
      (event) => this.#rows.contains(/** @type {Node | null} */ (event.relatedTarget)) || this.#focused(null),
    );
    const draw = onceAFrame(() => this.#draw());
    const read = () => this.#readSoon();
    document.addEventListener('visibilitychange', read);
    this.#stops = [
      chat.on('change', (changed) => (!changed || changed === conversation) && draw()),
      chat.on('state', draw),
      chat.on('entry', (changed, entry) => changed === conversation && this.#speak(entry)),
      () => document.removeEventListener('visibilitychange', read),
    ];
    this.#open();
  }

  /** Lets go of everything. */
  close() {
    for (const stop of this.#stops) stop();
    this.#announcer.close();
    this.#conversation.closeHistory();
  }

  jumpToEnd() {
    const { history } = this.#conversation;
    history.follows = true;
    if (!history.isAtEnd) void history.open();
    this.#scroller.toBottom();
  }

  /** Shows the message at a seq, wherever that is, and marks it for a moment. @param {number} seq */
  async jumpTo(seq) {
    const { history } = this.#conversation;
    const find = () => /** @type {HTMLElement | null} */ (this.#rows.querySelector(`article[data-seq="${seq}"]`));
    if (!find()) {
      history.follows = false;
      await history.open(seq);
      this.#draw();
    }
    const row = find();
    if (!row) return;
    this.#scroller.reveal(row, 0.3);
    row.focus({ preventScroll: true });
    row.classList.add('is-marked');
    setTimeout(() => row.classList.remove('is-marked'), MARKED_MS);
  }

  /** The newest own message that can be edited. */
  lastEditable() {
    return this.#messageRows.findLast((row) => canEdit(row)) ?? null;
  }

  /** @param {MessageRow} row @param {string} emoji */
  #react({ messageId, reactions }, emoji) {
    const isGiven = reactions.some((reaction) => reaction.emoji === emoji && reaction.reacted);
    if (isGiven) this.#conversation.unreact(messageId, emoji);
    else this.#conversation.react(messageId, emoji);
  }

  #open() {
    const conversation = this.#conversation;
    if (conversation.unreadCount > 0) this.#unreadAfterSeq = conversation.readSeq;
    void conversation.history.open(conversation.unreadCount > UNREAD_ON_PAGE ? conversation.readSeq : 0);
    if (conversation.isDirect) conversation.loadPositions().catch(() => {});
    this.#draw();
  }

  #draw() {
    const { history } = this.#conversation;
    const rows = history.isOpen
      ? rowsOf(this.#conversation, { userId: this.#app.chat.userId, unreadAfterSeq: this.#unreadAfterSeq })
      : [];
    this.#messageRows = rows.filter((row) => row.kind === 'message');
    this.#scroller.update(() => {
      const focusedAt = this.#articles().findIndex((article) => article.contains(document.activeElement));
      this.#show(rows);
      // A message that is gone leaves the focus to the one in its place.
      const next = this.#articles();
      if (focusedAt >= 0 && !this.#rows.contains(document.activeElement))
        next[Math.min(focusedAt, next.length - 1)]?.focus({ preventScroll: true });
      this.#older.hidden = !history.isOpen || history.isAtStart;
      this.#drawStart(history);
      this.#drawNotice(history);
      this.#rove();
      this.#number();
    });
    this.#rows.setAttribute('aria-busy', String(!history.isOpen || history.isLoadingOlder || history.isLoadingNewer));
    if (history.isOpen && !this.#isPlaced) this.#place();
    this.#drawJump();
    this.#readSoon();
  }

  /** Once, on opening: at the first unread message, else at the bottom. */
  #place() {
    this.#isPlaced = true;
    const divider = this.#rows.querySelector('.unread-line');
    if (divider) this.#scroller.reveal(divider, 0.25);
    else this.#scroller.toBottom();
  }

  /** @param {import('../sdk/history.js').History} history */
  #drawStart(history) {
    this.#start.hidden = !history.isAtStart;
    if (this.#start.hidden) return;
    const { isDirect, details } = this.#conversation;
    const face = this.#app.people.faceOf(this.#conversation);
    const isEmpty = this.#messageRows.length === 0;
    const wanted = JSON.stringify([face, details.memberCount, isEmpty]);
    if (this.#start.dataset.drawn === wanted) return;
    this.#start.dataset.drawn = wanted;
    const text = isDirect
      ? `This is the beginning of your conversation with ${face.name}.`
      : `This is the beginning of the group. ${plural(details.memberCount ?? 1, 'person is', 'people are')} in it.`;
    fill(
      this.#start,
      avatar(face, 'large'),
      h('h2', {}, face.name),
      h('p', {}, text),
      isEmpty && h('p', { class: 'greeting' }, 'Say hello 👋'),
    );
  }

  /** @param {import('../sdk/history.js').History} history */
  #drawNotice(history) {
    this.#notice.hidden = history.isOpen && !history.error;
    if (this.#notice.hidden) return;
    if (history.error) {
      const retry = h('button', { type: 'button', class: 'text-button', onclick: () => void history.open() }, 'Try again');
      fill(this.#notice, `Messages could not be loaded: ${reasonText(history.error)}. `, retry);
    } else if (!this.#notice.firstChild) {
      fill(
        this.#notice,
        ...Array.from({ length: 5 }, () =>
          h('div', { class: 'skeleton-message' }, h('span', { class: 'skeleton-avatar' }), h('span', { class: 'skeleton-text' })),
        ),
      );
    }
  }

  #drawJump() {
    const { history, unreadCount } = this.#conversation;
    this.#jump.hidden = !history.isOpen || (this.#scroller.isPinned && history.isAtEnd);
    if (this.#jump.hidden) return;
    fill(this.#jump, unreadCount > 0 && h('span', {}, `${unreadCount} new`), icon('down'));
    this.#jump.setAttribute(
      'aria-label',
      unreadCount > 0 ? `${plural(unreadCount, 'new message')}, jump to the end` : 'Jump to the end',
    );
  }

  #moved() {
    const { history } = this.#conversation;
    history.follows = this.#scroller.isPinned;
    history.anchorSeq = Number(/** @type {HTMLElement | null} */ (this.#scroller.firstVisible)?.dataset.seq ?? 0);
    this.#drawJump();
    this.#readSoon();
  }

  /** What is looked at is read: in sight, at the bottom, for a moment. */
  #readSoon() {
    const isRead = () =>
      document.visibilityState === 'visible' &&
      this.#isPlaced &&
      this.#scroller.isPinned &&
      this.#conversation.history.isAtEnd &&
      this.element.offsetParent !== null;
    if (this.#isReadQueued || !isRead()) return;
    this.#isReadQueued = true;
    setTimeout(() => {
      this.#isReadQueued = false;
      if (isRead()) this.#conversation.markRead();
    }, READ_AFTER_MS);
  }

  /** For those who listen instead of looking. @param {import('../sdk/types.js').LogEntryJson} entry */
  #speak(entry) {
    const { message } = entry.body ?? {};
    const sender = entry.actorUserId ?? '';
    const deletedId = entry.body?.deleted?.messageId;
    if (deletedId) this.#announcer.forget(deletedId);
    if (!message || sender === this.#app.chat.userId) return;
    this.#announcer.say(message.messageId, `${this.#app.people.name(sender)}: ${message.text}`);
  }

  /** One message is the tab stop: the one that has the focus, or the newest. What is in the former can be reached from it. */
  #rove() {
    const articles = this.#articles();
    const stop = articles.find((article) => article.dataset.key === this.#focusedKey) ?? articles[articles.length - 1];
    for (const article of articles) article.tabIndex = article === stop ? 0 : -1;
    for (const left of this.#rows.querySelectorAll('article [tabindex="0"]')) left.setAttribute('tabindex', '-1');
    if (stop?.dataset.key !== this.#focusedKey) return;
    for (const inner of stop.querySelectorAll('a, button')) inner.setAttribute('tabindex', '0');
  }

  /** Which of how many a message is; what is not sent yet comes after all. */
  #number() {
    const { messageNo } = this.#conversation;
    const unsent = this.#messageRows.filter((row) => row.messageNo === 0).length;
    const size = String(messageNo + unsent);
    let next = messageNo;
    for (const [at, article] of this.#articles().entries()) {
      const position = String(this.#messageRows[at].messageNo || ++next);
      if (article.ariaPosInSet !== position) article.ariaPosInSet = position;
      if (article.ariaSetSize !== size) article.ariaSetSize = size;
    }
  }

  /** @param {HTMLElement | null} target */
  #focused(target) {
    this.#focusedKey = target?.closest('article')?.dataset.key ?? '';
    this.#rove();
  }

  #articles() {
    return /** @type {HTMLElement[]} */ ([...this.#rows.querySelectorAll('article')]);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const articles = this.#articles();
    const article = /** @type {HTMLElement} */ (event.target).closest('article');
    if (article && article !== event.target && event.key === 'Escape') article.focus();
    const at = articles.indexOf(/** @type {any} */ (event.target));
    if (at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const row = this.#messageRows.find(({ key }) => key === articles[at].dataset.key);
    const target = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: articles.length - 1 }[event.key];
    if (target !== undefined) articles[target]?.focus();
    else if (event.key === 'Escape') this.#handlers.onEscape();
    else if (!row || !this.#act(event.key.toLowerCase(), row)) return;
    event.preventDefault();
  }

  /** @param {MessageRow} row */
  #articleOf = ({ key }) => this.#articles().find((article) => article.dataset.key === key);

  /** @param {string} key @param {MessageRow} row */
  #act(key, row) {
    if (key === 'r' && hasFailed(row)) this.drawing.onRetry(row);
    else if (key === 'r' && isStored(row)) this.#handlers.onReply(row);
    else if (key === 'p' && canPin(row, this.drawing)) this.drawing.onPin(row);
    else if (key === '+' && isStored(row))
      this.#articleOf(row)?.querySelector(REACT_BUTTON)?.dispatchEvent(new MouseEvent('click'));
    else if (key === 'e' && canEdit(row)) this.#handlers.onEdit(row);
    else if (key === 'delete' && canDelete(row, this.drawing)) this.#handlers.onDelete(row);
    else return false;
    return true;
  }
}
