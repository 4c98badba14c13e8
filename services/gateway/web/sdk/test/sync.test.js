import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeGateway, HOLD, connected, settle } from './fake.js';

const text = (n) => ({ message: { messageId: `m${n}`, text: `text ${n}` } });

async function withMessages(count, kind = 'DIRECT') {
  const gateway = new FakeGateway();
  gateway.addConversation('c1', kind);
  for (let n = 1; n <= count; n++) gateway.append('c1', 'bob', text(n));
  const { chat, clock } = await connected(gateway);
  const seen = [];
  chat.on('entry', (_, entry) => seen.push(Number(entry.seq)));
  return { gateway, chat, clock, seen, c1: chat.conversation('c1') };
}

test('lists conversations of all pages with heads: pinned first, then by activity', async () => {
  const gateway = new FakeGateway();
  gateway.addConversation('old');
  gateway.addConversation('new');
  gateway.addConversation('pinned', 'GROUP', { settings: { pinned: true } });
  gateway.append('old', 'bob', text(1));
  gateway.append('new', 'bob', text(1));
  gateway.append('new', 'bob', text(2));
  gateway.reads.set('new', 1);
  const all = [...gateway.details.values()];
  gateway.handlers.listConversations = ({ pageToken }) =>
    pageToken ? { conversations: all.slice(2) } : { conversations: all.slice(0, 2), nextPageToken: 'next' };
  const { chat } = await connected(gateway);
  await settle();
  assert.deepEqual(
    chat.conversations().map(({ id }) => id),
    ['pinned', 'new', 'old'],
  );
  assert.equal(chat.conversation('new').unreadCount, 1);
  assert.equal(chat.conversation('new').lastMessage.text, 'text 2');
});

test('an entry moves the head, the unread count and the last message; edits and deletions change the last message', async () => {
  const { gateway, c1 } = await withMessages(1);
  gateway.publish('c1', 'bob', text(2));
  assert.deepEqual([c1.cursor, c1.unreadCount, c1.lastMessage.text], [2, 2, 'text 2']);
  gateway.publish('c1', 'bob', { edited: { messageId: 'm2', messageSeq: '2', text: 'new' } });
  assert.deepEqual([c1.unreadCount, c1.lastMessage.text], [2, 'new']);
  gateway.publish('c1', 'bob', { deleted: { messageId: 'm2', messageSeq: '2' } });
  assert.deepEqual([c1.lastMessage.deleted, c1.lastMessage.text], [true, '']);
});

test('an own message moves the own read position', async () => {
  const { gateway, c1 } = await withMessages(3);
  gateway.publish('c1', 'alice', text(4));
  assert.deepEqual([c1.unreadCount, c1.readSeq], [0, 4]);
});

test('entries that are known are dropped', async () => {
  const { gateway, seen } = await withMessages(2);
  gateway.publish('c1', 'bob', text(3));
  for (const entry of gateway.log('c1')) gateway.socket.push({ entry });
  assert.deepEqual(seen, [3]);
});

test('over a hole nothing passes: it is read from the log first, with what came meanwhile, in order', async () => {
  const { gateway, c1, seen } = await withMessages(1);
  for (let n = 2; n <= 450; n++) gateway.append('c1', 'bob', text(n));
  gateway.publish('c1', 'bob', text(451));
  gateway.publish('c1', 'bob', text(452));
  await settle();
  await settle();
  assert.deepEqual(
    seen,
    Array.from({ length: 451 }, (_, n) => n + 2),
  );
  assert.equal(c1.cursor, 452);
  assert.equal(gateway.socket.named('readLog').length, 3);
});

test('an entry that comes while the log is read is not lost', async () => {
  const { gateway, seen } = await withMessages(1);
  const { readLog } = gateway.handlers;
  gateway.handlers.readLog = (body) => {
    const reply = readLog(body);
    gateway.handlers.readLog = readLog;
    queueMicrotask(() => gateway.publish('c1', 'bob', text(9)));
    return reply;
  };
  gateway.append('c1', 'bob', text(2));
  gateway.publish('c1', 'bob', text(3));
  await settle();
  await settle();
  assert.deepEqual(seen, [2, 3, 4]);
});

