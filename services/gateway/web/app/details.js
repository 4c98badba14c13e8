import { addMembersDialog, confirmDialog, requestIds, sentence } from './dialogs.js';
import { fill, h, icon, iconButton, onceAFrame, toast } from './dom.js';
import { plural, roleName } from './format.js';
import { avatar, displayName, userFace } from './people.js';

/** @typedef {{userId: string, role: string}} Member */

const MEMBERS_SHOWN_MAX = 1_000;
const RANK = /** @type {Record<string, number>} */ ({ ROLE_OWNER: 0, ROLE_ADMIN: 1, ROLE_MEMBER: 2 });

/** What a conversation is besides its messages: name, members and their roles, and what one may do about them. */
export class DetailsPane {
  /** @type {Member[] | null} */
  #members = null;
  #conversation;
  #app;
  #stop;
  #requestIdOf = requestIds();
  #body = h('div', { class: 'details-body' });

  /** @param {import('../sdk/conversation.js').Conversation} conversation @param {import('./main.js').App} app @param {() => void} onClose */
  constructor(conversation, app, onClose) {
    this.#conversation = conversation;
    this.#app = app;
    this.element = h(
      'aside',
      {
        class: 'details',
        'aria-label': 'Details',
        'data-testid': 'details-pane',
        onkeydown: (/** @type {KeyboardEvent} */ event) => event.key === 'Escape' && onClose(),
      },
      h(
        'header',
        { class: 'conversation-header' },
        h('h2', {}, 'Details'),
        h('span', { class: 'grow' }),
        iconButton('close', 'Close details', onClose),
      ),
      this.#body,
    );
    const draw = onceAFrame(() => this.#draw());
    const stopChange = app.chat.on('change', (changed) => (!changed || changed === conversation) && draw());
    // Each change of the members is an entry of the log.
    const stopEntry = app.chat.on(
      'entry',
      (changed, { body = {} }) =>
        changed === conversation && (body.membersAdded || body.memberRemoved || body.roleChanged) && void this.#load(),
    );
    this.#stop = () => (stopChange(), stopEntry());
    this.#draw();
    void this.#load();
  }

  close() {
    this.#stop();
  }

  get #role() {
    return this.#conversation.details.role ?? '';
  }

