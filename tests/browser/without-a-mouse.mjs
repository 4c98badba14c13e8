// Everything by keyboard, and what a screen reader is told, as `tests/tests/browser.rs` starts it (see windows.mjs).

import assert from 'node:assert/strict';
import { end, eventually, message, open, routeSockets, row, say, step } from './windows.mjs';

const alice = await open('alice', { reducedMotion: 'reduce' }, routeSockets);
const bob = await open('bob');

const feed = alice.getByRole('feed', { name: 'Messages' });
const articles = feed.getByRole('article');
const stops = (/** @type {import('playwright-core').Locator} */ within) => within.locator('[tabindex="0"]');
const hasFocus = (/** @type {string} */ what, /** @type {import('playwright-core').Locator} */ element) =>
  eventually(what, async () => assert.equal(await element.evaluate((one) => one === document.activeElement), true));

await step('the messages are a feed, what is new is said by one log', async () => {
  await row(alice, 'Bob').click();
  await row(bob, 'Alice').click();
  for (const text of ['first', 'second', 'third']) await say(alice, text);
  await message(bob, 'third').waitFor();
  await alice.locator('[data-receipt=seen]').waitFor();
  assert.equal(await feed.getAttribute('aria-busy'), 'false');
  const all = await articles.evaluateAll((list) =>
    list.map((one) => [one.getAttribute('aria-posinset'), one.getAttribute('aria-setsize'), one.getAttribute('aria-label')]),
  );
  all.forEach(([position, size, label], at) => {
    assert.equal(Number(position), at + 1);
    assert.equal(Number(size), all.length);
    assert.match(label ?? '', /^[\w ]+, \d+:\d+/);
  });
  assert.match(all.at(-1)?.[2] ?? '', /^Alice Lindqvist, .+, third, seen$/);
  assert.equal(await feed.locator('xpath=ancestor-or-self::*[@aria-live]').count(), 0, 'the list itself is not said');
  assert.equal(await alice.getByRole('log').count(), 1);
  await say(bob, 'to be heard');
  await alice.getByRole('log').getByText('Bob Okafor: to be heard').waitFor({ state: 'attached' });
  await say(alice, 'not to be heard');
  await message(bob, 'not to be heard').waitFor();
  await say(bob, 'to be heard, too');
  await alice.getByRole('log').getByText('to be heard, too').waitFor({ state: 'attached' });
  assert.equal(await alice.getByRole('log').getByText('not to be heard').count(), 0);
});

await step('the messages are one tab stop, with arrows, Home and End', async () => {
  await alice.getByTestId('composer').focus();
  assert.equal(await stops(feed).count(), 1);
  await alice.keyboard.press('Shift+Tab');
  await hasFocus('the newest message', articles.last());
  await alice.keyboard.press('ArrowUp');
  await hasFocus('the one before', articles.nth(-2));
  await alice.keyboard.press('Home');
  await hasFocus('the first', articles.first());
  await alice.keyboard.press('End');
  await hasFocus('the newest again', articles.last());
});

await step('what is in a message can be reached from it only, and keeps the focus while it changes', async () => {
  const reacted = message(alice, 'third');
  const thumbs = reacted.locator('[data-testid=reaction][data-emoji="👍"]');
  await reacted.focus();
  await alice.keyboard.press('+');
  await alice.getByTestId('reaction-picker').locator('[data-emoji="👍"]').press('Enter');
  await thumbs.waitFor();
  await hasFocus('the message', reacted);
  await alice.keyboard.press('Tab');
  await hasFocus('its reaction', thumbs);
  await message(bob, 'third').locator('[data-testid=reaction]').click();
  await eventually('both reacted', async () => assert.equal(await thumbs.locator('.reaction-count').innerText(), '2'));
  await hasFocus('the reaction, drawn anew', thumbs);
  await alice.keyboard.press('Escape');
  await hasFocus('the message again', reacted);
  await alice.getByTestId('composer').focus();
  assert.equal(await stops(feed).count(), 1);
});

