import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rowsOf } from '../rows.js';

const NOON = new Date(2024, 4, 6, 12).getTime();
const MINUTE = 60_000;

const message = (seq, senderUserId, more = {}) => ({
  kind: 'message',
  seq,
  messageNo: seq,
  messageId: `m${seq}`,
  senderUserId,
  text: `text ${seq}`,
  time: NOON + seq * MINUTE,
  edited: false,
  deleted: false,
  clientMessageId: '',
  replyToMessageId: '',
  replyToSeq: 0,
  mentionedUserIds: [],
  metadata: {},
  pinnedByUserId: '',
  reactions: [],
  asOfSeq: seq,
  ...more,
});
const unsent = (id, more = {}) => ({
  id,
  kind: 'send',
  conversationId: 'c',
  text: id,
  messageId: '',
  state: 'pending',
  reason: '',
  isRejected: false,
  more: {},
  createdAt: NOON + 10 * MINUTE,
  seq: 0,
  parent: null,
  ...more,
});

function rows(
  items,
  { outgoing = [], unreadAfterSeq = null, isAtEnd = true, isDirect = true, peerSeq = 0, deliveredSeq = 0, quotes = {} } = {},
) {
  const conversation = {
    isDirect,
    details: { peerUserId: 'bob' },
    positions: new Map([['bob', peerSeq]]),
    deliveries: new Map([['bob', deliveredSeq]]),
    quotes: { get: (id) => quotes[id] },
    outgoing: () => outgoing,
    history: { items, isAtEnd, to: items.at(-1)?.seq ?? 0 },
  };
  return rowsOf(conversation, { userId: 'alice', unreadAfterSeq });
}

const shape = (all) => all.map((row) => (row.kind === 'message' ? `${row.key}${row.isFirst ? '*' : ''}` : row.kind));

test('a run of one sender begins with the picture and ends with time, another sender or anything between', () => {
  const items = [
    message(1, 'bob'),
    message(2, 'bob'),
    message(3, 'alice'),
    message(4, 'bob'),
    { kind: 'system', seq: 5, actorUserId: 'bob', time: NOON + 5 * MINUTE, body: {} },
    message(6, 'bob'),
    message(30, 'bob'),
  ];
  assert.deepEqual(shape(rows(items)), ['day', 'm1*', 'm2', 'm3*', 'm4*', 'system', 'm6*', 'm30*']);
});

test('days are separated, and only forward', () => {
  const DAY = 1440 * MINUTE;
  const items = [
    message(1, 'bob'),
    message(2, 'bob', { time: NOON + DAY }),
    message(3, 'bob', { time: NOON }),
    message(4, 'bob', { time: NOON + DAY + MINUTE }),
  ];
  assert.deepEqual(rows(items).filter(({ kind }) => kind === 'day').length, 2);
});

test('the unread divider stands once, before the first message of another', () => {
  const items = [message(1, 'bob'), message(2, 'alice'), message(3, 'bob'), message(4, 'bob')];
  assert.deepEqual(shape(rows(items, { unreadAfterSeq: 1 })), ['day', 'm1*', 'm2*', 'unread', 'm3*', 'm4']);
  assert.equal(shape(rows(items)).includes('unread'), false);
});

test('what is on its way out stands at the end, under the key that its message will have', () => {
  assert.deepEqual(shape(rows([message(1, 'bob')], { outgoing: [unsent('x'), unsent('y')] })), ['day', 'm1*', 'x*', 'y']);
  assert.deepEqual(shape(rows([message(1, 'alice', { clientMessageId: 'x' })])), ['day', 'x*']);
});

test('a message is not shown twice between its ack and its entry', () => {
  const stored = unsent('x', { state: 'sent', seq: 2, messageId: 'm2' });
  assert.deepEqual(shape(rows([message(1, 'bob'), message(2, 'alice', { clientMessageId: 'x' })], { outgoing: [stored] })), [
    'day',
    'm1*',
    'x*',
  ]);
  assert.deepEqual(shape(rows([message(1, 'bob')], { outgoing: [stored] })), ['day', 'm1*', 'x*']);
});

test('a window that is not at the end shows nothing that is unsent', () => {
  assert.deepEqual(shape(rows([message(1, 'bob')], { outgoing: [unsent('x')], isAtEnd: false })), ['day', 'm1*']);
});

