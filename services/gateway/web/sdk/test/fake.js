import { ViberChat } from '../viberchat.js';

/** A clock that moves when told. */
export class FakeClock {
  time = 1_000_000;
  #timers = new Map();
  #lastTimer = 0;

  now = () => this.time;
  setTimeout = (run, ms) => {
    this.#timers.set(++this.#lastTimer, { run, at: this.time + ms });
    return this.#lastTimer;
  };
  clearTimeout = (timer) => void this.#timers.delete(timer);

  /** Moves on, running what falls due in its order, and lets promises settle in between. */
  async advance(ms) {
    const end = this.time + ms;
    await settle();
    for (;;) {
      const due = [...this.#timers].filter(([, { at }]) => at <= end).sort((a, b) => a[1].at - b[1].at || a[0] - b[0])[0];
      if (!due) break;
      this.#timers.delete(due[0]);
      this.time = Math.max(this.time, due[1].at);
      due[1].run();
      await settle();
    }
    this.time = end;
  }
}

export const settle = () => new Promise((resolve) => setImmediate(resolve));

/** One socket as the gateway sees it. */
export class FakeSocket {
  onopen = null;
  onmessage = null;
  onclose = null;
  frames = [];
  isClosed = false;
  #gateway;

  constructor(gateway) {
    this.#gateway = gateway;
  }

  send(text) {
    const frame = JSON.parse(text);
    const [name, body] = Object.entries(frame).find(([key]) => key !== 'id');
    this.frames.push({ id: frame.id, name, body });
    this.#gateway.receive(this, frame.id, name, body);
  }

  close() {
    this.isClosed = true;
  }

  /** What the gateway does. */
  open() {
    this.onopen?.({});
  }
  deliver(frame) {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
  push(push) {
    this.deliver({ push });
  }
  end(code = 1006, reason = '') {
    this.isClosed = true;
    this.onclose?.({ code, reason });
  }
  named(name) {
    return this.frames.filter((frame) => frame.name === name).map((frame) => frame.body);
  }
}

/**
 * A gateway to be scripted: `handlers[name](body, socket)` returns the reply, throws an error frame, or returns HOLD to answer
 * later with `answer`. Behind the defaults there is a small log per conversation.
 */
export class FakeGateway {
  sockets = [];
  logs = new Map();
  details = new Map();
  reads = new Map();
  refuseConnections = false;
  handlers = {
    hello: () => ({ sessionId: 's', userId: 'alice', heartbeatMs: 15_000, limits: {} }),
    resumePart: () => null,
    resumeEnd: () => null,
    heartbeat: () => null,
    listConversations: () => ({ conversations: [...this.details.values()] }),
    getConversation: ({ conversationId }) => ({ conversation: this.details.get(conversationId) }),
    getHeads: ({ conversationIds }) => ({ heads: conversationIds.map((id) => this.head(id)) }),
    listMessages: (body) => this.listMessages(body),
    readLog: ({ conversationId, afterSeq, limit }) => {
      const log = this.log(conversationId);
      const after = Number(afterSeq);
      return { entries: log.slice(after, after + Math.min(limit, 200)), headSeq: String(log.length) };
    },
    listPositions: () => ({}),
    markRead: ({ conversationId, seq }) => ({ position: { conversationId, userId: 'alice', readSeq: seq } }),
    send: ({ conversationId, clientMessageId, text }) => {
      const entry = this.append(
        conversationId,
        'alice',
        { message: { messageId: `m-${clientMessageId}`, text } },
        clientMessageId,
      );
      return { message: this.message(entry, this.log(conversationId)) };
    },
    react: (body) => this.change(body, 'reactionAdded'),
    unreact: (body) => this.change(body, 'reactionRemoved'),
    pin: (body) => this.change(body, 'pinned'),
    unpin: (body) => this.change(body, 'unpinned'),
    getMessage: ({ conversationId, messageId }) => {
      const message = this.messages(conversationId).find((known) => known.messageId === messageId);
      if (!message) throw refusal('MESSAGE_NOT_FOUND');
      return { message, asOfSeq: String(this.log(conversationId).length) };
    },
    listPinned: ({ conversationId }) => ({
      messages: this.messages(conversationId).filter(({ pinnedByUserId }) => pinnedByUserId),
      asOfSeq: String(this.log(conversationId).length),
    }),
    markDelivered: ({ conversationId, seq }) => ({ position: { conversationId, userId: 'alice', deliveredSeq: seq } }),
    setTyping: () => ({}),
    setStatus: ({ status }) => ({ presence: { userId: 'alice', status } }),
    watchPresence: ({ userIds }) => ({ presences: userIds.map((userId) => ({ userId, status: 'STATUS_ONLINE' })) }),
    unwatchPresence: () => null,
    focus: () => null,
    refreshToken: () => ({}),
    updateSettings: ({ conversationId, ...changes }) => {
      const details = this.details.get(conversationId);
      const settings = { ...details.settings, ...changes };
      this.details.set(conversationId, { ...details, settings });
      return { settings };
    },
  };

  openSocket = () => {
    const socket = new FakeSocket(this);
    this.sockets.push(socket);
    queueMicrotask(() => (this.refuseConnections ? socket.end() : socket.open()));
    return socket;
  };

  get socket() {
    return this.sockets.at(-1);
  }

  receive(socket, id, name, body) {
    let result;
    try {
      result = this.handlers[name](body, socket, id);
    } catch (error) {
      queueMicrotask(() => socket.deliver({ id, error }));
      return;
    }
    if (result !== HOLD) queueMicrotask(() => this.answer(socket, id, name, result));
  }

