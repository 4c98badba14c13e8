import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IndexedDbStore } from '../idb-store.js';
import { FakeIndexedDb, FakeLocks } from './fake-indexeddb.js';
import { FakeGateway, HOLD, connected, refusal, settle } from './fake.js';

const quiet = (run) => async () => {
  const { warn } = console;
  console.warn = () => {};
  try {
    await run();
  } finally {
    console.warn = warn;
  }
};

/** A gateway, a browser, and pages in it. */
function browser({ hasLocks = true } = {}) {
  const gateway = new FakeGateway();
  gateway.addConversation('c1');
  gateway.append('c1', 'bob', { message: { messageId: 'm1', text: 'hi' } });
  const factory = new FakeIndexedDb();
  const locks = new FakeLocks();
  let pages = 0;
  const page = async () => {
    const owner = `page-${++pages}`;
    const store = new IndexedDbStore({ owner, factory, locks: hasLocks ? locks.ofPage(owner) : undefined });
    const { chat, clock } = await connected(gateway, { store });
    await settle();
    return { chat, clock, c1: chat.conversation('c1'), end: () => (chat.close(), locks.end(owner)) };
  };
  const stored = () => [...(factory.tables.get('outbox') ?? new Map()).values()];
  return { gateway, factory, page, stored };
}

const sends = (gateway) => gateway.sockets.flatMap((socket) => socket.named('send'));

test('a message is stored before it is shown, and sent after that', async () => {
  const { gateway, page, stored } = browser();
  const { c1 } = await page();
  gateway.handlers.send = () => HOLD;
  c1.send('one');
  assert.deepEqual([c1.outgoing().length, sends(gateway).length], [0, 0]);
  await settle();
  assert.deepEqual([stored()[0].text, stored()[0].knownSeq, c1.outgoing().length, sends(gateway).length], ['one', 1, 1, 1]);
});

test('what waits survives a reload, in its order, before what is written after it', async () => {
  const { gateway, page, stored } = browser();
  const first = await page();
  gateway.handlers.storeSend = gateway.handlers.send;
  gateway.handlers.send = () => HOLD;
  first.c1.send('one', { replyToMessageId: 'm1' });
  first.c1.send('two');
  await settle();
  first.end();
  gateway.handlers.send = gateway.handlers.storeSend;
  const second = await page();
  second.c1.send('three');
  await settle();
  assert.deepEqual(
    gateway.messages('c1').map(({ text }) => text),
    ['hi', 'one', 'two', 'three'],
  );
  assert.equal(sends(gateway).at(-3).replyToMessageId, 'm1');
  assert.deepEqual(stored(), []);
});

test('a send whose answer was lost with the page goes again with the same id and known_seq', async () => {
  const { gateway, page } = browser();
  const first = await page();
  gateway.handlers.storeSend = gateway.handlers.send;
  gateway.handlers.send = (body) => (gateway.handlers.storeSend(body), HOLD);
  first.c1.send('one');
  await settle();
  first.end();
  gateway.handlers.send = ({ clientMessageId }) => ({
    message: gateway.messages('c1').find(({ messageId }) => messageId === `m-${clientMessageId}`),
    duplicate: true,
  });
  const second = await page();
  const [before, again] = sends(gateway);
  assert.deepEqual(again, before);
  assert.equal(again.knownSeq, '1');
  assert.equal(second.c1.outgoing().length, 0);
});

test('what was rejected is still there after a reload, and not sent again by itself', async () => {
  const { gateway, page } = browser();
  const first = await page();
  gateway.handlers.send = () => {
    throw refusal('TEXT_TOO_LONG', 'REJECTED');
  };
  first.c1.send('one');
  await settle();
  first.end();
  const second = await page();
  const [item] = second.c1.outgoing();
  assert.deepEqual([item.state, item.reason, item.isRejected, item.text], ['failed', 'TEXT_TOO_LONG', true, 'one']);
  assert.equal(sends(gateway).length, 1);
});

