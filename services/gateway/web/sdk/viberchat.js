import { Connection } from './connection.js';
import { Emitter } from './emitter.js';
import { Outbox } from './outbox.js';
import { Sync } from './sync.js';
import { RequestError, backoffMs, browserEnvironment } from './wire.js';

export { RequestError, newId, toNumber, toTime, utf8Length } from './wire.js';

/** @typedef {import('./conversation.js').Conversation} Conversation */

const READ_TRIES_MAX = 5;
const MARK_RETRY_MS = 2_000;

/**
 * A user's chat over one WebSocket.
 *
 * Events: `state` (the connection's), `change` (a conversation, or null for many), `entry` (conversation, log entry),
 * `removed` (conversation), `ready` (all is live after a resume).
 */
export class ViberChat extends Emitter {
  /** @type {Outbox} */
  outbox;
  /** Who we are; empty before the first welcome. */
  userId = '';

  #environment;
  #connection;
  #sync;
  /** @type {Conversation[] | null} */
  #sorted = null;
  /** Those whose read position the gateway does not have yet. @type {Set<Conversation>} */
  #toMark = new Set();

  /**
   * @param {object} options
   * @param {string} options.url `wss://…/v1/connect`
   * @param {() => Promise<string>} options.getToken Asked at every connect; an error with `fatal: true` closes the client.
   * @param {string} [options.deviceId] The same at every connect of this device.
   * @param {string} [options.client] Names the application, for the operator.
   * @param {Partial<import('./types.js').Environment>} [options.environment]
   */
  constructor({ url, getToken, deviceId, client = 'viberchat-js/0.1', environment = {} }) {
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
    });
    this.outbox = new Outbox({
      request: (name, body) => this.#connection.request(name, body),
      isOnline: () => this.#connection.isOnline,
      cursor: (id) => this.conversation(id)?.cursor ?? null,
      onChange: (id) => this.changed(this.conversation(id) ?? null),
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

  /** All conversations, pinned ones first, then by last activity. */
  conversations() {
    this.#sorted ??= [...this.#sync.conversations.values()]
      .filter((conversation) => conversation.isLoaded)
      .sort((a, b) => Number(b.isPinned) - Number(a.isPinned) || b.activityTime - a.activityTime || (a.id < b.id ? -1 : 1));
    return this.#sorted;
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

  /** Keeps a conversation on top of the list, or not. @param {Conversation} conversation @param {boolean} pinned */
  async setPinned(conversation, pinned) {
    const { settings } = await this.request('updateSettings', { conversationId: conversation.id, pinned });
    conversation.setDetails({ ...conversation.details, settings: settings ?? {} });
    this.changed(conversation);
  }

  /** Leaves a group; it goes from the list. @param {Conversation} conversation @param {string} requestId */
  async leave(conversation, requestId) {
    await this.request('leave', { conversationId: conversation.id, requestId });
    this.#sync.remove(conversation.id);
  }

  /** Tells the gateway how far a conversation is read, now or when it can. @param {Conversation} conversation */
  queueMarkRead(conversation) {
    this.#toMark.add(conversation);
    this.changed(conversation);
    void this.#sendMarks();
  }

  /** Something of a conversation is new; null: of many. @param {Conversation | null} conversation */
  changed(conversation) {
    this.#sorted = null;
    this.emit('change', conversation);
  }

  /** @param {number} ms @param {() => void} run */
  later(ms, run) {
    this.#environment.setTimeout(run, ms);
  }

  async #sendMarks() {
    for (const conversation of this.#toMark) {
      if (!this.#connection.isOnline) return;
      this.#toMark.delete(conversation);
      const seq = conversation.readSeq;
      try {
        const { position } = await this.request('markRead', { conversationId: conversation.id, seq: String(seq) });
        if (position) conversation.applyPosition(position);
      } catch (error) {
        const { reason } = /** @type {RequestError} */ (error);
        if (reason === 'CONVERSATION_NOT_FOUND' || reason === 'INVALID_ARGUMENT') continue;
        this.#toMark.add(conversation);
        return this.later(MARK_RETRY_MS, () => void this.#sendMarks());
      }
    }
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
      this.outbox.resumeAll();
      void this.#sendMarks();
      this.#sync.online().catch((error) => console.error(error));
    }
    this.emit('state', state);
  }
}
