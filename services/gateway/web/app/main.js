import { Emitter } from '../sdk/emitter.js';
import { IndexedDbStore } from '../sdk/idb-store.js';
import { ViberChat, newId } from '../sdk/viberchat.js';
import { onceAFrame, toast } from './dom.js';
import { reasonText } from './format.js';
import { followMembers } from './members.js';
import { People } from './people.js';
import { demoToken, demoUser, deviceId, forgetToken, keptToken, keptTokenInTime, takeFragmentToken } from './session.js';
import { Shell } from './shell.js';
import { showSignIn } from './sign-in.js';
import { applyTheme } from './theme.js';

const REFUSED = /** @type {Record<string, string>} */ ({
  react: 'The reaction was not taken',
  unreact: 'The reaction was not taken back',
  pin: 'The message was not pinned',
  unpin: 'The message was not unpinned',
});
const TROUBLE_MS = 2_000;
const SIGN_IN_REASONS = ['UNAUTHENTICATED', 'TOKEN_EXPIRED', 'NO_TOKEN'];

/**
 * What the parts share: the client, the people, which conversation is open, and whether the connection has been gone for long enough
 * to speak of it. Events: `opened` (another conversation), `troubled` (that changed).
 * @extends {Emitter<{opened: [id: string], troubled: []}>}
 */
export class App extends Emitter {
  openId = '';
  isTroubled = false;
  /** @type {any} */
  #troubleTimer;

  /** @param {() => Promise<string>} getToken */
  constructor(getToken) {
    super();
    const url = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/v1/connect`;
    // Private windows of some browsers have no IndexedDB: then a reload forgets what waits.
    const store = globalThis.indexedDB ? new IndexedDbStore({ owner: newId() }) : undefined;
    this.chat = new ViberChat({ url, getToken, deviceId: deviceId(newId), store, client: 'viberchat-web/0.1' });
    this.people = new People(this.chat);
    followMembers(this.chat);
    this.chat.on('state', () => this.#judge());
    this.chat.on('refused', ({ kind, reason }) => toast(`${REFUSED[kind] ?? 'Not saved'}: ${reasonText(reason)}.`));
    this.chat.on(
      'change',
      onceAFrame(() => this.#title()),
    );
    addEventListener('hashchange', () => this.#route());
    addEventListener('online', () => this.chat.wake());
    document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && this.chat.wake());
  }

  start() {
    this.chat.start();
    this.#route();
  }

  /** Opens a conversation; empty: only the list. @param {string} id */
  open(id) {
    if (id) location.hash = `#/c/${id}`;
    else history.pushState(null, '', location.pathname + location.search);
    this.#route();
  }

  /** Without a connection nobody knows who is there. @param {string} userId @returns {import('../sdk/types.js').Presence} */
  presenceOf(userId) {
    return this.isTroubled ? { status: 'unknown', lastSeen: 0 } : this.chat.presence.get(userId);
  }

  signInAgain() {
    forgetToken();
    location.href = location.pathname;
  }

  #route() {
    const id = decodeURIComponent(/^#\/c\/(.+)$/.exec(location.hash)?.[1] ?? '');
    if (id === this.openId) return;
    this.openId = id;
    this.emit('opened', id);
  }

  #judge() {
    const { name, reason, since } = this.chat.state;
    clearTimeout(this.#troubleTimer);
    if (name === 'closed' && SIGN_IN_REASONS.includes(reason)) {
      forgetToken();
      return void showSignIn(root, {
        error: 'Your sign-in has ended or is not valid.',
        onToken: () => location.assign(location.pathname),
      });
    }
    const waitMs = name === 'closed' ? 0 : since + TROUBLE_MS - Date.now();
    if (name === 'online') this.#setTroubled(false);
    else if (waitMs <= 0) this.#setTroubled(true);
    else this.#troubleTimer = setTimeout(() => this.#setTroubled(true), waitMs);
  }

  /** @param {boolean} isTroubled */
  #setTroubled(isTroubled) {
    this.isTroubled = isTroubled;
    this.emit('troubled');
  }

  #title() {
    const unread = this.chat.conversations().reduce((sum, { unreadCount, isMuted }) => sum + (isMuted ? 0 : unreadCount), 0);
    const title = unread > 0 ? `(${unread}) ViberChat` : 'ViberChat';
    if (document.title !== title) document.title = title;
  }
}

const root = /** @type {HTMLElement} */ (document.getElementById('app'));

/** @param {() => Promise<string>} getToken */
function enter(getToken) {
  const app = new App(getToken);
  root.replaceChildren(new Shell(app).element);
  app.start();
}

applyTheme();
takeFragmentToken();
const user = demoUser();
if (user) enter(() => demoToken(user));
else if (keptToken()) enter(keptTokenInTime);
else void showSignIn(root, { onToken: () => enter(keptTokenInTime) });
