import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TONES, dayLabel, initials, listNames, listTime, presenceText, systemLine, toneOf, typingText } from '../format.js';

const NOON = new Date(2024, 4, 6, 12).getTime();
const DAY = 86_400_000;
const nameOf = (id) => ({ alice: 'You', bob: 'Bob', carol: 'Carol' })[id] ?? id;

test('a group’s changes read as sentences', () => {
  const lines = [
    [{ conversationCreated: { name: 'Crew' } }, 'alice', 'You created the group “Crew”'],
    [{ membersAdded: { members: [{ userId: 'carol' }, { userId: 'alice' }] } }, 'bob', 'Bob added Carol and you'],
    [{ memberRemoved: { userId: 'alice' } }, 'bob', 'Bob removed you'],
    [{ memberRemoved: { userId: 'bob', left: true } }, 'bob', 'Bob left'],
    [{ memberRemoved: { userId: 'bob', left: true, newOwnerUserId: 'alice' } }, 'bob', 'Bob left. You are the owner now'],
    [{ roleChanged: { userId: 'carol', role: 'ROLE_ADMIN' } }, 'alice', 'You made Carol an admin'],
    [{ conversationUpdated: { name: 'New' } }, 'carol', 'Carol named the group “New”'],
    [{ conversationUpdated: { description: 'x' } }, 'carol', 'Carol changed the description of the group'],
  ];
  for (const [body, actor, line] of lines) assert.equal(systemLine(body, actor, nameOf), line);
});

test('times get longer the older they are', () => {
  assert.match(listTime(NOON, NOON + 60_000), /12.00/);
  assert.equal(listTime(NOON, NOON + DAY), 'Yesterday');
  assert.match(listTime(NOON, NOON + 3 * DAY), /^\w{3}$/);
  assert.match(listTime(NOON, NOON + 30 * DAY), /6/);
  assert.match(listTime(NOON, NOON + 400 * DAY), /2024/);
  assert.equal(listTime(0, NOON), '');
  assert.equal(dayLabel(NOON, NOON), 'Today');
});

test('a clock that is ahead does not make a strange time', () => {
  assert.match(listTime(NOON + DAY, NOON), /12.00/);
});

test('initials are of the first and the last word', () => {
  for (const [name, expected] of [
    ['Ann Marie Lee', 'AL'],
    ['bob', 'B'],
    ['viber-bot', 'VB'],
    ['', '?'],
    ['🙂 x', '🙂X'],
  ])
    assert.equal(initials(name), expected);
});

test('long lists of names are cut', () => {
  assert.equal(listNames(['A', 'B', 'C', 'D', 'E']), 'A, B, C and 2 others');
  assert.equal(listNames(['A', 'B']), 'A and B');
});

test('a colour stays with an id and is one of those that exist', () => {
  const tones = new Set();
  for (let n = 0; n < 200; n++) tones.add(toneOf(`user-${n}`));
  assert.deepEqual(
    [...tones].sort(),
    Array.from({ length: TONES }, (_, tone) => tone),
  );
  assert.equal(toneOf('alice'), toneOf('alice'));
});

test('who types is said by name, as long as there are few', () => {
  assert.equal(typingText([]), '');
  assert.equal(typingText(['Ann']), 'Ann is typing…');
  assert.equal(typingText(['Ann', 'Bob']), 'Ann and Bob are typing…');
  assert.equal(typingText(['A', 'B', 'C', 'D']), 'Several people are typing…');
});

test('presence says when somebody was seen, and nothing where nothing is known', () => {
  const offline = (ms) => presenceText({ status: 'offline', lastSeen: NOON - ms }, NOON);
  assert.equal(presenceText({ status: 'unknown', lastSeen: 0 }, NOON), '');
  assert.equal(presenceText({ status: 'busy', lastSeen: 0 }, NOON), 'Busy');
  assert.equal(presenceText({ status: 'offline', lastSeen: 0 }, NOON), 'Offline');
  assert.equal(offline(30_000), 'Last seen just now');
  assert.equal(offline(5 * 60_000), 'Last seen 5 minutes ago');
  assert.match(offline(3 * 3_600_000), /^Last seen today, 0?9.00/);
  assert.equal(offline(DAY), 'Last seen yesterday');
});
