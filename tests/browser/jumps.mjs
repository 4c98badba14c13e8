// A jump: rows of the message list that were in sight move on the screen although nobody scrolled them there.

const MOVED_PX = 3;

/** Looks at every frame of a page from now on. @param {import('playwright-core').Page} page */
export const watchForJumps = (page) => page.addInitScript(watch, { movedPx: MOVED_PX });

/** What jumped so far. Empty for a page that was loaded anew a moment ago. @param {import('playwright-core').Page} page @returns {Promise<string[]>} */
export const jumpsSeen = (page) => page.evaluate(() => /** @type {any} */ (globalThis).jumps);

/**
 * In the page. The median movement of the rows that are in sight in two frames that follow each other has to be what was scrolled in
 * between. What the application itself does to `scrollTop` is no scrolling: it has to make up for rows that came or went. Two things
 * may move rows: the view follows the end, and somebody asked to be led elsewhere.
 * @param {{movedPx: number}} limits
 */
function watch({ movedPx }) {
  const BOTTOM_PX = 24;
  /** @type {string[]} */
  const jumps = (/** @type {any} */ (globalThis).jumps = []);
  let written = 0;
  let isLed = false;
  /** @type {any} */
  let before = null;

  const { get, set } = /** @type {any} */ (Object.getOwnPropertyDescriptor(Element.prototype, 'scrollTop'));
  Object.defineProperty(Element.prototype, 'scrollTop', {
    get,
    set(value) {
      const was = get.call(this);
      set.call(this, value);
      if (!this.matches('.messages')) return;
      const { stack = '' } = new Error();
      if (!stack.includes('/app/scroll.js')) jumps.push(`somebody else than scroll.js sets scrollTop: ${stack}`);
      written += get.call(this) - was;
      isLed ||= /toBottom|reveal/.test(stack);
    },
  });

  /** @param {HTMLElement} viewport */
  const look = (viewport) => {
    const { top, bottom } = viewport.getBoundingClientRect();
    const scrollTop = get.call(viewport);
    const left = viewport.scrollHeight - viewport.clientHeight - scrollTop;
    const rows = new Map();
    for (const row of viewport.querySelectorAll('[data-key]')) {
      const box = row.getBoundingClientRect();
      if (box.bottom > top && box.top < bottom) rows.set(row, { top: box.top, height: box.height });
    }
    // The end of what is loaded is not the end: then there is a button that leads there.
    const follows = left < BOTTOM_PX && viewport.parentElement?.querySelector('.jump')?.hasAttribute('hidden');
    return { viewport, scrollTop, left, rows, follows };
  };

  // Looked at is what is about to be painted: after the observers of sizes, which still correct. They are called in the order in
  // which they were made, so this one is made anew for every list of messages, and called in every frame because a size changes.
  const pulse = document.createElement('div');
  pulse.style.cssText = 'position: fixed; top: 0; height: 1px; visibility: hidden';
  /** @type {HTMLElement | null} */
  let watched = null;
  /** @type {ResizeObserver | null} */
  let observer = null;
  const frame = () => {
    const viewport = /** @type {HTMLElement | null} */ (document.querySelector('.messages'));
    if (viewport && viewport !== watched) {
      watched = viewport;
      observer?.disconnect();
      observer = new ResizeObserver(sample);
      observer.observe(pulse);
    }
    if (!pulse.isConnected) document.documentElement.append(pulse);
    pulse.style.width = pulse.style.width === '1px' ? '2px' : '1px';
    requestAnimationFrame(frame);
  };

  const sample = () => {
    const now = watched?.offsetParent ? look(watched) : null;
    if (now && before?.viewport === now.viewport && !isLed) compare(before, now);
    before = now;
    written = 0;
    isLed = false;
  };

  /** @param {ReturnType<typeof look>} before @param {ReturnType<typeof look>} now */
  const compare = (before, now) => {
    if (before.follows && now.follows) return;
    // At either end nothing can be made up for.
    if (now.scrollTop <= 0 || now.left <= 0) return;
    const moves = [];
    // A row in sight that grows or shrinks has to push the others.
    let grown = 0;
    for (const [row, { top, height }] of before.rows) {
      const then = now.rows.get(row);
      if (!then) continue;
      moves.push(then.top - top);
      grown += Math.abs(then.height - height);
    }
    if (moves.length === 0) return;
    const median = moves.sort((a, b) => a - b)[Math.floor(moves.length / 2)];
    // Who came to the end was there when rows left above, and the browser took back what the page was shorter by then. Nobody has
    // set that.
    if (Math.abs(median + before.left) < movedPx) return;
    const scrolled = now.scrollTop - before.scrollTop - written;
    if (Math.abs(median + scrolled) - grown < movedPx) return;
    jumps.push(
      `${moves.length} rows moved by ${median} px, scrolled were ${scrolled} px, set were ${written} px; ` +
        `scrollTop ${before.scrollTop} to ${now.scrollTop}, below ${before.left} to ${now.left}`,
    );
  };
  requestAnimationFrame(frame);
}