test('what was given up is gone after a reload', async () => {
  const { gateway, page, stored } = browser();
  const first = await page();
  gateway.handlers.send = () => {
    throw refusal('BLOCKED', 'NOT_ATTEMPTED');
  };
  const item = first.c1.send('one');
  await settle();
  first.chat.outbox.discard(item);
  await settle();
  assert.deepEqual(stored(), []);
});

test('an edit that follows an unsent message finds it after a reload, sent or not', async () => {
  for (const isSent of [false, true]) {
    const { gateway, page } = browser();
    gateway.handlers.edit = ({ messageId }) => ({ message: { messageId, seq: '2' }, seq: '3' });
    const first = await page();
    gateway.handlers.storeSend = gateway.handlers.send;
    gateway.handlers.send = () => HOLD;
    const item = first.c1.send('one');
    await settle();
    first.chat.outbox.edit(item, 'one!');
    await settle();
    if (isSent) {
      const { handlers, socket } = gateway;
      handlers.holdEdit = handlers.edit;
      handlers.edit = () => HOLD;
      const frame = socket.frames.find(({ name }) => name === 'send');
      gateway.answer(socket, frame.id, 'send', handlers.storeSend(frame.body));
      await settle();
      handlers.edit = handlers.holdEdit;
    }
    first.end();
    gateway.handlers.send = gateway.handlers.storeSend;
    await page();
    const edit = gateway.socket.named('edit').at(-1);
    assert.deepEqual([edit.messageId, edit.text], [`m-${item.id}`, 'one!'], `sent: ${isSent}`);
  }
});

test('a page that lives keeps what is its own; what a dead one left, one of two pages takes', async () => {
  const { gateway, page } = browser();
  gateway.handlers.send = () => HOLD;
  const first = await page();
  first.c1.send('one');
  await settle();
  const second = await page();
  assert.equal(second.c1.outgoing().length, 0);
  first.end();
  const [third, fourth] = await Promise.all([page(), page()]);
  await settle();
  assert.equal(third.c1.outgoing().length + fourth.c1.outgoing().length, 1);
});

test('of what a dead and a living page have stored, only the dead one’s is taken', async () => {
  const { gateway, page } = browser();
  gateway.handlers.send = () => HOLD;
  const [first, second] = [await page(), await page()];
  first.c1.send('left behind');
  second.c1.send('mine');
  await settle();
  first.end();
  const third = await page();
  assert.deepEqual(
    third.c1.outgoing().map(({ text }) => text),
    ['left behind'],
  );
});

test('without Web Locks two pages may both send it, under one id', async () => {
  const { gateway, page } = browser({ hasLocks: false });
  gateway.handlers.send = () => HOLD;
  const first = await page();
  first.c1.send('one');
  await settle();
  await page();
  const ids = sends(gateway).map(({ clientMessageId }) => clientMessageId);
  assert.deepEqual(ids, [ids[0], ids[0]]);
});

test('nobody else’s messages are sent', async () => {
  const { gateway, page } = browser();
  gateway.handlers.send = () => HOLD;
  const first = await page();
  first.c1.send('one');
  await settle();
  first.end();
  const { hello } = gateway.handlers;
  gateway.handlers.hello = () => ({ ...hello(), userId: 'bob' });
  const second = await page();
  assert.equal(second.c1.outgoing().length, 0);
  assert.equal(sends(gateway).length, 1);
});

test(
  'a store that fails costs the reload, not the message',
  quiet(async () => {
    const { gateway, factory, page } = browser();
    const { c1 } = await page();
    factory.isBroken = true;
    c1.send('one');
    await settle();
    assert.equal(gateway.messages('c1').at(-1).text, 'one');
  }),
);

test('a database that was closed under us is opened again', async () => {
  const { factory, page, stored, gateway } = browser();
  const { c1 } = await page();
  gateway.handlers.send = () => HOLD;
  factory.isClosed = true;
  c1.send('one');
  await settle();
  assert.deepEqual([factory.opened, stored().length], [2, 1]);
});
