import { Connection } from './connection.js';
import { Emitter } from './emitter.js';
import { Marks } from './marks.js';
import { Outbox } from './outbox.js';
import { Presences } from './presence.js';
import { Sync } from './sync.js';
import { RequestError, backoffMs, browserEnvironment } from './wire.js';

export { RequestError, newId } from './wire.js';

/**
 * What an application may want to name.
 * @typedef {import('./conversation.js').Conversation} Conversation
 * @typedef {import('./conversation.js').SendOptions} SendOptions
 * @typedef {import('./history.js').History} History
 * @typedef {import('./outbox.js').OutboxItem} OutboxItem
 * @typedef {import('./types.js').ConnectionState} ConnectionState
 * @typedef {import('./types.js').HistoryItem} HistoryItem
 * @typedef {import('./types.js').LogEntryJson} LogEntryJson
 * @typedef {import('./types.js').Message} Message
 * @typedef {import('./types.js').OutboxStore} OutboxStore
 * @typedef {import('./types.js').Presence} Presence
 * @typedef {import('./types.js').Reaction} Reaction
 * @typedef {import('./types.js').SystemLine} SystemLine
 *
 * @typedef {object} ChatEvents What an event tells.
 * @property {[state: ConnectionState]} state The connection's.
 * @property {[conversation: Conversation | null]} change Something of a conversation is new; null: of many.
 * @property {[conversation: Conversation, entry: LogEntryJson]} entry One of its log, in order.
 * @property {[conversation: Conversation]} removed We are no longer in it.
 * @property {[]} ready All is live after a resume.
 * @property {[]} presence Of somebody who is followed.
 * @property {[item: OutboxItem]} refused A reaction or a pin that was not taken.
 * @property {[shed: Record<string, any>]} shed This client reads too slowly: typing notices were left out.
 * @property {[direction: 'in' | 'out', text: string]} frame All that goes over the wire.
 */

const READ_TRIES_MAX = 5;

/**
 * A user's chat over one WebSocket. Its events: `ChatEvents`.
 * @extends {Emitter<ChatEvents>}
 */
export class ViberChat extends Emitter {
  /** @type {Outbox} */
  outbox;
  marks = new Marks(this);
  /** Who is there. */
  presence = new Presences(this);
  /** Who we are; empty before the first welcome. */
  userId = '';

  #environment;
  #connection;
  #sync;
  /** @type {Conversation[] | null} */
  #sorted = null;
  /** The conversations on the screen. @type {string[]} */
  #focused = [];