await step('a message that was not sent says so, and goes at R', async () => {
  await bob.getByTestId('details').click();
  await bob.getByTestId('block').click();
  await bob.getByTestId('confirm').click();
  await bob.getByTestId('blocked-note').waitFor();
  // A block holds everywhere after a second, by contract.
  await alice.waitForTimeout(1_500);
  await say(alice, 'are you there?');
  const failed = message(alice, 'are you there?');
  await failed.getByTestId('message-failed').waitFor();
  assert.match((await failed.getAttribute('aria-label')) ?? '', /^Alice Lindqvist, .+, are you there\?, not sent, press R to retry$/);
  await bob.getByTestId('block').click();
  await bob.getByTestId('blocked-note').waitFor({ state: 'detached' });
  await failed.focus();
  // That the block has ended is known everywhere after a moment: until then it is refused again, and keeps the focus.
  await eventually('it comes', async () => {
    await hasFocus('the message', failed);
    if ((await failed.getByTestId('message-failed').count()) > 0) await alice.keyboard.press('r');
    assert.equal(await message(bob, 'are you there?').count(), 1);
  });
  await hasFocus('the message that was sent', failed);
});

await step('the conversations are one tab stop, with arrows, Home and End', async () => {
  const list = alice.getByTestId('conversation-list');
  const links = list.getByTestId('conversation-row');
  const at = (/** @type {number} */ position) => list.locator(`[aria-posinset="${position}"] > a`);
  assert.equal(await stops(list).count(), 1);
  await alice.getByTestId('filter').focus();
  await alice.keyboard.press('Tab');
  await hasFocus('the open one', list.locator('[aria-current=page]'));
  await alice.keyboard.press('End');
  await hasFocus('the last', at(await links.count()));
  await alice.keyboard.press('ArrowUp');
  await hasFocus('the one above', at((await links.count()) - 1));
  await alice.keyboard.press('Home');
  await hasFocus('the first', at(1));
  assert.equal(await stops(list).count(), 1);
});

await step('Escape closes a menu and leaves the focus where it was opened', async () => {
  await alice.getByTestId('self-menu').press('Enter');
  await alice.getByTestId('status-busy').focus();
  await alice.keyboard.press('Escape');
  await alice.getByTestId('status-busy').waitFor({ state: 'hidden' });
  await hasFocus('the menu button', alice.getByTestId('self-menu'));
});

await step('in a narrow window what is covered cannot be reached, and the focus goes back', async () => {
  await alice.setViewportSize({ width: 360, height: 700 });
  const main = alice.locator('.conversation-main');
  await alice.getByTestId('details').press('Enter');
  await alice.getByTestId('details-pane').waitFor();
  await hasFocus('in the details', alice.getByLabel('Close details'));
  assert.equal(await main.evaluate((one) => /** @type {HTMLElement} */ (one).inert), true);
  assert.equal(await alice.getByTestId('details').getAttribute('aria-expanded'), 'true');
  await alice.setViewportSize({ width: 1280, height: 800 });
  await eventually('beside each other', async () => assert.equal(await main.evaluate((one) => /** @type {HTMLElement} */ (one).inert), false));
  await alice.setViewportSize({ width: 360, height: 700 });
  await eventually('covered', async () => assert.equal(await main.evaluate((one) => /** @type {HTMLElement} */ (one).inert), true));
  await alice.keyboard.press('Escape');
  await hasFocus('the button', alice.getByTestId('details'));
  assert.equal(await main.evaluate((one) => /** @type {HTMLElement} */ (one).inert), false);
  await alice.getByTestId('back').press('Enter');
  await hasFocus('the conversation in the list', row(alice, 'Bob'));
  await alice.keyboard.press('Enter');
  await feed.waitFor();
  await alice.setViewportSize({ width: 1280, height: 800 });
});

await step('who wants no motion sees none', async () => {
  alice.cutOff();
  await alice.getByTestId('connection-state').waitFor();
  const moving = () =>
    document
      .getAnimations()
      .filter(({ playState }) => playState === 'running')
      .map(({ effect }) => `${/** @type {any} */ (effect).target.className} ${JSON.stringify(effect?.getTiming())}`);
  await eventually('nothing moves', async () => assert.deepEqual(await alice.evaluate(moving), []));
  alice.connectAgain();
});

await end();
