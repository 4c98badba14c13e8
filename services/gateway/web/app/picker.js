import { fill, h, icon } from './dom.js';
import { avatar, displayName, userFace } from './people.js';

/** @typedef {import('./people.js').User} User */

const SEARCH_AFTER_MS = 150;
const SHOWN_MAX = 30;

/** A search for people: one to pick, or several as chips. Before anything is typed it offers those one already talks to. */
export class PeoplePicker {
  /** @type {Map<string, User>} */
  #picked = new Map();
  /** @type {any} */
  #timer;
  /** What the results are for. */
  #shownQuery = '';
  #app;
  #options;
  #chips = h('div', { class: 'chips', hidden: true });
  #input = h('input', {
    type: 'search',
    class: 'field',
    placeholder: 'Search by name',
    'aria-label': 'Search people by name',
    autocomplete: 'off',
    'data-testid': 'user-search',
    oninput: () => this.#typed(),
    onkeydown: (/** @type {KeyboardEvent} */ event) => this.#key(event),
  });
  #results = h('div', { class: 'picker-results', role: 'group', 'aria-label': 'People' });

  /**
   * @param {import('./main.js').App} app
   * @param {{exclude: Set<string>, isMultiple?: boolean, onPick?: (user: User) => void}} options
   */
  constructor(app, options) {
    this.#app = app;
    this.#options = options;
    this.element = h('div', { class: 'picker' }, this.#chips, this.#input, this.#results);
    this.#suggest();
  }

  focus() {
    this.#input.focus();
  }

  pickedIds() {
    return [...this.#picked.keys()];
  }

  #typed() {
    clearTimeout(this.#timer);
    if (this.#query) this.#timer = setTimeout(() => void this.#search(), SEARCH_AFTER_MS);
    else this.#suggest();
  }

  get #query() {
    return this.#input.value.trim();
  }

  #suggest() {
    const { chat, people } = this.#app;
    const peers = chat
      .conversations()
      .filter(({ isDirect }) => isDirect)
      .map(({ details }) => people.get(details.peerUserId ?? ''));
    this.#show(peers, peers.length > 0 ? '' : 'Type the beginning of a name.');
  }

  async #search() {
    const query = this.#query;
    // Emptied since, by a pick.
    if (!query) return;
    if (this.#app.chat.state.name !== 'online') this.#show([], 'No connection. The search goes on when it is back.');
    try {
      const { users = [] } = await this.#app.chat.read('searchUsers', { query, pageSize: SHOWN_MAX });
      if (query !== this.#query) return;
      this.#app.people.learn(users);
      // A directory may be open to everybody who is not listed.
      if (users.length === 0) this.#show([{ userId: query }], 'Nobody found by this name. As a user id:');
      else this.#show(users, '');
    } catch {
      this.#show([], 'The search did not work. Try again.');
    }
  }

  /** @param {User[]} users @param {string} note */
  #show(users, note) {
    const shown = users.filter(({ userId }) => userId && !this.#options.exclude.has(userId)).slice(0, SHOWN_MAX);
    this.#shownQuery = this.#query;
    fill(this.#results, note && h('p', { class: 'picker-note' }, note), ...shown.map((user) => this.#option(user)));
  }

  /** @param {User} user */
  #option(user) {
    const isPicked = this.#picked.has(user.userId);
    const name = displayName(user);
    return h(
      'button',
      {
        type: 'button',
        class: 'person',
        'data-testid': 'user-option',
        'data-user-id': user.userId,
        ...(this.#options.isMultiple && { 'aria-pressed': String(isPicked) }),
        onclick: () => this.#pick(user),
      },
      avatar(userFace(user), 'medium'),
      h('span', { class: 'two-lines' }, h('strong', {}, name), name !== user.userId && h('span', {}, `@${user.userId}`)),
      isPicked && icon('check'),
    );
  }

  /** @param {User} user */
  #pick(user) {
    if (!this.#options.isMultiple) return this.#options.onPick?.(user);
    if (!this.#picked.delete(user.userId)) this.#picked.set(user.userId, user);
    this.#input.value = '';
    this.#chips.hidden = this.#picked.size === 0;
    fill(this.#chips, ...[...this.#picked.values()].map((picked) => this.#chip(picked)));
    this.#suggest();
    this.focus();
  }

  /** @param {User} user */
  #chip(user) {
    const name = displayName(user);
    return h(
      'button',
      { type: 'button', class: 'chip', 'aria-label': `Remove ${name}`, 'data-testid': 'chip', onclick: () => this.#pick(user) },
      name,
      icon('close'),
    );
  }

  /** Enter takes the first result, Backspace in an empty field the last chip away. @param {KeyboardEvent} event */
  #key(event) {
    if (event.key === 'Enter' && this.#query) {
      event.preventDefault();
      if (this.#shownQuery !== this.#query) return;
      /** @type {HTMLElement | null} */ (this.#results.querySelector('.person'))?.click();
    } else if (event.key === 'Backspace' && this.#input.value === '' && this.#picked.size > 0) {
      this.#pick([...this.#picked.values()][this.#picked.size - 1]);
    }
  }
}
