// Two people in two browser windows, as `tests/tests/browser.rs` starts it (see windows.mjs).

import assert from 'node:assert/strict';
import { assertReadable } from './contrast.mjs';
import { act, close, end, eventually, message, open, routeSockets, row, say, shot, step, texts } from './windows.mjs';

/** In the page: how many messages wait in IndexedDB. */
const storedCount = () =>
  new Promise((resolve, reject) => {
    const opening = indexedDB.open('viberchat');
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const counting = opening.result.transaction('outbox').objectStore('outbox').count();
      counting.onsuccess = () => (opening.result.close(), resolve(counting.result));
    };
  });

const alice = await open('alice', {}, routeSockets);
const bob = await open('bob', { colorScheme: 'dark' });

await step('a direct message arrives, counts as unread, and is seen', async () => {
  await row(alice, 'Bob').click();
  await row(bob, 'Alice').waitFor();
  await say(alice, 'Is this thing on?');
  await row(bob, 'Alice').getByTestId('unread').waitFor();
  await row(bob, 'Alice').click();
  await message(bob, 'Is this thing on?').waitFor();
  await alice.locator('[data-receipt=seen]').waitFor();
  await row(bob, 'Alice').getByTestId('unread').waitFor({ state: 'detached' });
});

await step('an edit and a deletion reach the other', async () => {
  await alice.getByTestId('composer').press('ArrowUp');
  await alice.getByTestId('editing').waitFor();
  await alice.getByTestId('composer').fill('Is this thing on now?');
  await alice.keyboard.press('Enter');
  await message(bob, 'Is this thing on now?').getByTestId('message-edited').waitFor();
  await say(alice, 'A secret that must go');
  await message(bob, 'A secret that must go').waitFor();
  await message(alice, 'A secret that must go').hover();
  await message(alice, 'A secret that must go').getByTestId('delete').click();
  await alice.getByTestId('confirm').click();
  await bob.locator('[data-testid=message][data-state=deleted]').last().waitFor();
  assert.equal((await bob.content()).includes('A secret that must go'), false);
  await message(alice, 'Is this thing on now?').hover();
  await assertReadable(alice, 'a direct conversation', { rings: true });
  await shot(alice, 'direct-light');
  await shot(bob, 'direct-dark');
});

await step('a group of three talks', async () => {
  await alice.getByTestId('new-group').click();
  await alice.getByTestId('group-name').fill('Crew 7');
  for (const [query, name] of [['bo', 'Bob'], ['car', 'Carol']]) {
    await alice.getByTestId('user-search').fill(query);
    await alice.getByTestId('user-option').filter({ hasText: name }).first().click();
    await alice.getByTestId('chip').filter({ hasText: name }).waitFor();
  }
  await assertReadable(alice, 'the dialog for a new group', { rings: true });
  await shot(alice, 'new-group');
  await alice.getByTestId('create-group').click();
  await alice.getByTestId('system-line').first().waitFor();
  await row(bob, 'Crew 7').click();
  await say(bob, 'Hello crew');
  await message(alice, 'Hello crew').waitFor();
  await shot(alice, 'group');
});

await step('one is cut off with messages waiting; both end with the same, everything once', async () => {
  await row(alice, 'Bob').click();
  await row(bob, 'Alice').click();
  await message(bob, 'Is this thing on now?').waitFor();
  alice.cutOff();
  await say(alice, 'written offline 1');
  await say(alice, 'written offline 2');
  await say(bob, 'meanwhile 1');
  await say(bob, 'meanwhile 2');
  // An edit of what is not sent yet would only change what is sent.
  await bob.locator('[data-testid=message][data-state=sent]').filter({ hasText: 'meanwhile 2' }).waitFor();
  await bob.getByTestId('composer').press('ArrowUp');
  await bob.getByTestId('editing').waitFor();
  await bob.getByTestId('composer').fill('meanwhile 2, edited');
  await bob.keyboard.press('Enter');
  await message(bob, 'meanwhile 2, edited').getByTestId('message-edited').waitFor();
  await alice.getByTestId('connection-state').waitFor();
  await assertReadable(alice, 'without a connection', { rings: true });
  await shot(alice, 'cut-off');
  alice.connectAgain();
  await alice.evaluate(() => window.dispatchEvent(new Event('online')));
  await message(bob, 'written offline 2').waitFor();
  await message(alice, 'meanwhile 2, edited').waitFor();
  await eventually('both windows show the same', async () => assert.deepEqual(await texts(alice), await texts(bob)));
  const all = await texts(alice);
  for (const text of ['written offline 1', 'written offline 2', 'meanwhile 1', 'meanwhile 2, edited']) {
    assert.equal(all.filter((shown) => shown.trim() === text).length, 1, `${text} stands once in ${JSON.stringify(all)}`);
  }
  assert.ok(all.indexOf('written offline 1') < all.indexOf('written offline 2'), 'sends keep their order');
});

