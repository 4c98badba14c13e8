import { dayNumber } from './format.js';

/**
 * What the message list shows, as plain data: days, changes of the group, the unread divider, messages and what is on its way out.
 *
 * @typedef {import('../sdk/outbox.js').OutboxItem} OutboxItem
 * @typedef {import('../sdk/types.js').Message} Message
 *
 * @typedef {object} MessageRow
 * @property {'message'} kind
 * @property {string} key
 * @property {string} messageId Empty while it is unsent.
 * @property {string} senderUserId
 * @property {string} text
 * @property {number} time
 * @property {number} seq 0 while it is unsent.
 * @property {number} messageNo 0 while it is unsent.
 * @property {'sent' | 'pending' | 'failed' | 'deleted'} state
 * @property {boolean} isOwn
 * @property {boolean} isFirst The first of its sender's run: with picture and name.
 * @property {boolean} isEdited
 * @property {OutboxItem | null} change The send, edit or deletion that is under way or failed.
 * @property {boolean} isLast The newest of all.
 * @property {boolean} isHeldUp One before it has failed and has to be dealt with first.
 * @property {'' | 'sent' | 'seen'} receipt Under an own message that is the newest of a direct.
 *
 * @typedef {{kind: 'day', key: string, time: number}} DayRow
 * @typedef {{kind: 'system', key: string, time: number, actorUserId: string, body: Record<string, any>}} SystemRow
 * @typedef {{kind: 'unread', key: string}} UnreadRow
 * @typedef {MessageRow | DayRow | SystemRow | UnreadRow} Row
 */

const RUN_MS = 5 * 60_000;

/**
 * @param {import('../sdk/conversation.js').Conversation} conversation
 * @param {{userId: string, unreadAfterSeq: number | null}} view
 * @returns {Row[]}
 */
export function rowsOf(conversation, { userId, unreadAfterSeq }) {
  const { history } = conversation;
  const outgoing = conversation.outgoing();
  /** @type {Row[]} */
  const rows = [];
  let day = -Infinity;
  /** @type {MessageRow | null} */
  let previous = null;
  let isDividerPlaced = unreadAfterSeq === null;

  // Only forward: the order is that of the log, whatever the clocks said.
  /** @param {number} time */
  const startDay = (time) => {
    if (dayNumber(time) <= day) return;
    day = dayNumber(time);
    rows.push({ kind: 'day', key: `day-${day}`, time });
    previous = null;
  };
  /** @param {MessageRow} row */
  const addMessage = (row) => {
    startDay(row.time);
    row.isFirst = !previous || previous.senderUserId !== row.senderUserId || row.time - previous.time > RUN_MS;
    rows.push(row);
    previous = row;
  };

  for (const item of history.items) {
    if (!isDividerPlaced && item.kind === 'message' && item.seq > (unreadAfterSeq ?? 0) && item.senderUserId !== userId) {
      isDividerPlaced = true;
      startDay(item.time);
      rows.push({ kind: 'unread', key: 'unread' });
      previous = null;
    }
    if (item.kind === 'message') {
      addMessage(storedRow(item, userId, outgoing));
      continue;
    }
    startDay(item.time);
    rows.push({ kind: 'system', key: `seq-${item.seq}`, time: item.time, actorUserId: item.actorUserId, body: item.body });
    previous = null;
  }
  if (history.isAtEnd) {
    for (const item of outgoing)
      if (item.kind === 'send' && !(item.seq > 0 && item.seq <= history.to)) addMessage(unsentRow(item, userId, outgoing));
  }
  const last = rows.findLast((row) => row.kind === 'message');
  if (last?.kind === 'message') {
    last.isLast = true;
    if (conversation.isDirect && last.isOwn && last.state !== 'deleted') last.receipt = receiptOf(last, conversation);
  }
  return rows;
}

/** @param {Message} message @param {string} userId @param {readonly OutboxItem[]} outgoing @returns {MessageRow} */
function storedRow(message, userId, outgoing) {
  const change = outgoing.findLast((item) => item.kind !== 'send' && item.messageId === message.messageId) ?? null;
  return {
    kind: 'message',
    key: message.clientMessageId || message.messageId,
    messageId: message.messageId,
    senderUserId: message.senderUserId,
    text: change?.kind === 'edit' ? change.text : message.text,
    time: message.time,
    seq: message.seq,
    messageNo: message.messageNo,
    state: message.deleted ? 'deleted' : 'sent',
    isOwn: message.senderUserId === userId,
    isFirst: false,
    isEdited: message.edited,
    change: message.deleted ? null : change,
    isLast: false,
    isHeldUp: false,
    receipt: '',
  };
}

/** @param {OutboxItem} item @param {string} userId @param {readonly OutboxItem[]} outgoing @returns {MessageRow} */
function unsentRow(item, userId, outgoing) {
  const edit = outgoing.findLast((other) => other.parent === item);
  const isHeldUp = outgoing.slice(0, outgoing.indexOf(item)).some(({ state, isRejected }) => state === 'failed' && !isRejected);
  return {
    kind: 'message',
    key: item.id,
    messageId: item.messageId,
    senderUserId: userId,
    text: edit?.text ?? item.text,
    time: item.createdAt,
    seq: item.seq,
    messageNo: 0,
    state: item.state,
    isOwn: true,
    isFirst: false,
    isEdited: false,
    change: item,
    isLast: false,
    isHeldUp,
    receipt: '',
  };
}

/** @param {MessageRow} row @param {import('../sdk/conversation.js').Conversation} conversation */
function receiptOf({ seq }, { positions, details }) {
  const peerSeq = positions.get(details.peerUserId ?? '') ?? 0;
  return seq > 0 && peerSeq >= seq ? 'seen' : 'sent';
}
