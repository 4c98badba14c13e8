import { addMembersDialog, confirmDialog } from './dialogs.js';
import { h, icon } from './dom.js';
import { plural, presenceText, roleName } from './format.js';
import { membersOf } from './members.js';
import { avatarWithDot, displayName, userFace } from './people.js';
import { action } from './settings-panel.js';

/** @typedef {import('./members.js').Member} Member */

const RANK = /** @type {Record<string, number>} */ ({ ROLE_OWNER: 0, ROLE_ADMIN: 1, ROLE_MEMBER: 2 });
/** The gateway follows 500 for a session, and the list wants some of them. */
const WATCHED_MAX = 200;

/** Who is in a group, and what one may do about it. */
export class MembersPanel {
  /** @type {Member[]} */
  #members = [];
  #pane;
  #redraw;
  #stopEntry;
  #stopWatch = () => {};
  #isClosed = false;

  /** @param {import('./details.js').DetailsPane} pane @param {() => void} redraw */
  constructor(pane, redraw) {
    this.#pane = pane;
    this.#redraw = redraw;
    this.#stopEntry = pane.app.chat.on(
      'entry',
      (changed, { body = {} }) =>
        changed === pane.conversation && (body.membersAdded || body.memberRemoved || body.roleChanged) && void this.#load(),
    );
    void this.#load();
  }

  close() {
    this.#isClosed = true;
    this.#stopEntry();
    this.#stopWatch();
  }

  async #load() {
    const { conversation, app } = this.#pane;
    try {
      this.#members = await membersOf(conversation, app.chat);
    } catch {
      // What is shown stays; the next change asks again.
    }
    if (this.#isClosed) return;
    this.#stopWatch();
    this.#stopWatch = app.chat.presence.watch(this.#members.slice(0, WATCHED_MAX).map(({ userId }) => userId));
    this.#redraw();
  }

  draw() {
    const pane = this.#pane;
    const { chat, people } = pane.app;
    const members = [...this.#members].sort(
      (a, b) => RANK[a.role] - RANK[b.role] || people.name(a.userId).localeCompare(people.name(b.userId)),
    );
    const known = new Set([chat.userId, ...members.map(({ userId }) => userId)]);
    return h(
      'section',
      { class: 'details-members' },
      h('h3', {}, plural(pane.conversation.details.memberCount ?? members.length, 'member')),
      pane.isAdmin &&
        h(
          'button',
          {
            type: 'button',
            class: 'person is-action',
            'data-testid': 'add-members',
            onclick: () => addMembersDialog(pane.app, pane.conversation, known),
          },
          h('span', { class: 'avatar medium is-plain' }, icon('plus')),
          'Add people',
        ),
      h('ul', {}, ...members.map((member) => this.#row(member))),
      action('back', 'Leave group', 'leave', true, () => void this.#leave()),
      pane.role === 'ROLE_OWNER' && action('trash', 'Delete group for everyone', 'delete-group', true, () => void this.#delete()),
    );
  }

  /** @param {Member} member */
  #row(member) {
    const { chat, people } = this.#pane.app;
    const user = people.get(member.userId);
    const isSelf = member.userId === chat.userId;
    const presence = this.#pane.app.presenceOf(member.userId);
    const actions = isSelf ? [] : this.#actionsOn(member, displayName(user));
    const below = [member.role === 'ROLE_MEMBER' ? '' : roleName(member.role), presenceText(presence, Date.now())];
    return h(
      'li',
      { class: 'person', 'data-testid': 'member', 'data-user-id': member.userId, 'data-role': member.role },
      avatarWithDot(userFace(user), 'medium', presence.status),
      h(
        'span',
        { class: 'two-lines' },
        h('strong', {}, isSelf ? 'You' : displayName(user)),
        h('span', {}, below.filter(Boolean).join(' · ')),
      ),
      actions.length > 0 &&
        h(
          'details',
          { class: 'menu', onfocusout: closeMenu, onkeydown: escapeMenu },
          h(
            'summary',
            { class: 'icon-button', 'aria-label': `Actions for ${displayName(user)}`, 'data-testid': 'member-menu' },
            icon('more'),
          ),
          h('div', { class: 'menu-items' }, ...actions),
        ),
    );
  }

  /** @param {Member} member @param {string} name */
  #actionsOn({ userId, role }, name) {
    const { app, role: ownRole } = this.#pane;
    /** @param {string} label @param {string} testId @param {() => void} run */
    const item = (label, testId, run) =>
      h(
        'button',
        {
          type: 'button',
          'data-testid': testId,
          onclick: (/** @type {any} */ event) => (event.currentTarget.closest('details').removeAttribute('open'), run()),
        },
        label,
      );
    const setRole = (/** @type {string} */ wanted) => void this.#pane.change('updateRole', { userId, role: wanted });
    const message = () => void this.#pane.ask(app.chat.startDirect(userId).then(({ id }) => app.open(id)));
    const items = [item('Message', 'message-member', message)];
    if (ownRole === 'ROLE_OWNER') {
      if (role !== 'ROLE_OWNER') items.push(item('Make owner', 'make-owner', () => setRole('ROLE_OWNER')));
      if (role !== 'ROLE_ADMIN') items.push(item('Make admin', 'make-admin', () => setRole('ROLE_ADMIN')));
      if (role !== 'ROLE_MEMBER') items.push(item('Make member', 'make-member', () => setRole('ROLE_MEMBER')));
    }
    if (ownRole === 'ROLE_OWNER' || (ownRole === 'ROLE_ADMIN' && role === 'ROLE_MEMBER')) {
      items.push(item('Remove from group', 'remove-member', () => void this.#remove(userId, name)));
    }
    return items;
  }

  /** @param {string} userId @param {string} name */
  async #remove(userId, name) {
    const isSure = await confirmDialog({
      title: `Remove ${name}?`,
      text: `${name} can no longer read or write in this group.`,
      action: 'Remove',
    });
    if (isSure) await this.#pane.change('removeMember', { userId });
  }

  async #leave() {
    const isSure = await confirmDialog({
      title: 'Leave this group?',
      text: 'You can no longer read its messages, unless somebody adds you again.',
      action: 'Leave',
    });
    const { app, conversation } = this.#pane;
    if (isSure && (await this.#pane.ask(app.chat.leave(conversation, this.#pane.requestId('leave'))))) app.open('');
  }

  async #delete() {
    const isSure = await confirmDialog({
      title: 'Delete this group?',
      text: 'It ends for all its members, and nobody can read its messages any more. This cannot be undone.',
      action: 'Delete',
    });
    const { app, conversation } = this.#pane;
    if (isSure && (await this.#pane.ask(app.chat.deleteConversation(conversation, this.#pane.requestId('delete'))))) app.open('');
  }
}

/** A menu closes when the focus goes elsewhere. @param {FocusEvent} event */
function closeMenu(event) {
  const menu = /** @type {HTMLElement} */ (event.currentTarget);
  if (!menu.contains(/** @type {Node | null} */ (event.relatedTarget))) menu.removeAttribute('open');
}

/** Escape closes the menu, not the pane that it is in. @param {KeyboardEvent} event */
function escapeMenu(event) {
  const menu = /** @type {HTMLDetailsElement} */ (event.currentTarget);
  if (event.key !== 'Escape' || !menu.open) return;
  event.stopPropagation();
  menu.open = false;
  menu.querySelector('summary')?.focus();
}
