/** How things are said: times, reasons, changes of a group. No DOM in here. */

/** @typedef {(userId: string) => string} NameOf */

const DAY_MS = 86_400_000;
/** @param {Intl.DateTimeFormatOptions} options */
const formatter = (options) => new Intl.DateTimeFormat(undefined, options);
const clockFormat = formatter({ hour: '2-digit', minute: '2-digit' });
const weekdayFormat = formatter({ weekday: 'short' });
const dateFormat = formatter({ day: 'numeric', month: 'short' });
const yearFormat = formatter({ day: 'numeric', month: 'short', year: 'numeric' });
const longFormat = formatter({ weekday: 'long', day: 'numeric', month: 'long' });
const fullFormat = formatter({ dateStyle: 'full', timeStyle: 'medium' });

/** @param {number} time */
export const clockTime = (time) => clockFormat.format(time);

/** Without "AM" or "PM": for a narrow place beside a message that has the whole time near. @param {number} time */
export const narrowTime = (time) =>
  clockFormat
    .formatToParts(time)
    .filter(({ type }) => type !== 'dayPeriod')
    .map(({ value }) => value)
    .join('')
    .trim();

/** @param {number} time */
export const fullTime = (time) => fullFormat.format(time);

/** Which local day, as a number that grows by one each day. @param {number} time */
export function dayNumber(time) {
  const date = new Date(time);
  return Math.round(Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) / DAY_MS);
}

/** Short, for a list. @param {number} time @param {number} now */
export function listTime(time, now) {
  if (!time) return '';
  const days = dayNumber(now) - dayNumber(time);
  if (days <= 0) return clockTime(time);
  if (days === 1) return 'Yesterday';
  if (days < 7) return weekdayFormat.format(time);
  return days < 300 ? dateFormat.format(time) : yearFormat.format(time);
}

/** For the line between two days. @param {number} time @param {number} now */
export function dayLabel(time, now) {
  const days = dayNumber(now) - dayNumber(time);
  if (days === 0) return 'Today';
  if (days === 1) return 'Yesterday';
  return days > 0 && days < 300 ? longFormat.format(time) : yearFormat.format(time);
}

/** Up to two letters. @param {string} name */
export function initials(name) {
  const words = name.split(/[\s\-_.@]+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words[words.length - 1]] : words;
  return letters.map((word) => [...word][0].toUpperCase()).join('') || '?';
}

export const TONES = 8;

/** A colour that stays with an id. @param {string} id */
export function toneOf(id) {
  let hash = 2_166_136_261;
  for (const char of id) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 16_777_619);
  return (hash >>> 8) % TONES;
}

