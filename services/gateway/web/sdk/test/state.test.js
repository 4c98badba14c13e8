import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeGateway, HOLD, connected, refusal, settle } from './fake.js';

const text = (n, more = {}) => ({ message: { messageId: `m${n}`, text: `text ${n}`, ...more } });

async function opened(count, { kind = 'DIRECT', more } = {}) {
  const gateway = new FakeGateway();
  gateway.addConversation('c1', kind, more);
  for (let n = 1; n <= count; n++) gateway.append('c1', 'bob', text(n));
  const { chat, clock } = await connected(gateway);
  const c1 = chat.conversation('c1');
  await c1.history.open();
  const message = (id) => c1.history.items.find((item) => item.messageId === id);
  return { gateway, chat, clock, c1, message };
}

test('reactions count up and down, one’s own are known, and what nobody gives any more is gone', async () => {
  const { gateway, message } = await opened(1);
  const give = (user, kind, emoji) => gateway.publish('c1', user, { [kind]: { messageId: 'm1', messageSeq: '1', emoji } });
  give('bob', 'reactionAdded', '👍');
  give('alice', 'reactionAdded', '👍');
  give('bob', 'reactionAdded', '🎉');
  assert.deepEqual(message('m1').reactions, [
    { emoji: '👍', count: 2, reacted: true },
    { emoji: '🎉', count: 1, reacted: false },
  ]);
  give('alice', 'reactionRemoved', '👍');
  give('bob', 'reactionRemoved', '🎉');
  assert.deepEqual(message('m1').reactions, [{ emoji: '👍', count: 1, reacted: false }]);
});

test('a reaction that a page has already is not counted twice', async () => {
  const { gateway, c1, message } = await opened(1);
  const entry = gateway.append('c1', 'bob', { reactionAdded: { messageId: 'm1', emoji: '👍' } });
  await c1.history.open();
  gateway.socket.push({ entry });
  assert.deepEqual(message('m1').reactions, [{ emoji: '👍', count: 1, reacted: false }]);
});

test('a change that comes while an older page is on its way is in that page', async () => {
  const { gateway, c1, message } = await opened(60);
  const { listMessages } = gateway.handlers;
  gateway.handlers.listMessages = (body) => {
    const reply = listMessages(body);
    gateway.publish('c1', 'bob', { reactionAdded: { messageId: 'm2', emoji: '👍' } });
    gateway.publish('c1', 'bob', { edited: { messageId: 'm3', text: 'new', mentionedUserIds: ['alice'] } });
    return reply;
  };
  await c1.history.loadOlder();
  assert.equal(message('m2').reactions[0]?.count, 1);
  assert.deepEqual([message('m3').text, message('m3').mentionedUserIds], ['new', ['alice']]);
});

test('a message carries its reply, mentions and metadata; an edit has its own mentions', async () => {
  const { gateway, message } = await opened(1);
  const more = { replyToMessageId: 'm1', replyToSeq: '1', mentionedUserIds: ['alice'], metadata: { entries: { ticket: '7' } } };
  gateway.publish('c1', 'bob', text(2, more));
  const { replyToMessageId, replyToSeq, mentionedUserIds, metadata } = message('m2');
  assert.deepEqual([replyToMessageId, replyToSeq, mentionedUserIds, metadata], ['m1', 1, ['alice'], { ticket: '7' }]);
  gateway.publish('c1', 'bob', { edited: { messageId: 'm2', text: 'without' } });
  assert.deepEqual(message('m2').mentionedUserIds, []);
});

test('a deletion erases text, mentions, metadata, reactions and pin: in the window, the pins, the quotes and the list', async () => {
  const { gateway, c1, message } = await opened(0);
  gateway.publish('c1', 'bob', text(1, { mentionedUserIds: ['alice'], metadata: { entries: { a: 'b' } } }));
  gateway.publish('c1', 'bob', { reactionAdded: { messageId: 'm1', emoji: '👍' } });
  gateway.publish('c1', 'bob', { pinned: { messageId: 'm1' } });
  await c1.quotes.loadPins();
  assert.equal(c1.quotes.pins.length, 1);
  gateway.publish('c1', 'bob', { deleted: { messageId: 'm1', messageSeq: '1' } });
  const { text: left, mentionedUserIds, metadata, reactions, pinnedByUserId, deleted } = message('m1');
  assert.deepEqual([left, mentionedUserIds, metadata, reactions, pinnedByUserId, deleted], ['', [], {}, [], '', true]);
  assert.deepEqual([c1.quotes.pins, c1.lastMessage.text, c1.lastMessage.deleted], [[], '', true]);
});

