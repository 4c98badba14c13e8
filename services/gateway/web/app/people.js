import { h } from './dom.js';
import { initials, toneOf } from './format.js';

/** @typedef {{userId: string, username?: string, displayName?: string, avatarUrl?: string}} User */

const BATCH = 200;

/** Profiles by user id. Who is not known yet shows under the id, and is asked for together with others. */
export class People {
  /** @type {Map<string, User>} */
  #users = new Map();
  /** @type {Set<string>} */
  #wanted = new Set();
  #chat;

  /** @param {import('../sdk/viberchat.js').ViberChat} chat */
  constructor(chat) {
    this.#chat = chat;
  }

  /** @param {string} userId @returns {User} */
  get(userId) {
    const user = this.#users.get(userId);
    if (user || !userId) return user ?? { userId };
    if (this.#wanted.size === 0) queueMicrotask(() => void this.#load());
    this.#wanted.add(userId);
    return { userId };
  }

  /** @param {string} userId */
  name(userId) {
    return displayName(this.get(userId));
  }

  /** All names under which somebody may be mentioned, the shown one first. @param {string} userId */
  names(userId) {
    const user = this.get(userId);
    return [...new Set([displayName(user), user.username ?? '', userId])].filter(Boolean);
  }

  /** For sentences. @param {string} userId */
  nameOrYou(userId) {
    return userId === this.#chat.userId ? 'You' : this.name(userId);
  }

  /** @param {User[]} users */
  learn(users) {
    for (const user of users) this.#users.set(user.userId, user);
  }

  /** The name and the picture of a conversation. @param {import('../sdk/conversation.js').Conversation} conversation */
  faceOf(conversation) {
    const { details, id, isDirect } = conversation;
    const nickname = details.settings?.nickname;
    if (!isDirect) return { id, name: nickname || details.name || 'Group', avatarUrl: details.avatarUrl ?? '' };
    const peer = this.get(details.peerUserId ?? '');
    return { id: peer.userId, name: nickname || displayName(peer), avatarUrl: peer.avatarUrl ?? '' };
  }

  async #load() {
    const userIds = [...this.#wanted].slice(0, BATCH);
    // Known as bare until the answer comes, so that nobody is asked for twice.
    for (const userId of userIds) {
      this.#wanted.delete(userId);
      this.#users.set(userId, { userId });
    }
    if (this.#wanted.size > 0) queueMicrotask(() => void this.#load());
    try {
      const { users } = await this.#chat.read('getUsers', { userIds });
      this.learn(users ?? []);
      this.#chat.changed(null);
    } catch {
      for (const userId of userIds) this.#users.delete(userId);
    }
  }
}

/** @param {User} user */
export const displayName = (user) => user.displayName || user.username || user.userId;

/** A round picture, or initials on a colour that stays. @param {{id: string, name: string, avatarUrl?: string}} face @param {string} [size] */
export function avatar({ id, name, avatarUrl }, size = '') {
  const element = h('span', { class: `avatar tone-${toneOf(id)} ${size}`, 'aria-hidden': 'true' }, initials(name));
  if (avatarUrl) {
    const image = h('img', { src: avatarUrl, alt: '', onerror: () => image.remove() });
    element.append(image);
  }
  return element;
}

/** @param {User} user */
export const userFace = (user) => ({ id: user.userId, name: displayName(user), avatarUrl: user.avatarUrl });

/** A picture with a dot that says who is there. @param {{id: string, name: string, avatarUrl?: string}} face @param {string} size @param {string} status */
export const avatarWithDot = (face, size, status) =>
  h(
    'span',
    { class: `face ${size}` },
    avatar(face, size),
    DOTS.includes(status) &&
      h('span', {
        class: `dot is-${status}`,
        role: 'img',
        'aria-label': status,
        'data-testid': 'presence',
        'data-status': status,
      }),
  );

const DOTS = ['online', 'away', 'busy', 'invisible'];
