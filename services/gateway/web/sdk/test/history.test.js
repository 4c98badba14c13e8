import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeGateway, HOLD, connected, settle } from './fake.js';

const text = (n) => ({ message: { messageId: `m${n}`, text: `text ${n}` } });

async function opened(count, kind = 'DIRECT', prepare = () => {}) {
  const gateway = new FakeGateway();
  gateway.addConversation('c1', kind);
  for (let n = 1; n <= count; n++) gateway.append('c1', 'bob', text(n));
  prepare(gateway);
  const { chat } = await connected(gateway);
  const { history } = chat.conversation('c1');
  await history.open();
  return { gateway, chat, history };
}

const seqs = (history) => [history.items[0].seq, history.items.at(-1).seq];

test('opens at the newest page and grows back to the start', async () => {
  const { history } = await opened(120);
  assert.deepEqual([...seqs(history), history.isAtStart, history.isAtEnd], [71, 120, false, true]);
  await history.loadOlder();
  await history.loadOlder();
  assert.deepEqual([...seqs(history), history.isAtStart], [1, 120, true]);
  await history.loadOlder();
  assert.equal(history.items.length, 120);
});

test('three pages at most: the far end goes, and comes back', async () => {
  const { history } = await opened(400);
  for (let n = 0; n < 4; n++) await history.loadOlder();
  assert.deepEqual([...seqs(history), history.isAtEnd], [151, 300, false]);
  for (let n = 0; n < 2; n++) await history.loadNewer();
  assert.deepEqual([...seqs(history), history.isAtStart, history.isAtEnd], [251, 400, false, true]);
});

test('opens around a seq', async () => {
  const { history } = await opened(400);
  await history.open(100);
  assert.deepEqual([...seqs(history), history.isAtEnd], [75, 124, false]);
  await history.open(10);
  assert.equal(history.isAtStart, true);
});

test('what comes live is added at the end, and while the view follows the far end goes', async () => {
  const { gateway, history } = await opened(100);
  for (let n = 101; n <= 300; n++) gateway.publish('c1', 'bob', text(n));
  assert.deepEqual([history.items.length, ...seqs(history), history.isAtEnd], [150, 151, 300, true]);
});

test('while somebody reads further up, nothing is taken away from there', async () => {
  const { gateway, history } = await opened(100);
  history.follows = false;
  for (let n = 101; n <= 400; n++) gateway.publish('c1', 'bob', text(n));
  assert.deepEqual([history.items.length, ...seqs(history), history.isAtEnd], [200, 51, 250, false]);
});

test('a window that is not at the end takes no live messages, but their edits and deletions', async () => {
  const { gateway, history } = await opened(400);
  await history.open(100);
  gateway.publish('c1', 'bob', text(401));
  gateway.publish('c1', 'bob', { edited: { messageId: 'm100', messageSeq: '100', text: 'new' } });
  gateway.publish('c1', 'bob', { deleted: { messageId: 'm101', messageSeq: '101' } });
  const [edited, deleted] = history.items.filter(({ seq }) => seq === 100 || seq === 101);
  assert.deepEqual([edited.text, edited.edited], ['new', true]);
  assert.deepEqual([deleted.text, deleted.deleted], ['', true]);
  assert.equal(history.items.at(-1).seq, 124);
});

test('an older edit does not undo what a page already has', async () => {
  const { gateway, chat } = await opened(1);
  const { history } = chat.conversation('c1');
  const first = gateway.append('c1', 'bob', { edited: { messageId: 'm1', messageSeq: '1', text: 'first' } });
  gateway.append('c1', 'bob', { edited: { messageId: 'm1', messageSeq: '1', text: 'second' } });
  await history.open();
  gateway.socket.push({ entry: first });
  assert.equal(history.items[0].text, 'second');
});

test('entries that come while a page is on its way are caught up', async () => {
  const { gateway, history } = await opened(10);
  const { listMessages } = gateway.handlers;
  gateway.handlers.listMessages = (body) => {
    const reply = listMessages(body);
    gateway.publish('c1', 'bob', text(11));
    gateway.publish('c1', 'bob', { edited: { messageId: 'm10', messageSeq: '10', text: 'new' } });
    return reply;
  };
  await history.open();
  assert.deepEqual(
    history.items.slice(-2).map((item) => item.text),
    ['new', 'text 11'],
  );
  assert.equal(history.isAtEnd, true);
});