test('a quoted message outside of the window is asked for once, follows edits, and is erased with its message', async () => {
  const { gateway, c1 } = await opened(100);
  assert.equal(c1.quotes.get('m1'), undefined);
  c1.quotes.get('m1');
  await settle();
  assert.equal(c1.quotes.get('m1').text, 'text 1');
  assert.equal(gateway.socket.named('getMessage').length, 1);
  gateway.publish('c1', 'bob', { edited: { messageId: 'm1', text: 'new' } });
  assert.equal(c1.quotes.get('m1').text, 'new');
  gateway.publish('c1', 'bob', { deleted: { messageId: 'm1' } });
  assert.deepEqual([c1.quotes.get('m1').text, c1.quotes.get('m1').deleted], ['', true]);
});

test('a deletion that comes while a quote is on its way erases it too', async () => {
  const { gateway, c1 } = await opened(100);
  const { getMessage } = gateway.handlers;
  gateway.handlers.getMessage = (body) => {
    const reply = getMessage(body);
    gateway.publish('c1', 'bob', { deleted: { messageId: 'm1' } });
    return reply;
  };
  c1.quotes.get('m1');
  await settle();
  assert.deepEqual([c1.quotes.get('m1').text, c1.quotes.get('m1').deleted], ['', true]);
});

test('a quoted message that cannot be seen is null, and not asked for again', async () => {
  const { gateway, c1 } = await opened(1);
  c1.quotes.get('hidden');
  await settle();
  assert.equal(c1.quotes.get('hidden'), null);
  assert.equal(gateway.socket.named('getMessage').length, 1);
});

test('pins are kept in step once they were asked for', async () => {
  const { gateway, c1 } = await opened(2);
  gateway.publish('c1', 'bob', { pinned: { messageId: 'm1' } });
  assert.equal(gateway.socket.named('listPinned').length, 0);
  await c1.quotes.loadPins();
  gateway.publish('c1', 'bob', { pinned: { messageId: 'm2' } });
  await settle();
  assert.deepEqual(
    c1.quotes.pins.map(({ messageId }) => messageId),
    ['m1', 'm2'],
  );
  gateway.publish('c1', 'bob', { unpinned: { messageId: 'm1' } });
  assert.deepEqual(
    c1.quotes.pins.map(({ messageId }) => messageId),
    ['m2'],
  );
});

test('reactions and pins go through the outbox, with their id and known_seq; one that was there already ends at once', async () => {
  const { gateway, c1, message } = await opened(1);
  c1.react('m1', '👍');
  c1.pin('m1');
  await settle();
  const [react] = gateway.socket.named('react');
  assert.deepEqual(Object.keys(react).sort(), ['conversationId', 'emoji', 'knownSeq', 'messageId', 'requestId']);
  assert.equal(c1.outgoing().length, 2);
  for (const entry of gateway.log('c1').slice(1)) gateway.socket.push({ entry });
  assert.deepEqual([message('m1').reactions[0].reacted, message('m1').pinnedByUserId], [true, 'alice']);
  gateway.handlers.unpin = ({ messageId }) => ({ message: { messageId } });
  c1.unpin('m1');
  await settle();
  assert.equal(c1.outgoing().length, 0);
});

test('a pin that is refused at its first try is dropped and reported, and what follows goes on', async () => {
  const { gateway, chat, c1 } = await opened(1);
  const refused = [];
  chat.on('refused', ({ kind, reason }) => refused.push([kind, reason]));
  gateway.handlers.pin = () => {
    throw refusal('ROLE_REQUIRED', 'NOT_ATTEMPTED');
  };
  c1.pin('m1');
  c1.send('after');
  await settle();
  assert.deepEqual(refused, [['pin', 'ROLE_REQUIRED']]);
  assert.deepEqual(
    c1.outgoing().map(({ text: waiting }) => waiting),
    ['after'],
  );
  assert.equal(gateway.messages('c1').at(-1).text, 'after');
});

test('a pin whose first try may have been stored holds the queue up until somebody decides', async () => {
  const { gateway, chat, clock, c1 } = await opened(1);
  gateway.handlers.pin = () => HOLD;
  const pin = c1.pin('m1');
  c1.send('after');
  await settle();
  gateway.handlers.pin = () => {
    throw refusal('ROLE_REQUIRED', 'NOT_ATTEMPTED');
  };
  gateway.socket.end();
  await clock.advance(500);
  assert.deepEqual([pin.state, pin.isRejected, pin.reason], ['failed', false, 'ROLE_REQUIRED']);
  assert.equal(gateway.messages('c1').length, 1);
  chat.outbox.discard(pin);
  await settle();
  assert.equal(gateway.messages('c1').at(-1).text, 'after');
});

