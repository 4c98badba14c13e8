import { fill, h, iconButton } from './dom.js';

const FRAMES_MAX = 300;
const TEXT_MAX = 20_000;

/** For developers: the frames on the wire, the newest at the bottom. Tokens are masked. */
export class Drawer {
  #frames = h('ol', { class: 'frames', 'data-testid': 'frames', tabIndex: 0, 'aria-label': 'Frames' });
  #filter = h('input', { type: 'search', class: 'field is-slim', placeholder: 'Filter', 'aria-label': 'Filter frames' });
  #stop;
  #isPaused = false;

  /** @param {import('./main.js').App} app @param {() => void} onClose */
  constructor(app, onClose) {
    this.element = h(
      'section',
      { class: 'drawer', 'aria-label': 'Frames on the wire', 'data-testid': 'drawer' },
      h(
        'header',
        {},
        h('h2', {}, 'Frames'),
        this.#filter,
        h('span', { class: 'grow' }),
        h(
          'button',
          { type: 'button', class: 'text-button', onclick: (/** @type {any} */ event) => this.#pause(event.target) },
          'Pause',
        ),
        h('button', { type: 'button', class: 'text-button', onclick: () => fill(this.#frames) }, 'Clear'),
        iconButton('close', 'Close frames', onClose),
      ),
      this.#frames,
    );
    this.#filter.addEventListener('input', () => this.#applyFilter());
    this.#stop = app.chat.on('frame', (direction, text) => this.#isPaused || this.#add(direction, text));
  }

  close() {
    this.#stop();
    this.element.remove();
  }

  /** @param {'in' | 'out'} direction @param {string} text */
  #add(direction, text) {
    const { title, body, kind } = describe(text);
    const isAtEnd = this.#frames.scrollHeight - this.#frames.scrollTop - this.#frames.clientHeight < 24;
    const time = new Date().toISOString().slice(11, 23);
    const row = h(
      'li',
      { class: `frame is-${direction} ${kind}`, 'data-testid': 'frame', 'data-direction': direction, 'data-frame': title },
      h(
        'details',
        {},
        h(
          'summary',
          {},
          h('span', { class: 'quiet' }, time),
          direction === 'in' ? '↓' : '↑',
          h('strong', {}, title),
          h('span', { class: 'quiet' }, `${text.length} B`),
        ),
        h('pre', {}, body),
      ),
    );
    this.#frames.append(row);
    this.#hide(row);
    if (this.#frames.childElementCount > FRAMES_MAX) this.#frames.firstElementChild?.remove();
    if (isAtEnd) this.#frames.scrollTop = this.#frames.scrollHeight;
  }

  /** @param {HTMLElement} button */
  #pause(button) {
    this.#isPaused = !this.#isPaused;
    button.textContent = this.#isPaused ? 'Go on' : 'Pause';
  }

  #applyFilter() {
    for (const row of this.#frames.children) this.#hide(/** @type {HTMLElement} */ (row));
  }

  /** @param {HTMLElement} row */
  #hide(row) {
    row.hidden = !row.textContent?.toLowerCase().includes(this.#filter.value.trim().toLowerCase());
  }
}

/** What a frame is called, and its content for people. @param {string} text */
export function describe(text) {
  try {
    const frame = JSON.parse(text, (key, value) => (key === 'token' ? '•••' : value));
    const { id, error, push, reply, ...request } = frame;
    const inner = push ?? reply ?? request;
    const name = error ? (error.reason ?? 'error') : (Object.keys(inner)[0] ?? 'ok');
    const title = `${name}${id ? ` #${id}` : ''}`;
    return { title, body: JSON.stringify(frame, null, 2).slice(0, TEXT_MAX), kind: error ? 'is-error' : push ? 'is-push' : '' };
  } catch {
    return { title: 'unreadable', body: text.slice(0, TEXT_MAX), kind: 'is-error' };
  }
}
