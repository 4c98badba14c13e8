import { withReaction } from '../sdk/message.js';
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
 * @property {Quote | null} quote The message that it answers.
 * @property {readonly string[]} mentionedUserIds
 * @property {boolean} isPinned
 * @property {readonly import('../sdk/types.js').Reaction[]} reactions With those that are on their way.
 * @property {OutboxItem | null} change The send, edit or deletion that is under way or failed.
 * @property {boolean} isLast The newest of all.
 * @property {boolean} isHeldUp One before it has failed and has to be dealt with first.
 * @property {'' | 'sent' | 'delivered' | 'seen'} receipt Under an own message that is the newest of a direct.
 *
 * @typedef {object} Quote
 * @property {string} messageId
 * @property {number} seq
 * @property {string} senderUserId
 * @property {string} text
 * @property {'shown' | 'deleted' | 'hidden' | 'loading'} state
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
      addMessage(storedRow(item, userId, conversation));
      continue;
    }
    startDay(item.time);
    rows.push({ kind: 'system', key: `seq-${item.seq}`, time: item.time, actorUserId: item.actorUserId, body: item.body });
    previous = null;
  }
  if (history.isAtEnd) {
    for (const item of outgoing)
      if (item.kind === 'send' && !(item.seq > 0 && item.seq <= history.to)) addMessage(unsentRow(item, userId, conversation));
  }
  const last = rows.findLast((row) => row.kind === 'message');
  if (last?.kind === 'message') {
    last.isLast = true;
    if (conversation.isDirect && last.isOwn && last.state !== 'deleted') last.receipt = receiptOf(last, conversation);
  }
  return rows;
}

/** @param {Message} message @param {string} userId @param {import('../sdk/conversation.js').Conversation} conversation @returns {MessageRow} */
function storedRow(message, userId, conversation) {
  const about = conversation.outgoing().filter((item) => item.messageId === message.messageId);
  const change = about.findLast(({ kind }) => kind === 'edit' || kind === 'delete') ?? null;
  const pin = about.findLast(({ kind }) => kind === 'pin' || kind === 'unpin');
  const { messageId, senderUserId, time, seq, messageNo } = message;
  return {
    ...PLAIN,
    kind: 'message',
    key: message.clientMessageId || messageId,
    messageId,
    senderUserId,
    time,
    seq,
    messageNo,
    text: change?.kind === 'edit' ? change.text : message.text,
    state: message.deleted ? 'deleted' : 'sent',
    isOwn: senderUserId === userId,
    isEdited: message.edited,
    quote: message.deleted ? null : quoteOf(message.replyToMessageId, message.replyToSeq, conversation),
    mentionedUserIds: change?.kind === 'edit' ? (change.more.mentionedUserIds ?? []) : message.mentionedUserIds,
    isPinned: pin ? pin.kind === 'pin' : message.pinnedByUserId !== '',
    reactions: message.deleted ? [] : withOutgoing(message, about),
    change: message.deleted ? null : change,
  };
}

/** @param {OutboxItem} item @param {string} userId @param {import('../sdk/conversation.js').Conversation} conversation @returns {MessageRow} */
function unsentRow(item, userId, conversation) {
  const outgoing = conversation.outgoing();
  const edit = outgoing.findLast((other) => other.parent === item);
  const before = outgoing.slice(0, outgoing.indexOf(item));
  const { id, messageId, seq, state, more } = item;
  return {
    ...PLAIN,
    kind: 'message',
    key: id,
    messageId,
    senderUserId: userId,
    time: item.createdAt,
    seq,
    text: edit?.text ?? item.text,
    state,
    isOwn: true,
    quote: quoteOf(more?.replyToMessageId ?? '', 0, conversation),
    mentionedUserIds: (edit ?? item).more?.mentionedUserIds ?? [],
    change: item,
    isHeldUp: before.some((other) => other.state === 'failed' && !other.isRejected),
  };
}

const PLAIN = {
  messageNo: 0,
  isFirst: false,
  isEdited: false,
  isPinned: false,
  reactions: [],
  isLast: false,
  isHeldUp: false,
  receipt: /** @type {const} */ (''),
};

/** @param {string} messageId @param {number} seq @param {import('../sdk/conversation.js').Conversation} conversation @returns {Quote | null} */
function quoteOf(messageId, seq, conversation) {
  if (!messageId) return null;
  const message = conversation.quotes.get(messageId);
  if (!message) return { messageId, seq, senderUserId: '', text: '', state: message === null ? 'hidden' : 'loading' };
  const { senderUserId, text, deleted } = message;
  return { messageId, seq: message.seq, senderUserId, text: text.slice(0, 200), state: deleted ? 'deleted' : 'shown' };
}

/** Reactions as they will be: one that is on its way shows at once. @param {Message} message @param {OutboxItem[]} about */
function withOutgoing({ reactions, asOfSeq }, about) {
  return about.reduce((all, { kind, more, seq }) => {
    const isOn = kind === 'react';
    if ((!isOn && kind !== 'unreact') || (seq > 0 && seq <= asOfSeq)) return all;
    const hasIt = all.some(({ emoji, reacted }) => emoji === more.emoji && reacted);
    return hasIt === isOn ? all : withReaction(all, more.emoji, isOn ? 1 : -1, true);
  }, reactions);
}

/** @param {MessageRow} row @param {import('../sdk/conversation.js').Conversation} conversation */
function receiptOf({ seq }, { positions, deliveries, details }) {
  const peer = details.peerUserId ?? '';
  if (seq > 0 && (positions.get(peer) ?? 0) >= seq) return 'seen';
  return seq > 0 && (deliveries.get(peer) ?? 0) >= seq ? 'delivered' : 'sent';
}
