/** Mentions in a text: what is being typed, what was chosen, and where they stand. No DOM in here. */

/** Somebody by all the names that mention them; the first is the one that is written. @typedef {{userId: string, names: string[]}} Mentionable */

/** The `@…` that the caret stands behind; null if there is none. @param {string} text @param {number} caret */
export function mentionQuery(text, caret) {
  const match = /(?:^|[\s(])@([^\s@]{0,32})$/.exec(text.slice(0, caret));
  return match ? { query: match[1], from: caret - match[1].length - 1 } : null;
}

/** Those whose name has a word that begins with it, at most eight. @param {Mentionable[]} people @param {string} query */
export function mentionMatches(people, query) {
  const wanted = query.toLocaleLowerCase();
  /** @param {Mentionable} person */
  const fits = ({ names }) => names.flatMap((name) => name.split(/\s+/)).some((word) => word.toLocaleLowerCase().startsWith(wanted));
  return people.filter(fits).slice(0, 8);
}

/** Puts a name in the place of what was typed. @param {string} text @param {{from: number}} typed @param {number} caret @param {string} name */
export function insertMention(text, { from }, caret, name) {
  const head = `${text.slice(0, from)}@${name} `;
  return { text: head + text.slice(caret).replace(/^ /, ''), caret: head.length };
}

/** Who of these people stands in a text. @param {string} text @param {Mentionable[]} people @returns {string[]} */
export function mentionedIn(text, people) {
  const all = people.flatMap(({ names }) => names);
  const found = new Set(mentionParts(text, all).flatMap((part) => (part.isMention ? [part.text.slice(1)] : [])));
  return people.filter(({ names }) => names.some((name) => found.has(name))).map(({ userId }) => userId);
}

/**
 * Cuts a text at the mentions in it.
 * @param {string} text @param {readonly string[]} names
 * @returns {{text: string, isMention: boolean}[]}
 */
export function mentionParts(text, names) {
  const known = names.filter(Boolean).sort((a, b) => b.length - a.length);
  if (known.length === 0) return [{ text, isMention: false }];
  const pattern = new RegExp(`(@(?:${known.map(escaped).join('|')}))(?![\\p{L}\\p{N}_])`, 'u');
  return text
    .split(pattern)
    .map((part, at) => ({ text: part, isMention: at % 2 === 1 }))
    .filter((part) => part.text !== '');
}

/** @param {string} text */
const escaped = (text) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