await step('reactions are counted for both, and each knows their own', async () => {
  await say(alice, 'What do you think?');
  await message(bob, 'What do you think?').waitFor();
  await act(bob, 'What do you think?', 'react');
  await bob.getByTestId('reaction-picker').locator('[data-emoji="👍"]').click();
  const thumbs = (page) => message(page, 'What do you think?').locator('[data-testid=reaction][data-emoji="👍"]');
  await thumbs(alice).waitFor();
  assert.equal(await thumbs(alice).getAttribute('aria-pressed'), 'false');
  await thumbs(alice).click();
  for (const page of [alice, bob]) {
    await eventually('both reacted', async () => assert.equal(await thumbs(page).locator('.reaction-count').innerText(), '2'));
    assert.equal(await thumbs(page).getAttribute('aria-pressed'), 'true');
  }
  await thumbs(bob).click();
  await eventually('one was taken back', async () =>
    assert.equal(await thumbs(alice).locator('.reaction-count').innerText(), '1'));
});

await step('a reply shows what it answers, leads there, and forgets it when it is deleted', async () => {
  await act(bob, 'What do you think?', 'reply');
  await bob.getByTestId('replying').waitFor();
  await say(bob, 'I think so');
  const quote = message(alice, 'I think so').getByTestId('quote');
  await eventually('the quote', async () => assert.match(await quote.innerText(), /What do you think\?/));
  await assertReadable(alice, 'a reply and a reaction');
  await shot(alice, 'reply-and-reaction');
  await quote.click();
  await alice.locator('article.is-marked').filter({ hasText: 'What do you think?' }).waitFor();
  await act(alice, 'What do you think?', 'delete');
  await alice.getByTestId('confirm').click();
  await message(bob, 'I think so').locator('[data-testid=quote][data-state=deleted]').waitFor();
  assert.equal((await bob.content()).includes('What do you think?'), false);
});

await step('a pinned message stands above, leads to its place, and can be taken down', async () => {
  await act(alice, 'I think so', 'pin-message');
  await bob.getByTestId('pins').getByTestId('pin-line').waitFor();
  await assertReadable(bob, 'a pinned message', { rings: true });
  await bob.getByTestId('pins').getByTestId('pin-line').filter({ hasText: 'I think so' }).click();
  await bob.locator('article.is-marked').filter({ hasText: 'I think so' }).waitFor();
  await bob.getByTestId('unpin').click();
  await alice.getByTestId('pins').waitFor({ state: 'hidden' });
});

await step('typing is seen, and ends with the message', async () => {
  await bob.getByTestId('composer').fill('A longer thought');
  await bob.getByTestId('composer').press('End');
  // Soft: one notice may be lost, but who goes on typing says so again.
  await eventually('typing is seen', async () => {
    await bob.keyboard.press('.');
    assert.match(await alice.getByTestId('typing').innerText(), /typing/);
  });
  await bob.keyboard.press('Enter');
  await message(alice, 'A longer thought').waitFor();
  await eventually('nobody types', async () => assert.equal(await alice.getByTestId('typing').innerText(), ''));
});

await step('presence: online, busy, and invisible looks like being away', async () => {
  const dot = (status) => row(alice, 'Bob').locator(`[data-testid=presence][data-status=${status}]`);
  await dot('online').waitFor();
  for (const status of ['busy', 'invisible', 'online']) {
    await bob.getByTestId('self-menu').click();
    if (status === 'busy') await assertReadable(bob, 'the menu of oneself');
    await bob.getByTestId(`status-${status}`).click();
    if (status === 'invisible') await row(alice, 'Bob').getByTestId('presence').waitFor({ state: 'detached' });
    else await dot(status).waitFor();
  }
});