  get #isAdmin() {
    return this.#role === 'ROLE_OWNER' || this.#role === 'ROLE_ADMIN';
  }

  async #load() {
    if (this.#conversation.isDirect) return;
    /** @type {Member[]} */
    const members = [];
    let pageToken = '';
    try {
      do {
        const reply = await this.#app.chat.read('listMembers', {
          conversationId: this.#conversation.id,
          pageSize: 200,
          ...(pageToken && { pageToken }),
        });
        members.push(...(reply.members ?? []));
        pageToken = reply.nextPageToken ?? '';
      } while (pageToken && members.length < MEMBERS_SHOWN_MAX);
      this.#members = members;
    } catch {
      // What is shown stays; the next change asks again.
    }
    this.#draw();
  }

  #draw() {
    // A menu that is open is not drawn away under the pointer.
    if (this.#body.querySelector('details[open], input:focus')) return;
    const conversation = this.#conversation;
    const face = this.#app.people.faceOf(conversation);
    const pin = h('input', {
      type: 'checkbox',
      class: 'switch',
      checked: conversation.isPinned,
      'data-testid': 'pin',
      onchange: () => this.#ask(conversation.setSettings({ pinned: pin.checked })),
    });
    fill(
      this.#body,
      h(
        'div',
        { class: 'details-face' },
        avatar(face, 'large'),
        conversation.isDirect || !this.#isAdmin ? h('h2', {}, face.name) : this.#nameField(face.name),
        conversation.isDirect && h('p', {}, `@${face.id}`),
      ),
      h('label', { class: 'details-line' }, icon('pin'), h('span', { class: 'grow' }, 'Pin to the top'), pin),
      !conversation.isDirect && this.#memberSection(),
    );
  }

  /** @param {string} name */
  #nameField(name) {
    const field = h('input', {
      class: 'field name-field',
      value: name,
      maxLength: 255,
      'aria-label': 'Name of the group',
      'data-testid': 'rename',
      onkeydown: (/** @type {KeyboardEvent} */ event) => event.key === 'Enter' && field.blur(),
      onchange: () => {
        const wanted = field.value.trim();
        if (!wanted || wanted === name) return void (field.value = name);
        void this.#change('updateConversation', { name: wanted });
      },
    });
    return field;
  }

  #memberSection() {
    const { chat, people } = this.#app;
    const members = [...(this.#members ?? [])].sort(
      (a, b) => RANK[a.role] - RANK[b.role] || people.name(a.userId).localeCompare(people.name(b.userId)),
    );
    const add = () =>
      addMembersDialog(this.#app, this.#conversation, new Set([chat.userId, ...members.map(({ userId }) => userId)]));
    return h(
      'section',
      { class: 'details-members' },
      h('h3', {}, plural(this.#conversation.details.memberCount ?? members.length, 'member')),
      this.#isAdmin &&
        h(
          'button',
          { type: 'button', class: 'person is-action', 'data-testid': 'add-members', onclick: add },
          h('span', { class: 'avatar medium is-plain' }, icon('plus')),
          'Add people',
        ),
      h('ul', {}, ...members.map((member) => this.#memberRow(member))),
      h(
        'button',
        { type: 'button', class: 'person is-action is-danger', 'data-testid': 'leave', onclick: () => void this.#leave() },
        h('span', { class: 'avatar medium is-plain' }, icon('back')),
        'Leave group',
      ),
    );
  }

  /** @param {Member} member */
  #memberRow(member) {
    const user = this.#app.people.get(member.userId);
    const isSelf = member.userId === this.#app.chat.userId;
    const actions = isSelf ? [] : this.#actionsOn(member, displayName(user));
    return h(
      'li',
      { class: 'person', 'data-testid': 'member', 'data-user-id': member.userId, 'data-role': member.role },
      avatar(userFace(user), 'medium'),
      h(
        'span',
        { class: 'two-lines' },
        h('strong', {}, isSelf ? 'You' : displayName(user)),
        member.role !== 'ROLE_MEMBER' && h('span', {}, roleName(member.role)),
      ),
      actions.length > 0 &&
        h(
          'details',
          { class: 'menu', onfocusout: closeMenu },
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
    const setRole = (/** @type {string} */ wanted) => void this.#change('updateRole', { userId, role: wanted });
    const items = [
      item(
        'Message',
        'message-member',
        () => void this.#ask(this.#app.chat.startDirect(userId).then(({ id }) => this.#app.open(id))),
      ),
    ];
    if (this.#role === 'ROLE_OWNER') {
      if (role !== 'ROLE_OWNER') items.push(item('Make owner', 'make-owner', () => setRole('ROLE_OWNER')));
      if (role !== 'ROLE_ADMIN') items.push(item('Make admin', 'make-admin', () => setRole('ROLE_ADMIN')));
      if (role !== 'ROLE_MEMBER') items.push(item('Make member', 'make-member', () => setRole('ROLE_MEMBER')));
    }
    if (this.#role === 'ROLE_OWNER' || (this.#role === 'ROLE_ADMIN' && role === 'ROLE_MEMBER')) {
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
    if (isSure) await this.#change('removeMember', { userId });
  }

  async #leave() {
    const isSure = await confirmDialog({
      title: 'Leave this group?',
      text: 'You can no longer read its messages, unless somebody adds you again.',
      action: 'Leave',
    });
    if (!isSure) return;
    const isDone = await this.#ask(this.#app.chat.leave(this.#conversation, this.#requestIdOf('leave')));
    if (isDone) this.#app.open('');
  }

  /** @param {string} name @param {object} body */
  async #change(name, body) {
    const request = { conversationId: this.#conversation.id, ...body };
    await this.#ask(this.#app.chat.request(name, { ...request, requestId: this.#requestIdOf([name, request, this.#members]) }));
  }

  /** @param {Promise<any>} answer @returns {Promise<boolean>} */
  async #ask(answer) {
    try {
      await answer;
      return true;
    } catch (error) {
      toast(sentence(/** @type {any} */ (error).reason));
      this.#draw();
      return false;
    }
  }
}

/** A menu closes when the focus goes elsewhere. @param {FocusEvent} event */
function closeMenu(event) {
  const menu = /** @type {HTMLElement} */ (event.currentTarget);
  if (!menu.contains(/** @type {Node | null} */ (event.relatedTarget))) menu.removeAttribute('open');
}