/** @param {string[]} names */
export function listNames(names) {
  if (names.length > 4) return `${names.slice(0, 3).join(', ')} and ${names.length - 3} others`;
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names[names.length - 1]}`;
}

/** @param {number} count @param {string} one @param {string} [many] */
export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

const ROLES = /** @type {Record<string, string>} */ ({ ROLE_OWNER: 'Owner', ROLE_ADMIN: 'Admin', ROLE_MEMBER: 'Member' });

/** @param {string | undefined} role */
export const roleName = (role) => ROLES[role ?? ''] ?? '';

/**
 * A change of a group, as a sentence.
 * @param {Record<string, any>} body the entry's body
 * @param {string} actor @param {NameOf} nameOf says "You" for oneself
 */
export function systemLine(body, actor, nameOf) {
  const who = nameOf(actor);
  if (body.conversationCreated) return `${who} created the group “${body.conversationCreated.name ?? ''}”`;
  if (body.membersAdded)
    return `${who} added ${listNames((body.membersAdded.members ?? []).map((/** @type {any} */ member) => lower(nameOf(member.userId))))}`;
  if (body.memberRemoved) {
    const { userId, left, newOwnerUserId } = body.memberRemoved;
    const line = left ? `${nameOf(userId)} left` : `${who} removed ${lower(nameOf(userId))}`;
    return newOwnerUserId
      ? `${line}. ${nameOf(newOwnerUserId)} ${nameOf(newOwnerUserId) === 'You' ? 'are' : 'is'} the owner now`
      : line;
  }
  if (body.roleChanged) return `${who} made ${lower(nameOf(body.roleChanged.userId))} ${roleWithArticle(body.roleChanged.role)}`;
  if (body.conversationClosed) return `${who} deleted the group`;
  const { name, description, avatarUrl, history } = body.conversationUpdated ?? {};
  if (name !== undefined) return `${who} named the group “${name}”`;
  if (history) return `${who} changed what new members can see`;
  const what = description !== undefined ? 'description' : avatarUrl !== undefined ? 'picture' : 'settings';
  return `${who} changed the ${what} of the group`;
}

/** @param {string} name */
const lower = (name) => (name === 'You' ? 'you' : name);

/** @param {string} role */
const roleWithArticle = (role) => ({ ROLE_OWNER: 'an owner', ROLE_ADMIN: 'an admin' })[role] ?? 'a member';

/** @param {string[]} names @returns {string} empty if nobody types */
export function typingText(names) {
  if (names.length === 0) return '';
  if (names.length > 3) return 'Several people are typing…';
  return `${listNames(names)} ${names.length === 1 ? 'is' : 'are'} typing…`;
}

const STATUSES = /** @type {Record<string, string>} */ ({
  online: 'Online',
  away: 'Away',
  busy: 'Busy',
  invisible: 'Invisible',
  offline: 'Offline',
});

/** @param {import('../sdk/types.js').Presence} presence @param {number} now @returns {string} empty if nothing is known */
export function presenceText({ status, lastSeen }, now) {
  if (status !== 'offline' || !lastSeen) return STATUSES[status] ?? '';
  const minutes = Math.floor((now - lastSeen) / 60_000);
  if (minutes < 60) return minutes < 2 ? 'Last seen just now' : `Last seen ${minutes} minutes ago`;
  const days = dayNumber(now) - dayNumber(lastSeen);
  if (days === 0) return `Last seen today, ${clockTime(lastSeen)}`;
  return `Last seen ${days === 1 ? 'yesterday' : listTime(lastSeen, now)}`;
}

const REASONS = /** @type {Record<string, string>} */ ({
  BLOCKED: 'messages between you are blocked',
  PEER_GONE: 'this person is not here any more',
  CONVERSATION_NOT_FOUND: 'you are no longer in this conversation',
  MESSAGE_NOT_FOUND: 'the message does not exist any more',
  ALREADY_DELETED: 'the message was deleted',
  USER_NOT_FOUND: 'there is no such person',
  SELF_CONVERSATION: 'that is you',
  MEMBER_EXISTS: 'already in the group',
  PERMISSION_DENIED: 'you may not do this',
  ROLE_REQUIRED: 'only admins may do this',
  TEXT_EMPTY: 'the message is empty',
  TEXT_TOO_LONG: 'the message is too long',
  LIMIT_EXCEEDED: 'a limit is reached',
  RATE_LIMITED: 'too fast, wait a moment',
  NOT_CONNECTED: 'there is no connection',
  DISCONNECTED: 'the connection was lost',
  DEADLINE_EXCEEDED: 'the server took too long',
  STORE_UNAVAILABLE: 'the server cannot save at the moment',
});

/** @param {string} reason */
export const reasonText = (reason) => REASONS[reason] ?? 'something went wrong';

const CONNECTION_REASONS = /** @type {Record<string, string>} */ ({
  SILENT: 'The server does not answer',
  DRAINING: 'The server restarts',
  SLOW_CONSUMER: 'The connection is too slow',
  TOKEN_EXPIRED: 'The sign-in has ended',
  UNAUTHENTICATED: 'The sign-in is not valid',
  KICKED: 'The server ended this session',
  PROTOCOL_ERROR: 'This page is out of date',
});

/** @param {string} reason */
export const connectionText = (reason) => CONNECTION_REASONS[reason] ?? 'No connection';
