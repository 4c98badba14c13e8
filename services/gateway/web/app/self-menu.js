import { fill, h, icon } from './dom.js';
import { presenceText } from './format.js';
import { avatarWithDot, userFace } from './people.js';
import { setTheme, theme } from './theme.js';

const STATUSES = /** @type {const} */ (['online', 'away', 'busy', 'invisible']);
const THEMES = /** @type {const} */ (['system', 'light', 'dark']);

/** Who is signed in: how others see them, how it looks, and the way out. */
export class SelfMenu {
  #app;
  #onFrames;
  #face = h('summary', { 'data-testid': 'self-menu' });
  #items = h('div', { class: 'menu-items is-wide' });
  element = h('div', { class: 'self', 'data-testid': 'self' });
  #drawn = '';
  #stopWatch = () => {};
  #watched = '';

  /** @param {import('./main.js').App} app @param {() => void} onFrames */
  constructor(app, onFrames) {
    this.#app = app;
    this.#onFrames = onFrames;
  }

  draw() {
    const { userId, presence } = this.#app.chat;
    if (!userId) return;
    if (userId !== this.#watched) {
      this.#watched = userId;
      this.#stopWatch();
      this.#stopWatch = presence.watch([userId]);
    }
    const face = userFace(this.#app.people.get(userId));
    const { status } = this.#app.presenceOf(userId);
    const wanted = JSON.stringify([face, status, theme()]);
    if (this.#drawn === wanted) return;
    this.#drawn = wanted;
    if (!this.element.firstChild) this.element.append(this.#menu());
    fill(
      this.#face,
      h('span', { class: 'visually-hidden' }, 'Signed in as'),
      avatarWithDot(face, 'medium', status),
      h('span', { class: 'two-lines' }, h('strong', {}, face.name), h('span', {}, presenceText({ status, lastSeen: 0 }, 0))),
    );
    const focused = this.#items.contains(document.activeElement) ? document.activeElement?.getAttribute('data-testid') : '';
    fill(
      this.#items,
      this.#choice('Status', STATUSES, status, (wish) => void this.#setStatus(wish)),
      this.#choice('Theme', THEMES, theme(), (wish) => (setTheme(wish), this.draw())),
      h(
        'button',
        { type: 'button', 'data-testid': 'blocked-people', onclick: () => void this.#blocked() },
        icon('block'),
        'Blocked people',
      ),
      h(
        'button',
        { type: 'button', 'data-testid': 'open-frames', onclick: () => (this.#close(), this.#onFrames()) },
        icon('code'),
        'Frames on the wire',
      ),
      h(
        'button',
        { type: 'button', 'data-testid': 'sign-out', onclick: () => this.#app.signInAgain() },
        icon('back'),
        'Sign out',
      ),
    );
    // What had the focus is drawn anew, and has it again.
    if (focused) /** @type {HTMLElement | null} */ (this.#items.querySelector(`[data-testid="${focused}"]`))?.focus();
  }

  #menu() {
    const menu = h('details', { class: 'menu' }, this.#face, this.#items);
    menu.addEventListener('focusout', (event) => {
      const to = /** @type {Node | null} */ (event.relatedTarget);
      if (to && !menu.contains(to)) this.#close();
    });
    menu.addEventListener('keydown', (event) => event.key === 'Escape' && (this.#close(), this.#face.focus()));
    document.addEventListener('pointerdown', (event) => menu.contains(/** @type {Node} */ (event.target)) || this.#close());
    return menu;
  }

  #close() {
    this.#face.parentElement?.removeAttribute('open');
  }

  /**
   * @template {string} T
   * @param {string} label @param {readonly T[]} values @param {string} present @param {(value: T) => void} onChoose
   */
  #choice(label, values, present, onChoose) {
    return h(
      'div',
      { role: 'group', 'aria-label': label, class: 'menu-group' },
      h('h3', {}, label),
      values.map((value) =>
        h(
          'button',
          {
            type: 'button',
            'aria-pressed': String(value === present),
            'data-testid': `${label.toLowerCase()}-${value}`,
            onclick: () => onChoose(value),
          },
          label === 'Status' && h('span', { class: `dot is-${value}`, 'aria-hidden': 'true' }),
          `${value[0].toUpperCase()}${value.slice(1)}`,
          value === present && icon('check'),
        ),
      ),
    );
  }

  /** @param {typeof STATUSES[number]} status */
  async #setStatus(status) {
    this.#close();
    this.#face.focus();
    const { sentence } = await import('./dialogs.js');
    const { toast } = await import('./dom.js');
    await this.#app.chat.setStatus(status).catch((error) => toast(sentence(error.reason)));
  }

  async #blocked() {
    this.#close();
    const { blockedDialog } = await import('./blocked.js');
    await blockedDialog(this.#app);
  }
}