test('hidden stands for all of its seqs, and an unknown kind for one', async () => {
  const { gateway, c1, seen } = await withMessages(1);
  gateway.socket.push({ entry: { conversationId: 'c1', seq: '2', body: { hidden: { toSeq: '9' } } } });
  assert.equal(c1.cursor, 9);
  gateway.socket.push({ entry: { conversationId: 'c1', seq: '10' } });
  assert.equal(c1.cursor, 10);
  assert.deepEqual(seen, [2, 10]);
});

test('resumed complete: entries since come once, and a head that was not reached is fetched', async () => {
  const { gateway, clock, c1, seen } = await withMessages(1);
  gateway.socket.end();
  gateway.append('c1', 'bob', text(2));
  gateway.append('c1', 'bob', text(3));
  await clock.advance(500);
  gateway.socket.push({ entry: gateway.log('c1')[1] });
  gateway.socket.push({ resumed: { conversationId: 'c1', complete: { headSeq: '3' } } });
  await settle();
  assert.deepEqual(seen, [2, 3]);
  assert.equal(c1.cursor, 3);
});

test('resumed gap: the head is asked for, live goes on where it says, and the open window is loaded anew', async () => {
  const { gateway, clock, c1, seen } = await withMessages(1);
  await c1.history.open();
  gateway.socket.end();
  for (let n = 2; n <= 700; n++) gateway.append('c1', 'bob', text(n));
  await clock.advance(500);
  gateway.socket.push({ resumed: { conversationId: 'c1', gap: { fromSeq: '700' } } });
  gateway.socket.push({ entry: gateway.log('c1')[699] });
  await clock.advance(0);
  assert.deepEqual(seen, [700]);
  assert.equal(c1.unreadCount, 700);
  assert.deepEqual([c1.history.items.length, c1.history.items.at(-1).seq, c1.history.isAtEnd], [50, 700, true]);
});

test('resumed reset: what was known is forgotten; removed takes the conversation away', async () => {
  const { gateway, chat, clock, c1 } = await withMessages(5);
  gateway.socket.end();
  gateway.logs.set('c1', gateway.log('c1').slice(0, 2));
  await clock.advance(500);
  gateway.socket.push({ resumed: { conversationId: 'c1', reset: {} } });
  await settle();
  assert.deepEqual([c1.cursor, c1.unreadCount, c1.lastMessage.text], [2, 2, 'text 2']);
  gateway.socket.push({ resumed: { conversationId: 'c1', reset: { removed: true } } });
  assert.equal(chat.conversation('c1'), undefined);
  assert.ok(c1.isRemoved);
});

test('a conversation that is added appears with its details and unread count, and its entries follow from its head', async () => {
  const { gateway, chat, seen } = await withMessages(1);
  gateway.addConversation('c2', 'GROUP', { name: 'Crew' });
  gateway.append('c2', 'bob', { conversationCreated: { name: 'Crew' } });
  gateway.append('c2', 'bob', text(1));
  gateway.socket.push({ conversation: { conversationId: 'c2', added: { headSeq: '2', unreadCount: '1' } } });
  await settle();
  const c2 = chat.conversations().find(({ id }) => id === 'c2');
  assert.deepEqual([c2.details.name, c2.unreadCount, c2.cursor], ['Crew', 1, 2]);
  gateway.publish('c2', 'bob', text(2));
  assert.deepEqual(seen, [3]);
});

test('a hole right after a conversation was added is noticed', async () => {
  const { gateway, seen } = await withMessages(1);
  gateway.addConversation('c2');
  gateway.append('c2', 'bob', text(1));
  gateway.socket.push({ conversation: { conversationId: 'c2', added: { headSeq: '1' } } });
  gateway.append('c2', 'bob', text(2));
  gateway.publish('c2', 'bob', text(3));
  await settle();
  assert.deepEqual(seen, [2, 3]);
});