test('an edit shows at once', () => {
  const edit = unsent('e', { kind: 'edit', messageId: 'm1', text: 'new' });
  const [, row] = rows([message(1, 'alice')], { outgoing: [edit] });
  assert.deepEqual([row.text, row.change], ['new', edit]);
  const parent = unsent('x');
  const [, pending] = rows([], { outgoing: [parent, unsent('e', { kind: 'edit', parent, text: 'newer' })] });
  assert.equal(pending.text, 'newer');
});

test('what waits behind a failed one says so', () => {
  const all = rows([], { outgoing: [unsent('x', { state: 'failed' }), unsent('y')] });
  assert.deepEqual(
    all.slice(1).map(({ isHeldUp }) => isHeldUp),
    [false, true],
  );
  const rejected = rows([], { outgoing: [unsent('x', { state: 'failed', isRejected: true }), unsent('y')] });
  assert.equal(rejected.at(-1).isHeldUp, false);
});

test('the newest own message of a direct says whether it was seen', () => {
  const items = [message(1, 'alice'), message(2, 'alice')];
  assert.deepEqual(
    rows(items, { peerSeq: 1 })
      .slice(1)
      .map(({ receipt }) => receipt),
    ['', 'sent'],
  );
  assert.deepEqual(
    rows(items, { peerSeq: 2 })
      .slice(1)
      .map(({ receipt }) => receipt),
    ['', 'seen'],
  );
  assert.equal(rows(items, { isDirect: false, peerSeq: 2 }).at(-1).receipt, '');
  assert.equal(
    rows([...items, message(3, 'bob')], { peerSeq: 3 }).some((row) => row.receipt),
    false,
  );
});

test('under the newest own message of a direct it also says whether it was delivered', () => {
  const receipt = (more) => rows([message(1, 'alice')], more).at(-1).receipt;
  assert.deepEqual(
    [receipt({}), receipt({ deliveredSeq: 1 }), receipt({ deliveredSeq: 1, peerSeq: 1 })],
    ['sent', 'delivered', 'seen'],
  );
});

test('a reaction that is on its way shows at once, and is not counted twice when the log has it', () => {
  const given = [{ emoji: '👍', count: 1, reacted: false }];
  const shown = (item, outgoing) => rows([item], { outgoing }).at(-1).reactions;
  const react = unsent('r', { kind: 'react', messageId: 'm1', more: { emoji: '👍' } });
  assert.deepEqual(shown(message(1, 'bob', { reactions: given }), [react]), [{ emoji: '👍', count: 2, reacted: true }]);
  const stored = { ...react, state: 'sent', seq: 2 };
  const applied = [{ emoji: '👍', count: 2, reacted: true }];
  assert.deepEqual(shown(message(1, 'bob', { reactions: applied, asOfSeq: 2 }), [stored]), applied);
  const back = unsent('u', { kind: 'unreact', messageId: 'm1', more: { emoji: '👍' } });
  assert.deepEqual(shown(message(1, 'bob', { reactions: applied }), [back]), [{ emoji: '👍', count: 1, reacted: false }]);
  assert.deepEqual(shown(message(1, 'bob', { reactions: given }), [react, back]), given);
});

test('reactions and pins under way are no edits; a pin shows at once', () => {
  const pin = unsent('p', { kind: 'pin', messageId: 'm1' });
  const [row] = rows([message(1, 'bob')], { outgoing: [pin] }).slice(-1);
  assert.deepEqual([row.isPinned, row.change], [true, null]);
  const [unpinned] = rows([message(1, 'bob', { pinnedByUserId: 'bob' })], { outgoing: [{ ...pin, kind: 'unpin' }] }).slice(-1);
  assert.equal(unpinned.isPinned, false);
});

test('a reply shows what it answers, as far as that can be seen; a deleted one shows nothing', () => {
  const reply = message(2, 'alice', { replyToMessageId: 'm1', replyToSeq: 1 });
  const quote = (answered) => rows([reply], { quotes: { m1: answered } }).at(-1).quote;
  const { state, text, senderUserId, seq } = quote(message(1, 'bob'));
  assert.deepEqual([state, text, senderUserId, seq], ['shown', 'text 1', 'bob', 1]);
  assert.equal(quote(message(1, 'bob', { deleted: true, text: '' })).state, 'deleted');
  assert.equal(quote(null).state, 'hidden');
  assert.equal(quote(undefined).state, 'loading');
  assert.equal(rows([{ ...reply, deleted: true }]).at(-1).quote, null);
});
