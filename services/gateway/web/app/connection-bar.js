import { fill, h } from './dom.js';
import { connectionText, plural } from './format.js';

/** Says what is wrong with the connection, once it has been wrong for two seconds. Connected is silent. */
export class ConnectionBar {
  #app;
  #text = h('span', { role: 'status' });
  /** Changes every second: not for those who listen. */
  #countdown = h('span', { 'aria-hidden': 'true' });
  #button = h('button', { type: 'button', class: 'text-button' });
  /** @type {any} */
  #timer;

  /** @param {import('./main.js').App} app */
  constructor(app) {
    this.#app = app;
    this.element = h(
      'div',
      { class: 'connection-bar', 'data-testid': 'connection-state', hidden: true },
      h('span', { class: 'spinner', 'aria-hidden': 'true' }),
      h('span', {}, this.#text, ' ', this.#countdown),
      this.#button,
    );
    app.chat.on('state', () => this.draw());
    app.on('troubled', () => this.draw());
    addEventListener('offline', () => this.draw());
    this.draw();
  }

  draw() {
    const { name, reason, retryAt } = this.#app.chat.state;
    this.element.dataset.state = name;
    this.element.hidden = !this.#app.isTroubled;
    clearTimeout(this.#timer);
    if (this.element.hidden) return fill(this.#text);
    const waiting = this.#app.chat.outbox.size;
    const later = waiting > 0 ? ` ${plural(waiting, 'message')} will be sent.` : '';
    const seconds = Math.ceil((retryAt - Date.now()) / 1000);
    const isClosed = name === 'closed';
    const what = navigator.onLine ? `${connectionText(reason)}.` : 'You are offline.';
    const text = `${what}${later}`;
    if (this.#text.textContent !== text) this.#text.textContent = text;
    this.#countdown.textContent = isClosed
      ? ''
      : name === 'offline' && seconds > 0
        ? `Trying again in ${seconds} s`
        : 'Connecting…';
    this.#button.textContent = isClosed ? 'Sign in again' : 'Try now';
    this.#button.hidden = name === 'connecting';
    this.#button.onclick = () => (isClosed ? this.#app.signInAgain() : this.#app.chat.wake());
    this.element.classList.toggle('is-closed', isClosed);
    if (name === 'offline') this.#timer = setTimeout(() => this.draw(), 500);
  }
}
