import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeGateway, HOLD, connected, refusal, settle } from './fake.js';

async function inConversation() {
  const gateway = new FakeGateway();
  gateway.addConversation('c1');
  gateway.addConversation('c2');
  gateway.append('c1', 'bob', { message: { messageId: 'm1', text: 'hi' } });
  const { chat, clock } = await connected(gateway);
  return { gateway, chat, clock, c1: chat.conversation('c1'), c2: chat.conversation('c2') };
}

const idsSent = (gateway) => gateway.sockets.flatMap((socket) => socket.named('send')).map((send) => send.clientMessageId);

/** Answers the oldest held send of a socket. */
function ack(gateway, socket, send, duplicate = false) {
  const { id } = socket.frames.find((frame) => frame.body === send);
  gateway.answer(socket, id, 'send', { ...gateway.handlers.storeSend(send), duplicate });
}

function holdSends(gateway) {
  gateway.handlers.storeSend = gateway.handlers.send;
  gateway.handlers.send = () => HOLD;
}

test('the next send of a conversation goes only after the ack of the one before; other conversations do not wait', async () => {
  const { gateway, c1, c2 } = await inConversation();
  holdSends(gateway);
  c1.send('one');
  c1.send('two');
  c2.send('elsewhere');
  await settle();
  assert.deepEqual(
    gateway.socket.named('send').map(({ text }) => text),
    ['one', 'elsewhere'],
  );
  ack(gateway, gateway.socket, gateway.socket.named('send')[0]);
  await settle();
  assert.deepEqual(
    gateway.socket.named('send').map(({ text }) => text),
    ['one', 'elsewhere', 'two'],
  );
});

test('a lost connection: the same id and the same known_seq again, though the head has moved; a duplicate ends it', async () => {
  const { gateway, clock, c1 } = await inConversation();
  holdSends(gateway);
  const item = c1.send('one');
  await settle();
  gateway.publish('c1', 'bob', { message: { messageId: 'm2', text: 'meanwhile' } });
  gateway.socket.end();
  assert.equal(item.state, 'pending');
  await clock.advance(500);
  const [first] = gateway.sockets[0].named('send');
  const [second] = gateway.sockets[1].named('send');
  assert.equal(first.knownSeq, '1');
  assert.deepEqual(second, first);
  ack(gateway, gateway.socket, second, true);
  await settle();
  assert.equal(item.state, 'sent');
});

test('what is written offline waits, and leaves in order', async () => {
  const { gateway, clock, c1 } = await inConversation();
  gateway.socket.end();
  c1.send('one');
  c1.send('two');
  assert.deepEqual(
    c1.outgoing().map(({ state }) => state),
    ['pending', 'pending'],
  );
  await clock.advance(500);
  assert.deepEqual(
    gateway.messages('c1').map(({ text }) => text),
    ['hi', 'one', 'two'],
  );
});

test('the row of a sent message stays until the log has passed it', async () => {
  const { gateway, c1 } = await inConversation();
  const item = c1.send('one');
  await settle();
  assert.deepEqual([item.state, item.seq, c1.outgoing().length], ['sent', 2, 1]);
  gateway.socket.push({ entry: gateway.log('c1')[1] });
  assert.equal(c1.outgoing().length, 0);
});

test('an own entry in the log ends its id as an ack does', async () => {
  const { gateway, clock, c1 } = await inConversation();
  holdSends(gateway);
  const { id } = c1.send('one');
  await settle();
  gateway.publish('c1', 'alice', { message: { messageId: 'm2', text: 'one' } }, id);
  assert.equal(c1.outgoing().length, 0);
  gateway.socket.end();
  await clock.advance(500);
  assert.deepEqual(idsSent(gateway), [id]);
});

test('another person’s entry with the same request id ends nothing', async () => {
  const { gateway, c1 } = await inConversation();
  holdSends(gateway);
  const { id } = c1.send('one');
  gateway.publish('c1', 'bob', { message: { messageId: 'm2', text: 'x' } }, id);
  assert.equal(c1.outgoing().length, 1);
});

test('rejected ends the id and lets the next one go; a new try is a new id at the end', async () => {
  const { gateway, chat, c1 } = await inConversation();
  const store = gateway.handlers.send;
  gateway.handlers.send = (body) => {
    if (body.text === 'bad') throw refusal('TEXT_EMPTY', 'REJECTED');
    return store(body);
  };
  const bad = c1.send('bad');
  c1.send('good');
  await settle();
  assert.deepEqual([bad.state, bad.reason, bad.isRejected], ['failed', 'TEXT_EMPTY', true]);
  assert.equal(gateway.messages('c1').at(-1).text, 'good');
  gateway.handlers.send = store;
  chat.outbox.retry(bad);
  await settle();
  assert.equal(idsSent(gateway).filter((id) => id === bad.id).length, 1);
  assert.equal(gateway.messages('c1').at(-1).text, 'bad');
});