  answer(socket, id, name, result) {
    socket.deliver({ id, reply: result === null ? {} : { [name === 'hello' ? 'welcome' : name]: result } });
  }

  addConversation(id, kind = 'DIRECT', more = {}) {
    this.details.set(id, { conversationId: id, kind: `CONVERSATION_KIND_${kind}`, ...more });
    this.logs.set(id, []);
  }

  log(id) {
    return this.logs.get(id) ?? [];
  }

  /** Adds to the log without telling anybody. */
  append(conversationId, actorUserId, body, requestId) {
    const log = this.log(conversationId);
    const messageNo = Number(log.at(-1)?.messageNo ?? 0) + (body.message ? 1 : 0);
    const seq = log.length + 1;
    const createTime = new Date(1_700_000_000_000 + seq * 1000).toISOString();
    const entry = {
      conversationId,
      seq: String(seq),
      messageNo: String(messageNo),
      actorUserId,
      createTime,
      body,
      ...(requestId && { requestId }),
    };
    log.push(entry);
    return entry;
  }

  /** Adds to the log and pushes. */
  publish(conversationId, actorUserId, body, requestId) {
    const entry = this.append(conversationId, actorUserId, body, requestId);
    this.socket.push({ entry });
    return entry;
  }

  /** A change of a message by alice. */
  change({ conversationId, messageId, emoji, requestId }, kind) {
    const { seq } = this.append(conversationId, 'alice', { [kind]: { messageId, ...(emoji && { emoji }) } }, requestId);
    return { message: { messageId }, seq };
  }

  message(entry, log) {
    const { messageId } = entry.body.message;
    const changes = log.map((other) => other.body);
    const edited = changes.findLast((body) => body.edited?.messageId === messageId);
    const deleted = changes.some((body) => body.deleted?.messageId === messageId);
    return {
      messageId,
      seq: entry.seq,
      messageNo: entry.messageNo,
      senderUserId: entry.actorUserId,
      createTime: entry.createTime,
      ...(deleted ? { deleteTime: entry.createTime } : { text: edited?.edited.text ?? entry.body.message.text }),
      ...(edited && { editTime: entry.createTime }),
      ...(!deleted && { reactions: this.reactions(messageId, log), pinnedByUserId: this.pinnedBy(messageId, log) }),
    };
  }

  reactions(messageId, log) {
    const given = new Map();
    for (const { actorUserId, body } of log) {
      const { emoji } = [body.reactionAdded, body.reactionRemoved].find((about) => about?.messageId === messageId) ?? {};
      if (!emoji) continue;
      const users = given.get(emoji) ?? new Set();
      if (body.reactionAdded) users.add(actorUserId);
      else users.delete(actorUserId);
      given.set(emoji, users);
    }
    return [...given]
      .filter(([, users]) => users.size > 0)
      .map(([emoji, users]) => ({ emoji, count: users.size, reacted: users.has('alice') }));
  }

  pinnedBy(messageId, log) {
    const last = log.findLast(({ body }) => (body.pinned ?? body.unpinned)?.messageId === messageId);
    return last?.body.pinned ? last.actorUserId : '';
  }

  messages(conversationId) {
    const log = this.log(conversationId);
    return log.filter((entry) => entry.body.message).map((entry) => this.message(entry, log));
  }

  head(conversationId) {
    const log = this.log(conversationId);
    const messageNo = Number(log.at(-1)?.messageNo ?? 0);
    const unread = messageNo - (this.reads.get(conversationId) ?? 0);
    return {
      conversationId,
      headSeq: String(log.length),
      messageNo: String(messageNo),
      unreadCount: String(unread),
      lastMessage: this.messages(conversationId).at(-1),
    };
  }

  listMessages({ conversationId, pageSize, beforeSeq, afterSeq, aroundSeq }) {
    const all = this.messages(conversationId);
    const asOfSeq = String(this.log(conversationId).length);
    let messages, more;
    if (afterSeq) {
      const after = all.filter(({ seq }) => Number(seq) > Number(afterSeq));
      [messages, more] = [after.slice(0, pageSize), after.length > pageSize];
    } else if (aroundSeq) {
      const at = all.findIndex(({ seq }) => Number(seq) >= Number(aroundSeq));
      [messages, more] = [all.slice(Math.max(0, at - pageSize / 2), at + pageSize / 2), false];
    } else {
      const before = all.filter(({ seq }) => !beforeSeq || Number(seq) < Number(beforeSeq));
      [messages, more] = [before.slice(-pageSize), before.length > pageSize];
    }
    return { messages, asOfSeq, ...(more && { nextPageToken: 'more' }) };
  }
}

export const HOLD = Symbol('answered later');

/** A refusal as a frame carries it. */
export const refusal = (reason, outcome = '', retryAfterMs = 0) => ({
  reason,
  ...(outcome && { outcome: `OUTCOME_${outcome}` }),
  retryAfterMs,
});

let lastId = 0;

/** A client on a fake gateway, connected. */
export async function connected(gateway, { random = 1, getToken = async () => 'token', store } = {}) {
  const clock = new FakeClock();
  const chat = new ViberChat({
    url: 'ws://test',
    getToken,
    deviceId: 'device',
    store,
    environment: {
      openSocket: gateway.openSocket,
      now: clock.now,
      setTimeout: clock.setTimeout,
      clearTimeout: clock.clearTimeout,
      random: () => random,
      newId: () => `id-${++lastId}`,
    },
  });
  chat.start();
  await settle();
  await settle();
  return { chat, clock };
}
