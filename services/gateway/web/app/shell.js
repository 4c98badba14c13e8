import { ConnectionBar } from './connection-bar.js';
import { ConversationList } from './conversation-list.js';
import { ConversationView } from './conversation-view.js';
import { newDirectDialog, newGroupDialog } from './dialogs.js';
import { fill, h, iconButton } from './dom.js';
import { SelfMenu } from './self-menu.js';

/** The frame: the list at the left, the open conversation beside it; on a phone one of the two. */
export class Shell {
  #app;
  /** @type {ConversationView | null} */
  #view = null;
  /** @type {import('./drawer.js').Drawer | null} */
  #drawer = null;
  #focusedId = '';
  #self;
  #list;
  #stage = h('div', { class: 'stage' });
  #panes;

  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.#app = app;
    const list = (this.#list = new ConversationList(app));
    this.#self = new SelfMenu(app, () => void this.#toggleDrawer());
    const search = h('input', {
      type: 'search',
      class: 'field',
      placeholder: 'Filter conversations',
      'aria-label': 'Filter conversations',
      'data-testid': 'filter',
      oninput: () => (list.filter = search.value),
    });
    const header = h(
      'header',
      { class: 'list-header' },
      h('h1', { class: 'visually-hidden' }, 'ViberChat'),
      this.#self.element,
      iconButton('group', 'New group', () => newGroupDialog(app), { 'data-testid': 'new-group' }),
      iconButton('plus', 'New message', () => newDirectDialog(app), {
        class: 'icon-button is-primary',
        'data-testid': 'new-direct',
      }),
    );
    const nav = h(
      'nav',
      { class: 'list', 'aria-label': 'Conversations' },
      header,
      h('div', { class: 'list-search' }, search),
      list.element,
    );
    this.#panes = h('div', { class: 'panes' }, nav, this.#stage);
    this.element = h('div', { class: 'shell' }, new ConnectionBar(app).element, this.#panes);
    app.on('opened', () => this.#open());
    app.chat.on('change', () => this.#changed());
    app.chat.on('state', () => this.#self.draw());
    app.chat.on('presence', () => this.#self.draw());
    app.on('troubled', () => this.#self.draw());
    this.#open();
  }

  #open() {
    const { openId, chat } = this.#app;
    const left = this.#view?.element.contains(document.activeElement) ? this.#view.element.dataset.conversationId : '';
    this.#view?.close();
    this.#view = null;
    this.#panes.classList.toggle('is-open', openId !== '');
    const conversation = openId ? chat.conversation(openId) : undefined;
    this.#focus(conversation?.isLoaded ? openId : '');
    if (conversation?.isLoaded) {
      this.#view = new ConversationView(conversation, this.#app);
      fill(this.#stage, this.#view.element);
      this.#view.focus();
    } else {
      fill(this.#stage, openId && !chat.isListed ? h('main', { class: 'conversation' }) : this.#nothing(openId));
    }
    // Back to the list, where one came from.
    if (left && !openId) this.#list.focus(left);
  }

  /** Said once for each change of what is on the screen. @param {string} id */
  #focus(id) {
    if (this.#focusedId === id) return;
    this.#focusedId = id;
    this.#app.chat.focus(id ? [id] : []);
  }

  /** @param {string} openId */
  #nothing(openId) {
    const text = openId ? 'This conversation does not exist, or you are not in it.' : 'Pick a conversation, or start a new one.';
    return h(
      'main',
      { class: 'empty', 'data-testid': 'nothing-open' },
      h('img', { src: '/app/icon.svg', alt: '', width: 64, height: 64 }),
      h('p', {}, text),
      openId && h('button', { type: 'button', class: 'button', onclick: () => this.#app.open('') }, 'Back to the list'),
    );
  }

  #changed() {
    this.#self.draw();
    // The address may name one that has not been listed yet.
    if (!this.#view && this.#app.openId && (this.#app.chat.isListed || this.#app.chat.conversation(this.#app.openId)?.isLoaded))
      this.#open();
  }

  /** Loaded when somebody wants to see it. */
  async #toggleDrawer() {
    const { Drawer } = await import('./drawer.js');
    if (this.#drawer) {
      this.#drawer.close();
      this.#drawer = null;
    } else {
      this.#drawer = new Drawer(this.#app, () => void this.#toggleDrawer());
      this.element.append(this.#drawer.element);
    }
  }
}
