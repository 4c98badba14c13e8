import { requestIds, sentence } from './dialogs.js';
import { fill, h, iconButton, onceAFrame, toast } from './dom.js';
import { presenceText } from './format.js';
import { MembersPanel } from './members-panel.js';
import { avatarWithDot } from './people.js';
import { settingsPanel } from './settings-panel.js';

/** What a conversation is besides its messages: who or what it is, one's own settings of it, and the members of a group. */
export class DetailsPane {
  #conversation;
  #app;
  #stop;
  #requestIdOf = requestIds();
  #body = h('div', { class: 'details-body' });
  #members;
  #close;

  /** @param {import('../sdk/conversation.js').Conversation} conversation @param {import('./main.js').App} app @param {() => void} onClose */
  constructor(conversation, app, onClose) {
    this.#conversation = conversation;
    this.#app = app;
    const draw = onceAFrame(() => this.draw());
    this.#close = iconButton('close', 'Close details', onClose);
    this.#members = conversation.isDirect ? null : new MembersPanel(this, draw);
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
        this.#close,
      ),
      this.#body,
    );
    const stopChange = app.chat.on('change', (changed) => (!changed || changed === conversation) && draw());
    const stopPresence = app.chat.on('presence', draw);
    const stopTroubled = app.on('troubled', draw);
    this.#stop = () => (stopChange(), stopPresence(), stopTroubled());
    this.draw();
  }

  get conversation() {
    return this.#conversation;
  }

  get app() {
    return this.#app;
  }

  get role() {
    return this.#conversation.details.role ?? '';
  }

  get isAdmin() {
    return this.role === 'ROLE_OWNER' || this.role === 'ROLE_ADMIN';
  }

  focus() {
    this.#close.focus();
  }

  close() {
    this.#stop();
    this.#members?.close();
  }

  draw() {
    // A menu that is open is not drawn away under the pointer, nor a field under the caret.
    if (this.#conversation.isRemoved || this.#body.querySelector('details.menu[open], .field:focus, .select:focus')) return;
    const focused = this.#body.contains(document.activeElement) ? document.activeElement?.getAttribute('data-testid') : '';
    fill(this.#body, this.#face(), settingsPanel(this), this.#members?.draw());
    const again = /** @type {NodeListOf<HTMLElement>} */ (this.#body.querySelectorAll(`[data-testid="${focused}"]`));
    if (again.length === 1) again[0].focus();
  }

  #face() {
    const { people } = this.#app;
    const { isDirect, details } = this.#conversation;
    const face = people.faceOf(this.#conversation);
    const presence = this.#app.presenceOf(isDirect ? (details.peerUserId ?? '') : '');
    const status = presenceText(presence, Date.now());
    const canRename = !isDirect && this.isAdmin;
    return h(
      'div',
      { class: 'details-face' },
      avatarWithDot(face, 'large', presence.status),
      canRename ? this.#textField('name', 'Name of the group', details.name ?? '', 255) : h('h2', {}, face.name),
      isDirect && h('p', {}, `@${face.id}${status && ` · ${status}`}`),
      canRename && this.#textField('description', 'Description', details.description ?? '', 1_000),
      !canRename && details.description && h('p', { class: 'description' }, details.description),
    );
  }

  /** @param {'name' | 'description'} key @param {string} label @param {string} value @param {number} maxLength */
  #textField(key, label, value, maxLength) {
    const field = h('input', {
      class: `field ${key}-field`,
      value,
      maxLength,
      placeholder: key === 'description' ? 'Add a description' : '',
      'aria-label': label,
      'data-testid': key === 'name' ? 'rename' : 'description',
      onkeydown: (/** @type {KeyboardEvent} */ event) => event.key === 'Enter' && field.blur(),
      onchange: () => {
        const wanted = field.value.trim();
        if ((key === 'name' && !wanted) || wanted === value) return void (field.value = value);
        void this.change('updateConversation', { [key]: wanted });
      },
    });
    return field;
  }

  /** A change of the group. The same one again has the same id. @param {string} name @param {object} body */
  async change(name, body) {
    const request = { conversationId: this.#conversation.id, ...body };
    const { details } = this.#conversation;
    return this.ask(this.#app.chat.request(name, { ...request, requestId: this.requestId([name, request, details]) }));
  }

  /** @param {unknown} about */
  requestId(about) {
    return this.#requestIdOf(about);
  }

  /** @param {Promise<any>} answer @returns {Promise<boolean>} */
  async ask(answer) {
    try {
      await answer;
      return true;
    } catch (error) {
      toast(sentence(/** @type {any} */ (error).reason));
      this.draw();
      return false;
    }
  }
}
