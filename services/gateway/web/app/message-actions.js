import { h, iconButton } from './dom.js';
import { openReactionPicker } from './reaction-picker.js';

/**
 * @typedef {import('./rows.js').MessageRow} MessageRow
 * @typedef {import('./message-row.js').RowContext} RowContext
 */

/** @param {MessageRow} row */
export const canEdit = (row) => row.isOwn && (row.state === 'sent' || (row.state === 'pending' && row.change?.kind === 'send'));

/** @param {MessageRow} row @param {RowContext} context */
export const canDelete = (row, context) => isStored(row) && (row.isOwn || context.isAdmin());

/** @param {MessageRow} row @param {RowContext} context */
export const canPin = (row, context) => isStored(row) && context.mayPin();

/** To be answered or reacted to. @param {MessageRow} row */
export const isStored = (row) => row.state === 'sent' && row.messageId !== '';

/** @param {MessageRow} row */
export const hasFailed = (row) => row.change?.state === 'failed';

/** What floats over a message that the pointer or the focus is on. @param {MessageRow} row @param {RowContext} context */
export function actionsOf(row, context) {
  const actions = [
    isStored(row) && reactButton(row, context),
    isStored(row) && iconButton('reply', 'Reply', () => context.onReply(row), { tabIndex: -1, 'data-testid': 'reply' }),
    canPin(row, context) &&
      iconButton('pin', row.isPinned ? 'Unpin' : 'Pin', () => context.onPin(row), {
        class: `icon-button ${row.isPinned ? 'is-on' : ''}`,
        tabIndex: -1,
        'data-testid': 'pin-message',
      }),
    canEdit(row) && iconButton('edit', 'Edit', () => context.onEdit(row), { tabIndex: -1, 'data-testid': 'edit' }),
    canDelete(row, context) &&
      iconButton('trash', 'Delete', () => context.onDelete(row), { tabIndex: -1, 'data-testid': 'delete' }),
  ];
  return actions.some(Boolean) && h('div', { class: 'message-actions' }, actions);
}

/** @param {MessageRow} row @param {RowContext} context */
function reactButton(row, context) {
  const open = () => openReactionPicker(button, (emoji) => context.onReact(row, emoji));
  const button = iconButton('smile', 'React', open, { tabIndex: -1, 'aria-haspopup': 'menu', 'data-testid': 'react' });
  return button;
}
