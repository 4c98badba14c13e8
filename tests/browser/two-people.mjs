// Two people in two browser windows, as `tests/tests/browser.rs` starts it:
//   node two-people.mjs CHROMIUM http://127.0.0.1:PORT FOLDER_FOR_SCREENSHOTS
// Every wait is a condition with a deadline. Ends with 0 if all steps passed.

import assert from 'node:assert/strict';
import path from 'node:path';
import { chromium } from 'playwright-core';

const [executablePath, url, folder] = process.argv.slice(2);
const WAIT_MS = 20_000;
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

const browser = await chromium.launch({ executablePath, headless: true, args: FLAGS });
const errors = [];

/** A window of its own for a person. */
async function open(user, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  page.on('pageerror', (error) => errors.push(`${user}: ${error}`));
  await page.goto(`${url}/?as=${user}`);
  return page;
}

const row = (page, name) =>
  page.getByTestId('conversation-row').filter({ has: page.locator('.list-name', { hasText: name }) }).first();
const message = (page, text) => page.getByTestId('message').filter({ hasText: text }).last();
const texts = (page) => page.getByTestId('message-text').allInnerTexts();
const shot = (page, name) => page.screenshot({ path: path.join(folder, `${name}.png`) });

async function say(page, text) {
  await page.getByTestId('composer').fill(text);
  await page.keyboard.press('Enter');
}

async function eventually(what, check) {
  const deadline = Date.now() + WAIT_MS;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadline) throw new Error(`${what}: ${error.message}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function step(name, run) {
  try {
    await run();
    console.log(`ok: ${name}`);
  } catch (error) {
    console.error(`FAILED: ${name}\n${error.stack}`);
    await shot(alice, 'failed-alice').catch(() => {});
    await shot(bob, 'failed-bob').catch(() => {});
    await browser.close();
    process.exit(1);
  }
}

const alice = await open('alice');
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
  await alice.context().setOffline(true);
  await alice.evaluate(() => window.dispatchEvent(new Event('offline')));
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
  await shot(alice, 'cut-off');
  await alice.context().setOffline(false);
  await message(bob, 'written offline 2').waitFor();
  await message(alice, 'meanwhile 2, edited').waitFor();
  await eventually('both windows show the same', async () => assert.deepEqual(await texts(alice), await texts(bob)));
  const all = await texts(alice);
  for (const text of ['written offline 1', 'written offline 2', 'meanwhile 1', 'meanwhile 2, edited']) {
    assert.equal(all.filter((shown) => shown.trim() === text).length, 1, `${text} stands once in ${JSON.stringify(all)}`);
  }
  assert.ok(all.indexOf('written offline 1') < all.indexOf('written offline 2'), 'sends keep their order');
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

await step('a phone shows one pane', async () => {
  const phone = await open('carol', { viewport: { width: 390, height: 780 } });
  await row(phone, 'Crew 7').waitFor();
  await shot(phone, 'phone-list');
  await row(phone, 'Crew 7').click();
  await message(phone, 'Hello crew').waitFor();
  await shot(phone, 'phone-conversation');
  await phone.getByTestId('back').click();
  await row(phone, 'Crew 7').waitFor();
  await phone.context().close();
});

await step('no script failed', async () => assert.deepEqual(errors, []));
await browser.close();
