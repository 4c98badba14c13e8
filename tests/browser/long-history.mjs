// A long conversation: reading up through its pages while others write, as `tests/tests/browser.rs` starts it (see windows.mjs).
// Nothing in it may jump, and what only listens hears what is new.

import assert from 'node:assert/strict';
import { jumpsSeen } from './jumps.mjs';
import { end, eventually, message, open, routeSockets, row, shot, step } from './windows.mjs';

const HISTORY = 240;
const WRITERS = ['bob', 'carol', 'dora'];
const WHEEL_PX = 420;

let picturesAsked = 0;
/** Everybody's picture is at an address that does not answer. @param {import('playwright-core').Page} page */
async function withoutPictures(page) {
  await page.route(/\/missing\.png/, (route) => (picturesAsked++, route.abort()));
  await routeSockets(page, (frame) =>
    frame.replaceAll('"displayName":', '"avatarUrl":"https://pictures.invalid/missing.png","displayName":'),
  );
}

/** In the page: clients for people without a window, kept as `writers`. @param {string[]} users */
async function startWriters(users) {
  const { ViberChat } = await import(/** @type {any} */ ('/sdk/viberchat.js'));
  const { demoToken } = await import(/** @type {any} */ ('/app/session.js'));
  const writers = /** @type {any} */ (/** @type {any} */ (globalThis).writers = {});
  for (const user of users) {
    writers[user] = new ViberChat({ url: `${location.origin.replace('http', 'ws')}/v1/connect`, getToken: () => demoToken(user) });
    await new Promise((resolve) => (writers[user].on('ready', resolve), writers[user].start()));
  }
}

/** In the page: a group in which people have talked for long, four messages each in turn. @param {{writers: string[], count: number, name: string}} group @returns {Promise<string>} */
async function talkForLong({ writers: users, count, name }) {
  const { writers } = /** @type {any} */ (globalThis);
  const group = { name, memberUserIds: [...users, 'alice'], requestId: crypto.randomUUID() };
  const { id } = await writers[users[0]].createGroup(group);
  /** @param {any} writer @param {() => boolean} isSo */
  const once = (writer, isSo) =>
    new Promise((resolve) => {
      const stop = writer.on('change', () => isSo() && (stop(), resolve(null)));
      if (isSo()) (stop(), resolve(null));
    });
  for (let no = 1; no <= count; no++) {
    const writer = writers[users[Math.floor(no / 4) % users.length]];
    await once(writer, () => writer.conversation(id)?.isLoaded);
    const conversation = writer.conversation(id);
    conversation.send(`number ${no}${' and so on'.repeat(no % 7 === 0 ? 40 : no % 3)}${no % 11 === 0 ? '\n\nmore\nlines' : ''}`);
    if (no % 4 === 3 || no === count) await once(writer, () => conversation.outgoing().length === 0);
  }
  return id;
}

/** In the page. @param {{user: string, id: string, text: string}} what */
function write({ user, id, text }) {
  /** @type {any} */ (globalThis).writers[user].conversation(id).send(text);
}

/** In the page. @param {string} id */
function pinLast(id) {
  const conversation = /** @type {any} */ (globalThis).writers.bob.conversation(id);
  conversation.pin(conversation.lastMessage.messageId);
}

/** In the page: what is in sight once all that was scrolled is drawn, and whether more is loading. */
async function inSight() {
  for (let frame = 0; frame < 2; frame++) await new Promise((resolve) => requestAnimationFrame(resolve));
  const viewport = /** @type {HTMLElement} */ (document.querySelector('.messages'));
  const { top, bottom } = viewport.getBoundingClientRect();
  const shown = [...viewport.querySelectorAll('article')].filter((article) => {
    const box = article.getBoundingClientRect();
    return box.bottom > top && box.top < bottom;
  });
  return {
    numbers: shown.map((article) => Number(/number (\d+)/.exec(article.textContent ?? '')?.[1] ?? 0)),
    isBusy: viewport.querySelector('[role=feed]')?.getAttribute('aria-busy') === 'true',
    mounted: viewport.querySelectorAll('article').length,
    top: viewport.scrollTop,
    below: viewport.scrollHeight - viewport.clientHeight - viewport.scrollTop,
  };
}

const bob = await open('bob');
const alice = await open('alice', {}, withoutPictures);
let id = '';
let wasBusy = false;
let mountedMax = 0;
/** @type {Set<number>} */
const seen = new Set();