test('typing is said every three seconds, ended once, and ends with a send', async () => {
  const { gateway, clock, c1 } = await opened(1);
  const said = () => gateway.socket.named('setTyping').map(({ typing }) => typing);
  c1.typing();
  c1.typing();
  await clock.advance(2_999);
  c1.typing();
  assert.deepEqual(said(), [true]);
  await clock.advance(1);
  c1.typing();
  assert.deepEqual(said(), [true, true]);
  c1.typing(false);
  c1.typing(false);
  assert.deepEqual(said(), [true, true, false]);
  c1.typing();
  c1.send('done');
  assert.deepEqual(said(), [true, true, false, true, false]);
});

test('who types is forgotten after a while, at once when they stop, and with their message', async () => {
  const { gateway, clock, c1 } = await opened(1);
  const push = (userId, typing) => gateway.socket.push({ typing: { conversationId: 'c1', userId, typing } });
  push('bob', true);
  await clock.advance(5_000);
  push('bob', true);
  await clock.advance(5_000);
  assert.deepEqual(c1.typists.userIds, ['bob']);
  await clock.advance(2_000);
  assert.deepEqual(c1.typists.userIds, []);
  push('bob', true);
  push('bob', undefined);
  assert.deepEqual(c1.typists.userIds, []);
  push('bob', true);
  gateway.publish('c1', 'bob', text(2));
  assert.deepEqual(c1.typists.userIds, []);
});

test('presence is followed as long as somebody looks, in batches, and anew on a new connection', async () => {
  const { gateway, chat, clock } = await opened(0);
  const stops = [chat.presence.watch(['bob', 'carol']), chat.presence.watch(['bob'])];
  await clock.advance(100);
  assert.deepEqual(gateway.socket.named('watchPresence'), [{ userIds: ['bob', 'carol'] }]);
  assert.equal(chat.presence.get('bob').status, 'online');
  gateway.socket.push({
    presence: {
      presences: [{ userId: 'bob', status: 'STATUS_OFFLINE', lastSeenTime: '2024-05-06T12:00:00Z' }, { userId: 'carol' }],
    },
  });
  assert.deepEqual(chat.presence.get('bob'), { status: 'offline', lastSeen: Date.UTC(2024, 4, 6, 12) });
  assert.equal(chat.presence.get('carol').status, 'unknown');
  for (const stop of stops) (stop(), stop());
  chat.presence.watch(['bob']);
  await clock.advance(100);
  assert.deepEqual(gateway.socket.named('unwatchPresence'), [{ userIds: ['carol'] }]);
  gateway.socket.end();
  await clock.advance(500);
  await clock.advance(0);
  assert.deepEqual(gateway.socket.named('watchPresence'), [{ userIds: ['bob'] }]);
});

test('at most 200 users are named in a frame and 500 in all', async () => {
  const { gateway, chat, clock } = await opened(0);
  chat.presence.watch(Array.from({ length: 600 }, (_, n) => `u${n}`));
  await clock.advance(100);
  assert.deepEqual(
    gateway.socket.named('watchPresence').map(({ userIds }) => userIds.length),
    [200, 200, 100],
  );
});

test('what comes to a direct is marked as delivered, the latest of what came together', async () => {
  const { gateway, clock } = await opened(1);
  await clock.advance(500);
  assert.deepEqual(gateway.socket.named('markDelivered'), [{ conversationId: 'c1', seq: '1' }]);
  for (let n = 2; n <= 4; n++) gateway.publish('c1', 'bob', text(n));
  gateway.publish('c1', 'alice', text(5));
  await clock.advance(500);
  assert.equal(gateway.socket.named('markDelivered').length, 1);
  gateway.publish('c1', 'bob', text(6));
  await clock.advance(500);
  assert.deepEqual(gateway.socket.named('markDelivered').at(-1), { conversationId: 'c1', seq: '6' });
});

test('what is read while a delivery is being told is told after it', async () => {
  const { gateway, clock, c1 } = await opened(1);
  gateway.handlers.markDelivered = () => HOLD;
  await clock.advance(500);
  assert.equal(gateway.socket.named('markDelivered').length, 1);
  c1.markRead();
  await settle();
  assert.equal(gateway.socket.named('markRead').length, 0, 'one request at a time');
  gateway.answer(gateway.socket, gateway.socket.frames.at(-1).id, 'markDelivered', {});
  await settle();
  assert.deepEqual(gateway.socket.named('markRead'), [{ conversationId: 'c1', seq: '1' }]);
});