await step('somebody is mentioned, and it stands out for them', async () => {
  await row(alice, 'Crew 7').click();
  await alice.getByTestId('composer').pressSequentially('Over to you @bo');
  await alice.getByTestId('mention-option').filter({ hasText: 'Bob' }).waitFor();
  await assertReadable(alice, 'the menu of those who can be mentioned');
  await alice.keyboard.press('Enter');
  await alice.keyboard.press('Enter');
  await row(bob, 'Crew 7').click();
  await message(bob, 'Over to you').locator('.mention.is-own').waitFor();
  await assertReadable(bob, 'a mention', { rings: true });
  await shot(bob, 'mention');
});

await step('what waits survives a reload and is sent once, in its order', async () => {
  const carol = await open('carol', {}, routeSockets);
  await row(carol, 'Crew 7').click();
  await message(carol, 'Over to you').waitFor();
  carol.cutOff();
  await say(carol, 'kept 1');
  await say(carol, 'kept 2');
  await message(carol, 'kept 2').waitFor();
  await carol.reload();
  await eventually('both are still stored', async () => assert.equal(await carol.evaluate(storedCount), 2));
  carol.connectAgain();
  await message(bob, 'kept 2').waitFor();
  const kept = (await texts(bob)).map((text) => text.trim()).filter((text) => text.startsWith('kept'));
  assert.deepEqual(kept, ['kept 1', 'kept 2']);
  await eventually('nothing is stored any more', async () => assert.equal(await carol.evaluate(storedCount), 0));
  await close(carol);
  await row(alice, 'Bob').click();
  await row(bob, 'Alice').click();
  for (const page of [alice, bob]) await message(page, 'A longer thought').waitFor();
});

await step('a reload shows the same', async () => {
  const before = await texts(bob);
  await bob.reload();
  await row(bob, 'Alice').click();
  await eventually('the history after a reload', async () => assert.deepEqual(await texts(bob), before));
});

await step('the bot answers', async () => {
  await row(alice, 'Viber Bot').click();
  await say(alice, 'hello bot');
  await message(alice, 'Backwards that is').waitFor();
});

await step('details, a question, the frames and the sign-in can be read', async () => {
  await row(alice, 'Crew 7').click();
  await alice.getByTestId('details').click();
  await alice.getByTestId('member').first().waitFor();
  await assertReadable(alice, 'the details of a group', { rings: true });
  await alice.getByTestId('leave').click();
  await assertReadable(alice, 'a question', { rings: true });
  await alice.keyboard.press('Escape');
  await alice.getByTestId('self-menu').click();
  await alice.getByTestId('open-frames').click();
  await alice.getByTestId('drawer').waitFor();
  await assertReadable(alice, 'the frames on the wire', { rings: true });
  await alice.getByTestId('drawer').getByLabel('Close frames').click();
  await row(alice, 'Bob').click();
  await alice.getByTestId('details').click();
  await alice.getByTestId('clear-chat').waitFor();
  await assertReadable(alice, 'the details of a direct', { rings: true });
  await alice.getByTestId('details').click();
  const stranger = await open('');
  await stranger.getByTestId('sign-in-person').first().waitFor();
  await assertReadable(stranger, 'the sign-in', { rings: true });
  await close(stranger);
});

await step('a phone shows one pane', async () => {
  const phone = await open('carol', { viewport: { width: 390, height: 780 } });
  await row(phone, 'Crew 7').waitFor();
  await assertReadable(phone, 'the list on a phone', { rings: true });
  await shot(phone, 'phone-list');
  await row(phone, 'Crew 7').click();
  await message(phone, 'Hello crew').waitFor();
  await assertReadable(phone, 'a conversation on a phone', { rings: true });
  await shot(phone, 'phone-conversation');
  await phone.getByTestId('back').click();
  await row(phone, 'Crew 7').waitFor();
  await close(phone);
});

await end();