for (const outcome of ['NOT_ATTEMPTED', 'UNKNOWN']) {
  test(`${outcome.toLowerCase()} is tried again with the same id, after the wait that was asked for, before anything newer`, async () => {
    const { gateway, clock, c1 } = await inConversation();
    const store = gateway.handlers.send;
    gateway.handlers.send = () => {
      gateway.handlers.send = store;
      throw refusal('STORE_UNAVAILABLE', outcome, 3000);
    };
    const { id } = c1.send('one');
    const next = c1.send('two');
    await clock.advance(2999);
    assert.deepEqual(idsSent(gateway), [id]);
    await clock.advance(1);
    assert.deepEqual(idsSent(gateway), [id, id, next.id]);
  });
}

test('after five failures the queue pauses and says so; a retry goes on with the same id', async () => {
  const { gateway, chat, clock, c1 } = await inConversation();
  const store = gateway.handlers.send;
  gateway.handlers.send = () => {
    throw refusal('STORE_UNAVAILABLE', 'UNKNOWN', 100);
  };
  const item = c1.send('one');
  const next = c1.send('two');
  await clock.advance(600_000);
  assert.deepEqual([item.state, item.reason, item.isRejected], ['failed', 'STORE_UNAVAILABLE', false]);
  assert.equal(next.state, 'pending');
  assert.equal(idsSent(gateway).length, 5);
  gateway.handlers.send = store;
  chat.outbox.retry(item);
  await settle();
  assert.deepEqual(idsSent(gateway).slice(5), [item.id, next.id]);
});

test('a refusal that trying again cannot help pauses at once, and a new connection tries once more', async () => {
  const { gateway, clock, c1 } = await inConversation();
  gateway.handlers.send = () => {
    throw refusal('BLOCKED', 'NOT_ATTEMPTED');
  };
  const item = c1.send('one');
  await clock.advance(60_000);
  assert.equal(item.state, 'failed');
  assert.equal(idsSent(gateway).length, 1);
  gateway.socket.end();
  await clock.advance(500);
  assert.deepEqual(idsSent(gateway), [item.id, item.id]);
});

test('giving up the first lets the next one go', async () => {
  const { gateway, chat, c1 } = await inConversation();
  const store = gateway.handlers.send;
  gateway.handlers.send = (body) => {
    if (body.text === 'bad') throw refusal('BLOCKED', 'NOT_ATTEMPTED');
    return store(body);
  };
  const bad = c1.send('bad');
  c1.send('good');
  await settle();
  chat.outbox.discard(bad);
  await settle();
  assert.deepEqual(
    gateway.messages('c1').map(({ text }) => text),
    ['hi', 'good'],
  );
});

test('an edit of a message that never left changes it; of one that was tried, it follows it', async () => {
  const { gateway, chat, clock, c1 } = await inConversation();
  gateway.handlers.edit = ({ messageId }) => ({ message: { messageId, seq: '2' }, seq: '3' });
  holdSends(gateway);
  const item = c1.send('one');
  await settle();
  gateway.socket.end();
  const waiting = c1.send('two');
  chat.outbox.edit(item, 'one!');
  chat.outbox.edit(waiting, 'two!');
  gateway.handlers.send = gateway.handlers.storeSend;
  await clock.advance(500);
  assert.deepEqual(
    gateway.messages('c1').map(({ text }) => text),
    ['hi', 'one', 'two!'],
  );
  const [edit] = gateway.socket.named('edit');
  assert.deepEqual([edit.messageId, edit.text], [`m-${item.id}`, 'one!']);
});

test('edits and deletions keep their id and known_seq over tries too', async () => {
  const { gateway, clock, c1 } = await inConversation();
  gateway.handlers.delete = () => HOLD;
  c1.delete('m1');
  await settle();
  gateway.socket.end();
  await clock.advance(500);
  const [[first], [second]] = gateway.sockets.map((socket) => socket.named('delete'));
  assert.deepEqual(Object.keys(first).sort(), ['conversationId', 'knownSeq', 'messageId', 'requestId']);
  assert.deepEqual(second, first);
});
