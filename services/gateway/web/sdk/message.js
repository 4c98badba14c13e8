import { toNumber, toTime } from './wire.js';

/**
 * Messages as they are shown, and what entries of the log make of them. Pure: nothing is changed in place.
 *
 * @typedef {import('./types.js').Message} Message
 * @typedef {import('./types.js').LogEntryJson} LogEntryJson
 */

const SYSTEM_KINDS = [
  'conversationCreated',
  'conversationUpdated',
  'membersAdded',
  'memberRemoved',
  'roleChanged',
  'conversationClosed',
];

/** @param {import('./types.js').MessageJson} message @param {number} asOfSeq @returns {Message} */
export const messageOf = (message, asOfSeq) => ({
  kind: 'message',
  seq: toNumber(message.seq),
  messageNo: toNumber(message.messageNo),
  messageId: message.messageId,
  senderUserId: message.senderUserId,
  text: message.text ?? '',
  time: toTime(message.createTime),
  edited: Boolean(message.editTime),
  deleted: Boolean(message.deleteTime),
  clientMessageId: message.clientMessageId ?? '',
  replyToMessageId: message.replyToMessageId ?? '',
  replyToSeq: toNumber(message.replyToSeq),
  mentionedUserIds: message.mentionedUserIds ?? [],
  metadata: message.metadata?.entries ?? {},
  pinnedByUserId: message.pinnedByUserId ?? '',
  reactions: (message.reactions ?? []).map((reaction) => ({ count: 0, reacted: false, ...reaction })),
  asOfSeq,
});

/** What an entry adds to a window of history; null if nothing. @param {LogEntryJson} entry @returns {import('./types.js').HistoryItem | null} */
export function itemOf(entry) {
  const body = entry.body ?? {};
  const { actorUserId = '', createTime } = entry;
  const seq = toNumber(entry.seq);
  const isErased = body.redacted?.kind === 'REDACTED_KIND_MESSAGE';
  if (body.message || isErased) {
    const { messageNo, requestId: clientMessageId } = entry;
    const own = { seq: entry.seq, messageNo, senderUserId: actorUserId, createTime, clientMessageId };
    return { ...messageOf({ ...(body.message ?? body.redacted), ...own }, seq), deleted: isErased };
  }
  return SYSTEM_KINDS.some((kind) => body[kind]) ? { kind: 'system', seq, actorUserId, time: toTime(createTime), body } : null;
}

/** The message that an entry changes; empty if it changes none. @param {LogEntryJson} entry @returns {string} */
export const changedMessageId = ({ body = {} }) =>
  (body.edited ?? body.deleted ?? body.reactionAdded ?? body.reactionRemoved ?? body.pinned ?? body.unpinned)?.messageId ?? '';

/**
 * The message after an entry; the same one if the entry is not about it, or is in it already.
 * @param {Message} message @param {LogEntryJson} entry @param {string} ownUserId
 * @returns {Message}
 */
export function applyTo(message, entry, ownUserId) {
  const seq = toNumber(entry.seq);
  if (changedMessageId(entry) !== message.messageId || seq <= message.asOfSeq) return message;
  return { ...message, ...changeOf(message, entry, ownUserId), asOfSeq: seq };
}

/** @param {Message} message @param {LogEntryJson} entry @param {string} ownUserId @returns {Partial<Message>} */
function changeOf({ reactions }, { body = {}, actorUserId = '' }, ownUserId) {
  const { edited, deleted, reactionAdded, reactionRemoved, pinned } = body;
  if (edited) return { text: edited.text ?? '', mentionedUserIds: edited.mentionedUserIds ?? [], edited: true };
  if (deleted) return { text: '', mentionedUserIds: [], metadata: {}, pinnedByUserId: '', reactions: [], deleted: true };
  if (reactionAdded) return { reactions: withReaction(reactions, reactionAdded.emoji, 1, actorUserId === ownUserId) };
  if (reactionRemoved) return { reactions: withReaction(reactions, reactionRemoved.emoji, -1, actorUserId === ownUserId) };
  return { pinnedByUserId: pinned ? actorUserId : '' };
}

/**
 * @param {readonly import('./types.js').Reaction[]} reactions @param {string} emoji
 * @param {1 | -1} step one more, or one less @param {boolean} isOwn
 * @returns {import('./types.js').Reaction[]}
 */
export function withReaction(reactions, emoji, step, isOwn) {
  const known = reactions.some((reaction) => reaction.emoji === emoji);
  const all = known ? reactions : [...reactions, { emoji, count: 0, reacted: false }];
  return all
    .map((reaction) =>
      reaction.emoji === emoji ? { emoji, count: reaction.count + step, reacted: isOwn ? step > 0 : reaction.reacted } : reaction,
    )
    .filter(({ count }) => count > 0);
}