/** Turns the wheel until a message is in sight, and remembers all that came by. @param {number} wanted @param {number} pixels @param {(turn: number) => Promise<void>} [meanwhile] */
async function scrollTo(wanted, pixels, meanwhile = async () => {}) {
  await alice.getByTestId('messages').hover();
  for (let turn = 0; turn < 600; turn++) {
    const { numbers, isBusy, mounted } = await alice.evaluate(inSight);
    for (const number of numbers) seen.add(number);
    wasBusy ||= isBusy;
    mountedMax = Math.max(mountedMax, mounted);
    if (numbers.includes(wanted)) return;
    await alice.mouse.wheel(0, pixels);
    await meanwhile(turn);
  }
  throw new Error(`number ${wanted} does not come in sight`);
}

/** In the page: goes to the end, if it is not in sight already. */
function jumpToEnd() {
  /** @type {HTMLElement | null} */ (document.querySelector('[data-testid=jump]:not([hidden])'))?.click();
}

async function connectAgain() {
  alice.connectAgain();
  await alice.evaluate(() => window.dispatchEvent(new Event('online')));
}

await step('a group has talked for long, and opens where one has not read', async () => {
  await bob.evaluate(startWriters, WRITERS);
  id = await bob.evaluate(talkForLong, { writers: WRITERS, count: HISTORY, name: 'Long talk' });
  await row(alice, 'Long talk').click();
  await alice.getByTestId('unread-divider').waitFor();
  await eventually('the first message is in sight', async () => assert.ok((await alice.evaluate(inSight)).numbers.includes(1)));
  await alice.getByTestId('jump').click();
  await message(alice, `number ${HISTORY}`).waitFor();
  await eventually('the end is in sight', async () => assert.ok((await alice.evaluate(inSight)).numbers.includes(HISTORY)));
  await eventually('all is read', async () => assert.equal(await row(alice, 'Long talk').getAttribute('data-unread'), '0'));
});

await step('reading up through all pages, while others write, nothing jumps and nothing is left out', async () => {
  let written = 0;
  await scrollTo(1, -WHEEL_PX, async (turn) => {
    if (turn % 6 === 5) await bob.evaluate(write, { user: 'carol', id, text: `later ${++written}` });
  });
  assert.deepEqual(await jumpsSeen(alice), []);
  for (let no = 1; no <= HISTORY; no++) assert.ok(seen.has(no), `number ${no} came by`);
  assert.equal(wasBusy, true, 'a listener hears that pages are loading');
  assert.ok(mountedMax <= 200, `${mountedMax} messages at most were on the page`);
  await alice.getByTestId('jump').getByText(/\d+ new/).waitFor();
  await shot(alice, 'long-history-start');
});

await step('reading down again, nothing jumps either', async () => {
  seen.clear();
  await scrollTo(HISTORY, WHEEL_PX);
  assert.deepEqual(await jumpsSeen(alice), []);
  for (let no = 1; no <= HISTORY; no++) assert.ok(seen.has(no), `number ${no} came by`);
});

await step('pictures that are absent are no matter', () => assert.ok(picturesAsked > 0));

await step('of many messages at once a listener hears a few, and how many more', async () => {
  await alice.evaluate(jumpToEnd);
  const spoken = alice.getByTestId('spoken');
  // They come all together when the connection is back.
  alice.cutOff();
  for (let no = 1; no <= 40; no++) await bob.evaluate(write, { user: 'bob', id, text: `burst ${no}` });
  await row(bob, 'Long talk').getByTestId('preview').getByText('burst 40').waitFor();
  await connectAgain();
  await spoken.getByText('Bob Okafor: burst 40').waitFor({ state: 'attached' });
  await spoken.getByText(/^\d+ more messages$/).first().waitFor({ state: 'attached' });
  assert.ok((await spoken.locator('> div').count()) <= 5);
});

await step('what appears above the messages does not push them', async () => {
  await scrollTo(HISTORY - 60, -WHEEL_PX);
  await bob.evaluate(pinLast, id);
  await alice.getByTestId('pins').getByTestId('pin-line').waitFor();
  await alice.evaluate(inSight);
  assert.deepEqual(await jumpsSeen(alice), []);
  alice.cutOff();
  await alice.getByTestId('connection-state').waitFor();
  await alice.evaluate(inSight);
  assert.deepEqual(await jumpsSeen(alice), []);
  await connectAgain();
  await alice.getByTestId('connection-state').waitFor({ state: 'hidden' });
  await alice.evaluate(inSight);
  assert.deepEqual(await jumpsSeen(alice), []);
});

await end();
