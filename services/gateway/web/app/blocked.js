import { openDialog, sentence } from './dialogs.js';
import { fill, h, toast } from './dom.js';
import { avatar, displayName, userFace } from './people.js';

/** Whom one has blocked, and taking it back. @param {import('./main.js').App} app */
export async function blockedDialog(app) {
  const list = h('ul', { class: 'picker-results' }, h('li', { class: 'picker-note' }, 'Loading…'));
  openDialog('Blocked people', { 'data-testid': 'blocked-dialog' }, list);
  /** @param {string} userId @param {HTMLElement} row */
  const unblock = (userId, row) =>
    app.chat.setBlocked(userId, false).then(
      () => row.remove(),
      (error) => toast(sentence(error.reason)),
    );
  try {
    const userIds = await app.chat.blockedUsers();
    if (userIds.length === 0) return fill(list, h('li', { class: 'picker-note' }, 'You have blocked nobody.'));
    fill(
      list,
      userIds.map((userId) => {
        const user = app.people.get(userId);
        const row = h(
          'li',
          { class: 'person' },
          avatar(userFace(user), 'medium'),
          h('strong', { class: 'grow' }, displayName(user)),
          h('button', { type: 'button', class: 'button', onclick: () => void unblock(userId, row) }, 'Unblock'),
        );
        return row;
      }),
    );
  } catch (error) {
    fill(list, h('li', { class: 'picker-note' }, sentence(/** @type {any} */ (error).reason)));
  }
}