test('what is read needs no delivery, and large groups have none', async () => {
  const large = await opened(3, { kind: 'GROUP', more: { memberCount: 33 } });
  await large.clock.advance(1_000);
  assert.equal(large.gateway.socket.named('markDelivered').length, 0);
  const direct = await opened(1);
  direct.c1.markRead();
  await direct.clock.advance(1_000);
  assert.equal(direct.gateway.socket.named('markDelivered').length, 0);
});

test('delivered positions of others only move forward, and what is read is delivered', async () => {
  const { gateway, c1 } = await opened(5);
  const move = (more) => gateway.socket.push({ positions: { positions: [{ conversationId: 'c1', userId: 'bob', ...more }] } });
  move({ deliveredSeq: '3' });
  move({ deliveredSeq: '2' });
  assert.deepEqual([c1.deliveries.get('bob'), c1.positions.get('bob')], [3, 0]);
  move({ readSeq: '4' });
  assert.deepEqual([c1.deliveries.get('bob'), c1.positions.get('bob')], [4, 4]);
});

test('focus is said again on a new connection', async () => {
  const { gateway, chat, clock } = await opened(1);
  chat.focus(['c1']);
  gateway.socket.end();
  await clock.advance(500);
  assert.deepEqual(gateway.socket.named('focus'), [{ conversationIds: ['c1'] }]);
});

test('a cleared chat leaves the list until something newer comes, and its window is read anew', async () => {
  const { gateway, chat, c1 } = await opened(3);
  gateway.handlers.listMessages = () => ({ asOfSeq: '3' });
  gateway.handlers.getHeads = () => ({ heads: [{ conversationId: 'c1', headSeq: '3', messageNo: '3' }] });
  await c1.setSettings({ clearedSeq: '3' });
  await settle();
  assert.deepEqual([chat.conversations().length, c1.lastMessage, c1.history.items.length], [0, null, 0]);
  gateway.publish('c1', 'bob', text(4));
  assert.deepEqual([chat.conversations().length, c1.lastMessage.text], [1, 'text 4']);
});

test('archived ones are listed apart', async () => {
  const { gateway, chat, c1 } = await opened(1);
  assert.deepEqual(
    gateway.socket.named('listConversations').map(({ archived }) => archived),
    [false, true],
  );
  await c1.setSettings({ archived: true });
  assert.deepEqual([chat.conversations().length, chat.conversations(true)], [0, [c1]]);
});

test('a conversation is muted until the time has come', async () => {
  const { clock, c1 } = await opened(1);
  await c1.setSettings({ muteUntilTime: new Date(clock.time + 1_000).toISOString() });
  assert.equal(c1.isMuted, true);
  await clock.advance(1_000);
  assert.equal(c1.isMuted, false);
});

test('a closed group goes from the list', async () => {
  const { gateway, chat, c1 } = await opened(1, { kind: 'GROUP' });
  gateway.publish('c1', 'bob', { conversationClosed: {} });
  assert.deepEqual([chat.conversation('c1'), c1.isRemoved], [undefined, true]);
});

test('behind hidden entries the head is asked for, and the window goes on', async () => {
  const { gateway, c1 } = await opened(2, { kind: 'GROUP' });
  gateway.socket.push({ entry: { conversationId: 'c1', seq: '3', body: { hidden: { toSeq: '9' } } } });
  gateway.socket.push({ entry: { conversationId: 'c1', seq: '10', messageNo: '5', actorUserId: 'bob', body: text(9) } });
  assert.deepEqual(
    c1.history.items.map(({ seq }) => seq),
    [1, 2, 10],
  );
  assert.equal(c1.history.isAtEnd, true);
  await settle();
  assert.equal(gateway.socket.named('getHeads').length, 2);
});

test('blocking asks again for the direct with that user', async () => {
  const { gateway, chat, c1 } = await opened(1, { more: { peerUserId: 'bob' } });
  gateway.handlers.blockUser = () => (gateway.details.set('c1', { ...gateway.details.get('c1'), peerBlocked: true }), {});
  await chat.setBlocked('bob', true);
  await settle();
  assert.equal(c1.details.peerBlocked, true);
});

test('what was left out for a slow reader is said', async () => {
  const { gateway, chat } = await opened(1);
  const shed = [];
  chat.on('shed', ({ typingCount }) => shed.push(typingCount));
  gateway.socket.push({ shed: { typingCount: 3 } });
  assert.deepEqual(shed, [3]);
});