  /**
   * @param {object} options
   * @param {string} options.url `wss://…/v1/connect`
   * @param {() => Promise<string>} options.getToken Asked at every connect; an error with `fatal: true` closes the client.
   * @param {string} [options.deviceId] The same at every connect of this device.
   * @param {import('./types.js').OutboxStore} [options.store] Keeps what is on its way out over a reload; else it is in memory only.
   * @param {string} [options.client] Names the application, for the operator.
   * @param {Partial<import('./types.js').Environment>} [options.environment]
   */
  constructor({ url, getToken, deviceId, store, client = 'viberchat-js/0.1', environment = {} }) {
    super();
    this.#environment = { ...browserEnvironment, ...environment };
    this.#sync = new Sync(this);
    this.#connection = new Connection({
      url,
      getToken,
      client,
      deviceId: deviceId ?? this.#environment.newId(),
      environment: this.#environment,
      cursors: () => this.#sync.cursors(),
      onPush: (push) => this.#sync.push(push),
      onState: (state) => this.#stateChanged(state),
      onFrame: (direction, text) => this.emit('frame', direction, text),
    });
    this.outbox = new Outbox({
      request: (name, body) => this.#connection.request(name, body),
      isOnline: () => this.#connection.isOnline,
      cursor: (id) => this.conversation(id)?.cursor ?? null,
      onChange: (id) => this.changed(this.conversation(id) ?? null),
      onRefused: (item) => this.emit('refused', item),
      store,
      environment: this.#environment,
    });
  }

  get state() {
    return this.#connection.state;
  }

  /** The first page of conversations has come. */
  get isListed() {
    return this.#sync.isListed;
  }

  /** What the gateway takes, as it said at the last hello. */
  get limits() {
    return { textBytesMax: this.#connection.welcome?.limits?.textBytesMax || 16_384 };
  }

  start() {
    this.#connection.connect();
  }

  close() {
    this.#connection.close();
  }

  /** Connects now instead of at the next try. To be called when the network or the page comes back. */
  wake() {
    this.#connection.wake();
  }

  /** All conversations, or the archived ones instead; without those we have cleared. Pinned ones first, then by last activity. @param {boolean} [isArchived] */
  conversations(isArchived = false) {
    this.#sorted ??= [...this.#sync.conversations.values()]
      .filter(({ id, isLoaded, isCleared }) => isLoaded && (!isCleared || this.outbox.items(id).length > 0))
      .sort((a, b) => Number(b.isPinned) - Number(a.isPinned) || b.activityTime - a.activityTime || (a.id < b.id ? -1 : 1));
    return this.#sorted.filter((conversation) => conversation.isArchived === isArchived);
  }

  /** @param {string} id @returns {Conversation | undefined} */
  conversation(id) {
    return this.#sync.conversations.get(id);
  }

  /**
   * Sends one frame and returns its answer. Nothing is tried again.
   * @param {string} name the frame's name in lowerCamelCase, for example `addMembers`
   * @param {object} body
   * @returns {Promise<any>} rejects with a RequestError
   */
  request(name, body) {
    return this.#connection.request(name, body);
  }

  /**
   * The same for what changes nothing: waits for the connection and tries again while that may help.
   * @param {string} name
   * @param {object} body
   * @returns {Promise<any>}
   */
  async read(name, body) {
    for (let tries = 0; ;) {
      await this.#untilOnline();
      try {
        return await this.#connection.request(name, body);
      } catch (caught) {
        const error = /** @type {RequestError} */ (caught);
        if (error.reason === 'DISCONNECTED' || error.reason === 'NOT_CONNECTED') continue;
        if (!error.mayPass || ++tries >= READ_TRIES_MAX) throw error;
        const waitMs = Math.max(error.retryAfterMs, backoffMs(tries, this.#environment.random()));
        await new Promise((resolve) => this.later(waitMs, () => resolve(null)));
      }
    }
  }

  /** What a paged frame lists, of all pages. @param {string} name @param {object} body @param {string} key the list in its reply @returns {Promise<any[]>} */
  async readAll(name, body, key) {
    const all = [];
    let pageToken;
    do {
      const reply = await this.read(name, { ...body, pageSize: 200, pageToken });
      all.push(...(reply[key] ?? []));
      pageToken = reply.nextPageToken;
    } while (pageToken);
    return all;
  }

  /** The one direct conversation with a user. @param {string} peerUserId */
  async startDirect(peerUserId) {
    const { conversation } = await this.request('startDirect', { peerUserId });
    return this.#sync.takeDetails(conversation);
  }

  /** A new group. The same `requestId` again makes no second one. @param {{name: string, memberUserIds: string[], requestId: string}} group */
  async createGroup(group) {
    const { conversation } = await this.request('createGroup', group);
    return this.#sync.takeDetails(conversation);
  }

  /** Leaves a group; it goes from the list. @param {Conversation} conversation @param {string} requestId */
  leave(conversation, requestId) {
    return this.#part('leave', conversation.id, requestId);
  }

  /** Deletes a group for everyone. @param {Conversation} conversation @param {string} requestId */
  deleteConversation(conversation, requestId) {
    return this.#part('deleteConversation', conversation.id, requestId);
  }

  /** @param {string} name @param {string} conversationId @param {string} requestId */
  async #part(name, conversationId, requestId) {
    await this.request(name, { conversationId, requestId });
    this.#sync.remove(conversationId);
  }

  /** Neither can write to the other in a direct any more, or again. @param {string} userId @param {boolean} isBlocked */
  async setBlocked(userId, isBlocked) {
    await this.request(isBlocked ? 'blockUser' : 'unblockUser', { userId });
    for (const { id, details } of this.#sync.conversations.values()) if (details.peerUserId === userId) this.#sync.stale(id);
  }

  /** Whom we have blocked. @returns {Promise<string[]>} */
  async blockedUsers() {
    return (await this.readAll('listBlocked', {}, 'users')).map(({ userId }) => userId);
  }

  /** How others see us. @param {'online' | 'away' | 'busy' | 'invisible'} status */
  async setStatus(status) {
    const { presence } = await this.request('setStatus', { status: `STATUS_${status.toUpperCase()}` });
    if (presence) this.presence.learn([presence]);
  }

  /** Names the conversations on the screen, at most 20: typing and read marks come for them. @param {string[]} conversationIds */
  focus(conversationIds) {
    this.#focused = conversationIds.slice(0, 20);
    // The next connection hears it anyway.
    this.request('focus', { conversationIds: this.#focused }).catch(() => {});
  }

  /** Asks anew for a conversation's details and head. @param {string} id */
  refresh(id) {
    this.#sync.stale(id);
  }

  /** Something of a conversation is new; null: of many. @param {Conversation | null} conversation */
  changed(conversation) {
    this.#sorted = null;
    this.emit('change', conversation);
  }

  now() {
    return this.#environment.now();
  }

  /** @param {number} ms @param {() => void} run */
  later(ms, run) {
    this.#environment.setTimeout(run, ms);
  }

  /** @returns {Promise<void>} */
  #untilOnline() {
    if (this.#connection.isOnline) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const stop = this.on('state', ({ name }) => {
        if (name !== 'online' && name !== 'closed') return;
        stop();
        if (name === 'online') resolve();
        else reject(new RequestError('CLOSED', ''));
      });
    });
  }

  /** @param {import('./types.js').ConnectionState} state */
  #stateChanged(state) {
    if (state.name === 'online') {
      this.userId = this.#connection.welcome.userId;
      void this.outbox.resumeAll(this.userId);
      void this.marks.send();
      this.presence.online();
      if (this.#focused.length > 0) this.focus(this.#focused);
      this.#sync.online().catch((error) => console.error(error));
    }
    this.emit('state', state);
  }
}
