import { fill, h, icon } from './dom.js';
import { clockTime, dayLabel, fullTime, narrowTime, plural, reasonText, systemLine } from './format.js';
import { actionsOf, hasFailed } from './message-actions.js';
import { quoteOf, reactionsOf, textOf } from './message-parts.js';
import { avatar, displayName, userFace } from './people.js';

/**
 * @typedef {import('./rows.js').Row} Row
 * @typedef {import('./rows.js').MessageRow} MessageRow
 *
 * @typedef {object} RowContext
 * @property {import('./people.js').People} people
 * @property {() => boolean} isOnline
 * @property {() => string} ownUserId
 * @property {() => boolean} mayPin
 * @property {() => boolean} isAdmin May delete what others wrote.
 * @property {(row: MessageRow) => void} onEdit
 * @property {(row: MessageRow) => void} onDelete
 * @property {(row: MessageRow) => void} onReply
 * @property {(row: MessageRow) => void} onPin
 * @property {(row: MessageRow, emoji: string) => void} onReact Gives it, or takes it back.
 * @property {(seq: number) => void} onJump
 * @property {(row: MessageRow) => void} onRetry
 * @property {(row: MessageRow) => void} onDiscard
 */

/** How `keyedList` makes the rows. @param {RowContext} context */
export const rowDrawing = (context) => ({
  /** @param {Row} row */
  create: (row) =>
    h(row.kind === 'message' ? 'article' : 'div', { 'data-key': row.key, ...(row.kind === 'message' && { tabIndex: -1 }) }),
  /** @param {HTMLElement} element @param {Row} row */
  draw: (element, row) => {
    if (row.kind === 'message') keepFocus(element, () => drawMessage(element, row, context));
    else drawLine(element, row, context);
  },
  /** What a row depends on that is not in it is added. @param {Row} row */
  signature: (row) => {
    if (row.kind === 'day') return `${row.key} ${dayLabel(row.time, Date.now())}`;
    if (row.kind === 'system') return systemLine(row.body, row.actorUserId, (id) => context.people.nameOrYou(id));
    if (row.kind === 'unread') return row.key;
    const { displayName: name, username, avatarUrl } = context.people.get(row.senderUserId);
    const { change, ...rest } = row;
    const isWaiting = row.state === 'pending' && !context.isOnline();
    return JSON.stringify([
      rest,
      change && [change.kind, change.state, change.reason],
      name,
      username,
      avatarUrl,
      isWaiting,
      context.isAdmin(),
      context.mayPin(),
      [row.quote?.senderUserId ?? '', ...row.mentionedUserIds].map((id) => context.people.name(id)),
    ]);
  },
});

/** What had the focus is made anew: it has it again, or else the message itself. @param {HTMLElement} element @param {() => void} draw */
function keepFocus(element, draw) {
  const focused = document.activeElement;
  const isInside = focused !== element && element.contains(focused);
  draw();
  if (!isInside) return;
  const { testid = '', emoji } = /** @type {HTMLElement} */ (focused).dataset;
  const again = element.querySelector(`[data-testid="${testid}"]${emoji ? `[data-emoji="${CSS.escape(emoji)}"]` : ''}`);
  /** @type {HTMLElement} */ (again ?? element).focus({ preventScroll: true });
}

/** @param {HTMLElement} element @param {Exclude<Row, MessageRow>} row @param {RowContext} context */
function drawLine(element, row, context) {
  if (row.kind === 'unread') {
    element.className = 'unread-line';
    element.dataset.testid = 'unread-divider';
    fill(element, h('span', {}, 'New messages'));
  } else if (row.kind === 'day') {
    element.className = 'day-line';
    fill(element, h('span', {}, dayLabel(row.time, Date.now())));
  } else {
    element.className = 'system-line';
    element.dataset.testid = 'system-line';
    element.title = fullTime(row.time);
    fill(
      element,
      systemLine(row.body, row.actorUserId, (id) => context.people.nameOrYou(id)),
    );
  }
}

