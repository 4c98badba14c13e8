import assert from 'node:assert/strict';
import { test } from 'node:test';
import { insertMention, mentionMatches, mentionParts, mentionQuery, mentionedIn } from '../mentions.js';

const PEOPLE = [
  { userId: 'ann', names: ['Ann', 'ann'] },
  { userId: 'u2', names: ['Ann Lee', 'u2'] },
  { userId: 'bob', names: ['Bob (Ops)', 'bob'] },
];

test('a mention is typed at the start of a word only', () => {
  assert.deepEqual(mentionQuery('@an', 3), { query: 'an', from: 0 });
  assert.deepEqual(mentionQuery('hi @', 4), { query: '', from: 3 });
  assert.deepEqual(mentionQuery('hi @an there', 6), { query: 'an', from: 3 });
  for (const text of ['ann@example', 'hi', '@ann lee']) assert.equal(mentionQuery(text, text.length), null);
});

test('the beginning of any word of a name fits, or of the id', () => {
  const ids = (query) => mentionMatches(PEOPLE, query).map(({ userId }) => userId);
  assert.deepEqual([ids('an'), ids('LE'), ids('bo'), ids('x')], [['ann', 'u2'], ['u2'], ['bob'], []]);
});

test('what was chosen takes the place of what was typed', () => {
  const typed = mentionQuery('hi @an there', 6);
  assert.deepEqual(insertMention('hi @an there', typed, 6, 'Ann Lee'), { text: 'hi @Ann Lee there', caret: 12 });
});

test('the longest name wins, and a name is not found inside of a longer word', () => {
  assert.deepEqual(mentionedIn('@Ann Lee and @Bob (Ops)!', PEOPLE), ['u2', 'bob']);
  assert.deepEqual(mentionedIn('@Annika', PEOPLE), []);
});

test('who was written by the id, before the name was known, is mentioned too', () => {
  assert.deepEqual(mentionedIn('over to you @bob', PEOPLE), ['bob']);
});

test('parts of a text are mentions or not, whatever stands in a name', () => {
  assert.deepEqual(
    mentionParts('hi @Bob (Ops), ok', ['Bob (Ops)']).map(({ text, isMention }) => [text, isMention]),
    [
      ['hi ', false],
      ['@Bob (Ops)', true],
      [', ok', false],
    ],
  );
  assert.deepEqual(mentionParts('no @one', []), [{ text: 'no @one', isMention: false }]);
});
