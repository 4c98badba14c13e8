import { h, icon } from './dom.js';
import { plural } from './format.js';
import { mentionParts } from './mentions.js';
import { reactionName } from './reaction-picker.js';

/**
 * @typedef {import('./rows.js').MessageRow} MessageRow
 * @typedef {import('./message-row.js').RowContext} RowContext
 */

/** The message that this one answers, to be jumped to. @param {MessageRow} row @param {RowContext} context */
export function quoteOf({ quote }, context) {
  if (!quote) return null;
  const text = { shown: quote.text, deleted: 'Message deleted', hidden: 'A message that you cannot see', loading: '…' }[
    quote.state
  ];
  const canJump = quote.seq > 0 && quote.state !== 'hidden';
  const content = [
    quote.senderUserId && h('strong', {}, context.people.nameOrYou(quote.senderUserId)),
    h('span', { class: `quote-text is-${quote.state}` }, text),
  ];
  const props = { class: 'quote', 'data-testid': 'quote', 'data-state': quote.state };
  if (!canJump) return h('div', props, content);
  return h(
    'button',
    { type: 'button', tabIndex: -1, title: 'Go to this message', onclick: () => context.onJump(quote.seq), ...props },
    content,
  );
}

/** @param {MessageRow} row @param {RowContext} context */
export function reactionsOf(row, context) {
  if (row.reactions.length === 0) return null;
  return h(
    'div',
    { class: 'reactions', 'data-testid': 'reactions' },
    row.reactions.map(({ emoji, count, reacted }) =>
      h(
        'button',
        {
          type: 'button',
          class: 'reaction',
          tabIndex: -1,
          'aria-pressed': String(reacted),
          'aria-label': `${reactionName(emoji)}, ${plural(count, 'reaction')}${reacted ? ', yours too' : ''}`,
          'data-testid': 'reaction',
          'data-emoji': emoji,
          onclick: () => context.onReact(row, emoji),
        },
        h('span', { 'aria-hidden': 'true' }, emoji),
        h('span', { class: 'reaction-count' }, count),
      ),
    ),
  );
}

/** @param {MessageRow} row @param {RowContext} context */
export function textOf(row, context) {
  if (row.state === 'deleted')
    return h('div', { class: 'message-text is-deleted', 'data-testid': 'message-text' }, 'Message deleted');
  const edited = row.isEdited && h('span', { class: 'message-edited', 'data-testid': 'message-edited' }, ' edited');
  const isUnderWay = row.change?.state === 'pending' && h('span', { class: 'message-clock' }, icon('clock'));
  return h(
    'div',
    { class: 'message-text' },
    h('span', { 'data-testid': 'message-text' }, ...richText(row.text, row.mentionedUserIds, context)),
    edited,
    isUnderWay,
  );
}

/** Text with its mentions and its addresses. @param {string} text @param {readonly string[]} mentionedUserIds @param {RowContext} context */
function richText(text, mentionedUserIds, { people, ownUserId }) {
  const own = new Set(mentionedUserIds.includes(ownUserId()) ? people.names(ownUserId()).map((name) => `@${name}`) : []);
  const names = mentionedUserIds.flatMap((userId) => people.names(userId));
  return mentionParts(text, names).flatMap((part) =>
    part.isMention
      ? [h('span', { class: `mention ${own.has(part.text) ? 'is-own' : ''}`, 'data-testid': 'mention' }, part.text)]
      : linked(part.text),
  );
}

const URL_PATTERN = /https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]}]/g;

/** Text with its addresses as links. @param {string} text */
function linked(text) {
  /** @type {(string | Node)[]} */
  const parts = [];
  let at = 0;
  for (const match of text.matchAll(URL_PATTERN)) {
    parts.push(
      text.slice(at, match.index),
      h('a', { href: match[0], target: '_blank', rel: 'noopener noreferrer', tabIndex: -1 }, match[0]),
    );
    at = match.index + match[0].length;
  }
  parts.push(text.slice(at));
  return parts;
}