for (const order of ['before', 'after']) {
  test(`what the first resume names ${order} the heads that lag behind it is there in the end`, async () => {
    const gateway = new FakeGateway();
    gateway.addConversation('c1');
    gateway.append('c1', 'bob', text(1));
    const { getHeads } = gateway.handlers;
    const announce = () => gateway.socket.push({ conversation: { conversationId: 'c1', added: { headSeq: '2' } } });
    gateway.handlers.getHeads = (body) => {
      gateway.handlers.getHeads = getHeads;
      const reply = getHeads(body);
      gateway.append('c1', 'bob', text(2));
      if (order === 'before') announce();
      else setImmediate(announce);
      return reply;
    };
    const { chat, clock } = await connected(gateway);
    await clock.advance(1000);
    const c1 = chat.conversation('c1');
    assert.deepEqual([c1.cursor, c1.lastMessage.text, c1.unreadCount], [2, 'text 2', 2]);
  });
}

test('an announcement before the listing sets the start, and the head that lags behind it brings the last message', async () => {
  const gateway = new FakeGateway();
  gateway.addConversation('c1');
  gateway.append('c1', 'bob', text(1));
  const { resumeEnd } = gateway.handlers;
  gateway.handlers.resumeEnd = (body, socket) => {
    socket.push({ conversation: { conversationId: 'c1', added: { headSeq: '2' } } });
    return resumeEnd();
  };
  const { chat } = await connected(gateway);
  assert.deepEqual([chat.conversation('c1').cursor, chat.conversation('c1').lastMessage.text], [2, 'text 1']);
  assert.equal(gateway.socket.named('getConversation').length, 0);
});

test('a conversation that changed is asked for again, also when an entry says so', async () => {
  const { gateway, c1 } = await withMessages(1, 'GROUP');
  gateway.details.set('c1', { conversationId: 'c1', kind: 'CONVERSATION_KIND_GROUP', name: 'New' });
  gateway.socket.push({ conversation: { conversationId: 'c1', changed: {} } });
  await settle();
  assert.equal(c1.details.name, 'New');
  gateway.details.set('c1', { conversationId: 'c1', kind: 'CONVERSATION_KIND_GROUP', name: 'Newer' });
  gateway.publish('c1', 'bob', { conversationUpdated: { name: 'Newer' } });
  await settle();
  assert.equal(c1.details.name, 'Newer');
});

test('a head that two heartbeats name in vain is fetched', async () => {
  const { gateway, c1 } = await withMessages(1);
  gateway.append('c1', 'bob', text(2));
  const heads = [{ conversationId: 'c1', headSeq: '2' }];
  gateway.socket.push({ heartbeat: { heads } });
  await settle();
  assert.equal(c1.cursor, 1);
  gateway.socket.push({ heartbeat: { heads } });
  await settle();
  assert.equal(c1.cursor, 2);
});

test('positions only move forward', async () => {
  const { gateway, c1 } = await withMessages(5);
  const move = (userId, readSeq) =>
    gateway.socket.push({ positions: { positions: [{ conversationId: 'c1', userId, readSeq, readMessageNo: readSeq }] } });
  move('bob', '4');
  move('bob', '2');
  move('alice', '4');
  move('alice', '3');
  assert.deepEqual([c1.positions.get('bob'), c1.readSeq, c1.unreadCount], [4, 4, 1]);
});

test('reading shows at once, and the gateway hears it when it can', async () => {
  const { gateway, clock, c1 } = await withMessages(4);
  gateway.socket.end();
  c1.markRead();
  assert.equal(c1.unreadCount, 0);
  await clock.advance(500);
  assert.deepEqual(gateway.socket.named('markRead'), [{ conversationId: 'c1', seq: '4' }]);
  c1.markRead();
  assert.equal(gateway.socket.named('markRead').length, 1);
});

test('what was read on another device while away is asked for on return', async () => {
  const { gateway, clock, c1 } = await withMessages(4);
  gateway.socket.end();
  gateway.reads.set('c1', 3);
  await clock.advance(500);
  assert.equal(c1.unreadCount, 1);
});

test('a listing that was cut off is taken up again', async () => {
  const gateway = new FakeGateway();
  gateway.addConversation('c1');
  const { getHeads } = gateway.handlers;
  gateway.handlers.getHeads = () => HOLD;
  const { chat, clock } = await connected(gateway);
  assert.equal(chat.isListed, false);
  gateway.handlers.getHeads = getHeads;
  gateway.socket.end();
  await clock.advance(500);
  assert.equal(chat.isListed, true);
  assert.equal(chat.conversation('c1').cursor, 0);
});