test('in a group the changes stand between the messages, in directs the log is not asked', async () => {
  const { history } = await opened(0, 'GROUP', (gateway) => {
    gateway.append('c1', 'alice', { conversationCreated: { name: 'Crew' } });
    gateway.append('c1', 'bob', text(1));
    gateway.append('c1', 'bob', { edited: { messageId: 'm1', messageSeq: '2', text: 'new' } });
    gateway.append('c1', 'alice', { membersAdded: { members: [{ userId: 'carol' }] } });
    gateway.append('c1', 'bob', text(2));
  });
  assert.deepEqual(
    history.items.map(({ kind, seq }) => [kind, seq]),
    [
      ['system', 1],
      ['message', 2],
      ['system', 4],
      ['message', 5],
    ],
  );
  assert.equal(history.items[1].text, 'new');
  const { gateway } = await opened(3, 'DIRECT', (direct) =>
    direct.append('c1', 'bob', { edited: { messageId: 'm1', messageSeq: '1', text: 'x' } }),
  );
  assert.equal(gateway.socket.named('readLog').length, 0);
});

test('an erased message keeps its place', async () => {
  const { gateway, history } = await opened(1);
  gateway.socket.push({
    entry: {
      conversationId: 'c1',
      seq: '2',
      messageNo: '2',
      actorUserId: 'bob',
      body: { redacted: { kind: 'REDACTED_KIND_MESSAGE', messageId: 'm2', messageSeq: '2' } },
    },
  });
  assert.deepEqual([history.items[1].deleted, history.items[1].senderUserId], [true, 'bob']);
});

test('a page that is cut short, or empty, is followed to the end', async () => {
  const { gateway, history } = await opened(30);
  const { listMessages } = gateway.handlers;
  gateway.handlers.listMessages = (body) =>
    body.pageToken ? listMessages({ ...body, pageSize: 10 }) : { asOfSeq: '30', nextPageToken: 'more' };
  await history.open();
  assert.deepEqual([...seqs(history), history.isAtStart], [21, 30, false]);
  for (let n = 0; n < 2; n++) await history.loadOlder();
  assert.deepEqual([...seqs(history), history.isAtStart], [1, 30, true]);
});

test('only one page at a time is loaded at each end', async () => {
  const { gateway, history } = await opened(200);
  const before = gateway.socket.named('listMessages').length;
  await Promise.all([history.loadOlder(), history.loadOlder()]);
  assert.equal(gateway.socket.named('listMessages').length, before + 1);
});

test('answers from before a fresh start are dropped', async () => {
  const { gateway, history } = await opened(200);
  await history.open(100);
  const { listMessages } = gateway.handlers;
  gateway.handlers.listMessages = () => HOLD;
  const pages = [history.loadOlder(), history.loadNewer()];
  await settle();
  const held = gateway.socket.frames.filter(({ name }) => name === 'listMessages').slice(-2);
  gateway.handlers.listMessages = listMessages;
  await history.open(20);
  for (const { id, body } of held) gateway.answer(gateway.socket, id, 'listMessages', listMessages(body));
  await Promise.all(pages);
  assert.deepEqual([...seqs(history), history.items.length], [1, 44, 44]);
  assert.equal(history.isLoadingOlder, false);
});

test('a page that was asked for while the window is opened anew is not added to the new one', async () => {
  const { history } = await opened(200);
  await history.open(20);
  await Promise.all([history.open(), history.loadNewer(), history.loadOlder()]);
  assert.deepEqual([...seqs(history), history.items.length], [151, 200, 50]);
  assert.deepEqual([history.isLoadingOlder, history.isLoadingNewer], [false, false]);
});

test('a refusal is said, and when the conversation is announced it is tried again', async () => {
  const { gateway, history } = await opened(5);
  gateway.handlers.listMessages = () => {
    throw { reason: 'CONVERSATION_NOT_FOUND' };
  };
  await history.open();
  assert.equal(history.error, 'CONVERSATION_NOT_FOUND');
  gateway.handlers.listMessages = (body) => gateway.listMessages(body);
  gateway.socket.push({ conversation: { conversationId: 'c1', added: { headSeq: '5' } } });
  await settle();
  assert.deepEqual([history.error, history.items.length], ['', 5]);
});
