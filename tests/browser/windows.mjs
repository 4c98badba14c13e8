// What the stories share: a browser, windows for people, waiting, and steps that say their name.
//   node STORY.mjs CHROMIUM http://127.0.0.1:PORT FOLDER_FOR_SCREENSHOTS
// Every wait is a condition with a deadline. A story ends with 0 if all its steps passed.

import assert from 'node:assert/strict';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { colours } from './contrast.mjs';
import { jumpsSeen, watchForJumps } from './jumps.mjs';

const [executablePath, address, folder] = process.argv.slice(2);
export const url = address;
// Far more than anything takes: a machine may be busy with other things.
const WAIT_MS = 60_000;
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

const browser = await chromium.launch({ executablePath, headless: true, args: FLAGS });
const errors = [];
/** Windows that are open, by the name for their screenshots. @type {Map<string, import('playwright-core').Page>} */
const pages = new Map();

/**
 * A window of its own for a person. `prepare` gets the page before it loads anything.
 * @param {string} user
 * @param {import('playwright-core').BrowserContextOptions} [options]
 * @param {(page: import('playwright-core').Page) => Promise<void>} [prepare]
 */
export async function open(user, options = {}, prepare = async () => {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  await prepare(page);
  await watchForJumps(page);
  await page.addInitScript(`globalThis.colours = ${colours}`);
  page.setDefaultTimeout(WAIT_MS);
  page.setDefaultNavigationTimeout(WAIT_MS);
  page.on('pageerror', (error) => errors.push(`${user}: ${error}`));
  const name = pages.has(user) ? `${user}-${pages.size}` : user;
  pages.set(name, page);
  await page.goto(user ? `${url}/?as=${user}` : url);
  return page;
}

/** Closes a window that is not used any more, and looks once more whether something jumped in it. @param {import('playwright-core').Page} page */
export async function close(page) {
  for (const [name, known] of pages) if (known === page) pages.delete(name);
  assert.deepEqual(await jumpsSeen(page), [], 'nothing jumped');
  await page.context().close();
}

/**
 * For `open`: its socket can be cut off, while the page itself can be loaded anew.
 * @param {any} page @param {(frame: string) => string} [change] what becomes of each frame that comes
 */
export async function routeSockets(page, change) {
  let isCutOff = false;
  const sockets = new Set();
  await page.routeWebSocket(/\/v1\/connect/, (socket) => {
    if (isCutOff) return void socket.close({ code: 4000 });
    const server = socket.connectToServer();
    if (change) server.onMessage((frame) => socket.send(change(String(frame))));
    sockets.add(socket);
  });
  page.cutOff = () => {
    isCutOff = true;
    for (const socket of sockets) socket.close({ code: 4000 });
    sockets.clear();
  };
  page.connectAgain = () => (isCutOff = false);
}

export const row = (page, name) =>
  page.getByTestId('conversation-row').filter({ has: page.locator('.list-name', { hasText: name }) }).first();
/** By its own text, not by what it quotes. */
export const message = (page, text) =>
  page.getByTestId('message').filter({ has: page.getByTestId('message-text').filter({ hasText: text }) }).last();
export const texts = (page) => page.getByTestId('message-text').allInnerTexts();
export const shot = (page, name) => page.screenshot({ path: path.join(folder, `${name}.png`) });

export async function say(page, text) {
  await page.getByTestId('composer').fill(text);
  await page.keyboard.press('Enter');
}

/** Presses one of the buttons that float over a message. */
export async function act(page, text, testId) {
  await message(page, text).hover();
  await message(page, text).getByTestId(testId).click();
}

export async function eventually(what, check) {
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

export async function step(name, run) {
  try {
    await run();
    console.log(`ok: ${name}`);
  } catch (error) {
    console.error(`FAILED: ${name}\n${error.stack}`);
    for (const [user, page] of pages) await shot(page, `failed-${user}`).catch(() => {});
    await browser.close();
    process.exit(1);
  }
}

/** The last steps of every story. */
export async function end() {
  for (const [user, page] of pages)
    await step(`nothing jumped before ${user}'s eyes`, async () => assert.deepEqual(await jumpsSeen(page), []));
  await step('no script failed', async () => assert.deepEqual(errors, []));
  await browser.close();
}
