/** @typedef {{userId: string, role: string}} Member */

const MEMBERS_MAX = 1_000;

/** @type {WeakMap<import('../sdk/conversation.js').Conversation, Promise<Member[]>>} */
const loaded = new WeakMap();

/** The members of a group, read once and anew after each change of them. @param {import('../sdk/conversation.js').Conversation} conversation @param {import('../sdk/viberchat.js').ViberChat} chat @returns {Promise<Member[]>} */
export function membersOf(conversation, chat) {
  let members = loaded.get(conversation);
  if (!members) {
    members = read(conversation.id, chat);
    loaded.set(conversation, members);
    members.catch(() => loaded.delete(conversation));
  }
  return members;
}

/** Each change of the members is an entry of the log. @param {import('../sdk/viberchat.js').ViberChat} chat */
export const followMembers = (chat) =>
  chat.on('entry', (conversation, { body = {} }) => {
    if (body.membersAdded || body.memberRemoved || body.roleChanged || body.hidden) loaded.delete(conversation);
  });

/** @param {string} conversationId @param {import('../sdk/viberchat.js').ViberChat} chat */
async function read(conversationId, chat) {
  /** @type {Member[]} */
  const members = [];
  let pageToken;
  do {
    const reply = await chat.read('listMembers', { conversationId, pageSize: 200, pageToken });
    members.push(...(reply.members ?? []));
    pageToken = reply.nextPageToken;
  } while (pageToken && members.length < MEMBERS_MAX);
  return members;
}
