import { PeoplePicker } from './picker.js';
import { h, iconButton } from './dom.js';
import { reasonText } from './format.js';
import { newId } from '../sdk/viberchat.js';

/**
 * A modal dialog. It is gone once closed.
 * @param {string} title @param {Record<string, any>} props @param {...(Node | string)} children
 */
export function openDialog(title, props, ...children) {
  /** @type {HTMLDialogElement} */
  const dialog = h(
    'dialog',
    { class: 'dialog', 'aria-label': title, onclose: () => dialog.remove(), ...props },
    h(
      'header',
      {},
      h('h2', {}, title),
      iconButton('close', 'Close', () => dialog.close()),
    ),
    ...children,
  );
  // A press on what is around it closes it, a selection that ends there does not.
  dialog.addEventListener('pointerdown', (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** @param {{title: string, text: string, action: string}} question @returns {Promise<boolean>} */
export function confirmDialog({ title, text, action }) {
  return new Promise((resolve) => {
    const dialog = openDialog(
      title,
      { class: 'dialog is-small', 'data-testid': 'confirm-dialog' },
      h('p', {}, text),
      h(
        'footer',
        {},
        h('button', { type: 'button', class: 'button', onclick: () => dialog.close() }, 'Cancel'),
        h(
          'button',
          {
            type: 'button',
            class: 'button is-danger',
            autofocus: true,
            'data-testid': 'confirm',
            onclick: () => dialog.close('yes'),
          },
          action,
        ),
      ),
    );
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'));
  });
}

/** Finds a person and opens the one conversation with them. @param {import('./main.js').App} app */
export function newDirectDialog(app) {
  const error = errorLine();
  const picker = new PeoplePicker(app, {
    exclude: new Set([app.chat.userId]),
    onPick: (user) => {
      error.textContent = '';
      app.people.learn([user]);
      app.chat.startDirect(user.userId).then(
        (conversation) => {
          dialog.close();
          app.open(conversation.id);
        },
        (failure) => (error.textContent = sentence(failure.reason)),
      );
    },
  });
  const dialog = openDialog('New message', { 'data-testid': 'new-direct-dialog' }, picker.element, error);
  picker.focus();
}

/** Names a group and chooses who is in it. @param {import('./main.js').App} app */
export function newGroupDialog(app) {
  const requestIdOf = requestIds();
  const error = errorLine();
  const name = h('input', {
    type: 'text',
    class: 'field',
    maxLength: 255,
    placeholder: 'Name of the group',
    'aria-label': 'Name of the group',
    'data-testid': 'group-name',
  });
  const picker = new PeoplePicker(app, { exclude: new Set([app.chat.userId]), isMultiple: true });
  const create = h('button', { type: 'submit', class: 'button is-primary', 'data-testid': 'create-group' }, 'Create group');
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const group = { name: name.value.trim(), memberUserIds: picker.pickedIds() };
    if (!group.name) {
      error.textContent = 'A group needs a name.';
      return name.focus();
    }
    create.disabled = true;
    error.textContent = '';
    try {
      const conversation = await app.chat.createGroup({ ...group, requestId: requestIdOf(group) });
      dialog.close();
      app.open(conversation.id);
    } catch (failure) {
      error.textContent = sentence(/** @type {any} */ (failure).reason);
    }
    create.disabled = false;
  };
  const form = h('form', { onsubmit: submit }, name, picker.element, error, h('footer', {}, create));
  const dialog = openDialog('New group', { 'data-testid': 'new-group-dialog' }, form);
  name.focus();
}

/** Adds people to a group. @param {import('./main.js').App} app @param {import('../sdk/conversation.js').Conversation} conversation @param {Set<string>} members */
export function addMembersDialog(app, conversation, members) {
  const error = errorLine();
  const requestIdOf = requestIds();
  const picker = new PeoplePicker(app, { exclude: members, isMultiple: true });
  const add = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const userIds = picker.pickedIds();
    if (userIds.length === 0) return;
    try {
      await app.chat.request('addMembers', { conversationId: conversation.id, userIds, requestId: requestIdOf(userIds) });
      dialog.close();
    } catch (failure) {
      error.textContent = sentence(/** @type {any} */ (failure).reason);
    }
  };
  const form = h(
    'form',
    { onsubmit: add },
    picker.element,
    error,
    h('footer', {}, h('button', { type: 'submit', class: 'button is-primary', 'data-testid': 'add-members-confirm' }, 'Add')),
  );
  const dialog = openDialog('Add people', { 'data-testid': 'add-members-dialog' }, form);
  picker.focus();
}

/** The same id for the same request again: a lost answer does not make two groups. */
export function requestIds() {
  let id = '';
  let last = '';
  return (/** @type {unknown} */ body) => {
    const text = JSON.stringify(body);
    if (text !== last) [id, last] = [newId(), text];
    return id;
  };
}

const errorLine = () => h('p', { class: 'error-line', role: 'alert', 'data-testid': 'dialog-error' });

/** @param {string} reason */
export const sentence = (reason) => {
  const text = reasonText(reason);
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
};