/** @param {HTMLElement} element @param {MessageRow} row @param {RowContext} context */
function drawMessage(element, row, context) {
  const user = context.people.get(row.senderUserId);
  element.className = `message ${row.isFirst ? 'is-first' : ''} ${row.isOwn ? 'is-own' : ''} ${row.mentionedUserIds.includes(context.ownUserId()) ? 'is-mention' : ''} ${row.change?.kind === 'delete' && !hasFailed(row) ? 'is-going' : ''}`;
  Object.assign(element.dataset, {
    testid: 'message',
    state: row.state,
    seq: String(row.seq || ''),
    messageId: row.messageId,
    sender: row.senderUserId,
  });
  element.setAttribute('aria-label', labelOf(row, displayName(user), context));
  const time = h(
    'time',
    { dateTime: new Date(row.time).toISOString(), title: fullTime(row.time) },
    row.isFirst ? clockTime(row.time) : narrowTime(row.time),
  );
  fill(
    element,
    h('div', { class: 'gutter' }, row.isFirst ? avatar(userFace(user)) : time),
    h(
      'div',
      { class: 'message-body' },
      row.isFirst && h('div', { class: 'message-meta' }, h('span', { class: 'message-sender' }, displayName(user)), time),
      row.isPinned && h('div', { class: 'pinned-mark', 'data-testid': 'pinned-mark' }, icon('pin'), 'Pinned'),
      quoteOf(row, context),
      textOf(row, context),
      reactionsOf(row, context),
      statusOf(row, context),
    ),
    actionsOf(row, context),
  );
}

/** @param {MessageRow} row @param {string} name @param {RowContext} context */
function labelOf(row, name, { people }) {
  const parts = [name, clockTime(row.time), row.state === 'deleted' ? 'message deleted' : row.text];
  if (row.quote?.senderUserId) parts.splice(2, 0, `in reply to ${people.nameOrYou(row.quote.senderUserId)}`);
  if (row.isPinned) parts.push('pinned');
  for (const { emoji, count } of row.reactions) parts.push(`${emoji} ${plural(count, 'reaction')}`);
  if (row.isEdited && row.state !== 'deleted') parts.push('edited');
  if (hasFailed(row)) parts.push('not sent, press R to retry');
  else if (row.state === 'pending') parts.push('waiting to be sent');
  if (row.receipt && row.receipt !== 'sent') parts.push(row.receipt);
  return parts.join(', ');
}

/** @param {MessageRow} row @param {RowContext} context */
function statusOf(row, context) {
  const { change } = row;
  if (change?.state === 'failed') {
    const what = change.kind === 'send' ? 'Not sent' : change.kind === 'edit' ? 'Edit not saved' : 'Not deleted';
    return h(
      'div',
      { class: 'message-status is-failed', 'data-testid': 'message-failed' },
      icon('warning'),
      h('span', {}, `${what}: ${reasonText(change.reason)}`),
      h(
        'button',
        { type: 'button', class: 'text-button', tabIndex: -1, 'data-testid': 'retry', onclick: () => context.onRetry(row) },
        'Retry',
      ),
      h(
        'button',
        { type: 'button', class: 'text-button', tabIndex: -1, 'data-testid': 'discard', onclick: () => context.onDiscard(row) },
        change.kind === 'send' ? 'Delete' : 'Discard',
      ),
    );
  }
  if (row.state === 'pending') {
    const note = pendingNote(row, context);
    return note && h('div', { class: 'message-status' }, icon('clock'), note);
  }
  if (!row.receipt) return null;
  return h(
    'div',
    { class: `message-status is-${row.receipt}`, 'data-testid': 'receipt', 'data-receipt': row.receipt },
    icon(row.receipt === 'sent' ? 'check' : 'seen'),
    { sent: 'Sent', delivered: 'Delivered', seen: 'Seen' }[row.receipt],
  );
}

/**
 * Under the newest message only. In a direct a line is there anyway for what comes next, so that nothing moves.
 * @param {MessageRow} row @param {RowContext} context
 */
function pendingNote({ isLast, isHeldUp, receipt }, context) {
  if (!isLast) return '';
  if (!context.isOnline()) return 'Will be sent when the connection is back';
  if (isHeldUp) return 'Waits for the message above';
  return receipt ? 'Sending…' : '';
}
