const BOTTOM_PX = 24;
const NEAR_PX = 800;
const ANCHORS = 6;

/**
 * The only one that sets `scrollTop` of the messages. Either the view is pinned to the bottom, or it holds an anchor: rows that
 * were in sight stay where they were on the screen, whatever is added or taken away around them, or appears above the viewport.
 */
export class Scroller {
  /** Follows the end. The end of what is loaded is not the end. */
  isPinned = true;
  /** Rows in sight and where their upper edge was, in pixels below that of the page. @type {{row: Element, top: number}[]} */
  #anchors = [];
  /** `scrollTop` when the anchors were taken. */
  #anchoredAt = 0;
  #viewport;
  #content;
  #options;

  /**
   * @param {HTMLElement} viewport what scrolls
   * @param {HTMLElement} content its rows
   * @param {{isAnchor: (row: Element) => boolean, isAtEnd: () => boolean, onMove: () => void, onNearTop: () => void, onNearBottom: () => void}} options
   */
  constructor(viewport, content, options) {
    this.#viewport = viewport;
    this.#content = content;
    this.#options = options;
    viewport.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    const observer = new ResizeObserver(() => this.#holdSoFar());
    observer.observe(viewport);
    observer.observe(content);
  }

  /** Changes the rows without what is in sight moving. @param {() => void} write */
  update(write) {
    if (!this.isPinned) {
      // What appeared above the viewport a moment ago may not have been made up for yet.
      this.#holdSoFar();
      this.#capture();
    }
    write();
    this.#hold();
    // Without a scroll: what is in sight has turned out to be the end.
    if (!this.isPinned && this.#isAtBottom && this.#options.isAtEnd()) this.#moved();
    this.#askForMore();
  }

  toBottom() {
    this.isPinned = true;
    this.#hold();
    this.#moved();
  }

  /** Puts a row at a part of the viewport's height from its top. @param {Element} row @param {number} part */
  reveal(row, part) {
    this.isPinned = false;
    const { clientHeight } = this.#viewport;
    this.#viewport.scrollTop += topOf(row) - topOf(this.#viewport) - clientHeight * part;
    this.#moved();
  }

  /** The first row in sight. */
  get firstVisible() {
    return this.#anchors[0]?.row ?? null;
  }

  #scrolled() {
    this.#moved();
    this.#askForMore();
  }

  #moved() {
    this.isPinned = this.#isAtBottom && (this.isPinned || this.#options.isAtEnd());
    this.#capture();
    this.#options.onMove();
  }

  get #isAtBottom() {
    const { scrollTop, scrollHeight, clientHeight } = this.#viewport;
    return scrollHeight - scrollTop - clientHeight < BOTTOM_PX;
  }

  #askForMore() {
    const { scrollTop, scrollHeight, clientHeight } = this.#viewport;
    if (scrollTop < NEAR_PX) this.#options.onNearTop();
    if (scrollHeight - scrollTop - clientHeight < NEAR_PX) this.#options.onNearBottom();
  }

  /** The second row in sight comes first: the one at the edge may be about to change. */
  #capture() {
    this.#anchors = [];
    this.#anchoredAt = this.#viewport.scrollTop;
    const sight = this.#viewport.getBoundingClientRect();
    for (const row of this.#content.children) {
      if (!this.#options.isAnchor(row)) continue;
      const { top, bottom } = row.getBoundingClientRect();
      if (top > sight.bottom || this.#anchors.length === ANCHORS) break;
      if (bottom > sight.top) this.#anchors.push({ row, top });
    }
  }

  #holdSoFar() {
    this.#hold(this.#viewport.scrollTop - this.#anchoredAt);
  }

  /** @param {number} [scrolled] what was scrolled since the anchors were taken and whose event has not come yet */
  #hold(scrolled = 0) {
    if (this.isPinned) {
      this.#viewport.scrollTop = this.#viewport.scrollHeight;
      return;
    }
    const [first, second, ...others] = this.#anchors;
    const anchor = [second, first, ...others].find((candidate) => candidate?.row.isConnected);
    if (!anchor) return;
    const moved = topOf(anchor.row) - anchor.top + scrolled;
    if (Math.abs(moved) >= 0.5) this.#viewport.scrollTop += moved;
    for (const known of this.#anchors) known.top -= scrolled;
    this.#anchoredAt = this.#viewport.scrollTop;
  }
}

/** @param {Element} element */
const topOf = (element) => element.getBoundingClientRect().top;
