// Whether everything can be read, and whether one sees where the keyboard is. WCAG 2.2: 1.4.3, 1.4.11 and 2.4.7.

import assert from 'node:assert/strict';

const TEXT_MIN = 4.5;
/** For text from 24 px, or 18.66 px and bold; for icons and for what shows a state. */
const LARGE_MIN = 3;
const THEMES = /** @type {const} */ (['light', 'dark']);

/**
 * Measures what is on the screen, in both themes.
 * @param {import('playwright-core').Page} page @param {string} where @param {{rings?: boolean}} [options] `rings`: the focus moves through the page
 */
export async function assertReadable(page, where, { rings = false } = {}) {
  const scheme = await page.evaluate(() => (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'));
  for (const colorScheme of THEMES) {
    await page.emulateMedia({ colorScheme });
    const faint = await page.evaluate(measureContrast, { textMin: TEXT_MIN, largeMin: LARGE_MIN });
    assert.ok(faint.measured > 0, `${where}: something was measured`);
    assert.deepEqual(faint.found, [], `${where}, ${colorScheme}`);
    if (!rings) continue;
    const focus = await page.evaluate(focusedElement);
    // A key first: only then does a browser show rings for what a script focuses.
    await page.keyboard.press('Shift');
    const ringless = await page.evaluate(measureRings, { largeMin: LARGE_MIN });
    assert.ok(ringless.measured > 0, `${where}: something can have the focus`);
    assert.deepEqual(ringless.found, [], `focus rings, ${where}, ${colorScheme}`);
    await page.evaluate(focusAgain, focus);
  }
  await page.emulateMedia({ colorScheme: scheme });
}

function focusedElement() {
  return document.activeElement?.getAttribute('data-testid') ?? '';
}

/** @param {string} testId */
function focusAgain(testId) {
  const again = document.querySelectorAll(`[data-testid="${testId}"]`);
  if (again.length === 1) /** @type {HTMLElement} */ (again[0]).focus({ preventScroll: true });
}

/** In the page, before anything else runs there: what both measurements need. */
export const colours = () => {
  /** @typedef {[number, number, number, number]} Colour red, green, blue up to 255, and alpha up to 1 */
  const context = /** @type {CanvasRenderingContext2D} */ (
    document.createElement('canvas').getContext('2d', { willReadFrequently: true })
  );

  /** @param {string} text @returns {Colour} */
  const parse = (text) => {
    const numbers = /^rgba?\(([^)]+)\)$/.exec(text)?.[1].split(/[\s,/]+/).map(Number);
    if (numbers) return [numbers[0], numbers[1], numbers[2], numbers[3] ?? 1];
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = text;
    context.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = context.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };

  /** @param {Colour} upper @param {Colour} lower @returns {Colour} */
  const over = (upper, lower) => {
    const alpha = upper[3] + lower[3] * (1 - upper[3]);
    if (alpha === 0) return [0, 0, 0, 0];
    const mix = (/** @type {0 | 1 | 2} */ at) => (upper[at] * upper[3] + lower[at] * lower[3] * (1 - upper[3])) / alpha;
    return [mix(0), mix(1), mix(2), alpha];
  };

  /** @param {Colour} colour */
  const luminance = ([red, green, blue]) => {
    const [r, g, b] = [red, green, blue].map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };

  /**
   * How a colour stands out from what is behind it. Backgrounds and opacities of all ancestors count.
   * @param {string} text @param {Element} from where the colour is painted: its own background is behind it
   * @returns {{ratio: number, opacity: number}}
   */
  const contrast = (text, from) => {
    let front = parse(text);
    /** @type {Colour} */
    let back = [0, 0, 0, 0];
    let opacity = 1;
    for (let at = /** @type {Element | null} */ (from); at; at = at.parentElement) {
      const style = getComputedStyle(at);
      const background = parse(style.backgroundColor);
      front = over(front, background);
      back = over(back, background);
      const own = Number(style.opacity);
      opacity *= own;
      front[3] *= own;
      back[3] *= own;
    }
    const canvas = /** @type {Colour} */ ([255, 255, 255, 1]);
    const [a, b] = [luminance(over(front, canvas)), luminance(over(back, canvas))];
    return { ratio: (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), opacity };
  };

  /** @param {Element} element */
  const name = (element) => {
    const { testid = '' } = /** @type {HTMLElement} */ (element).dataset;
    const classes = element.getAttribute('class')?.trim().replaceAll(/\s+/g, '.') ?? '';
    const path = `${element.parentElement?.getAttribute('class')?.trim().replaceAll(/\s+/g, '.') ?? ''} > ${element.localName}`;
    return `.${path}${classes && `.${classes}`}${testid && `[${testid}]`}`;
  };

  /** @param {Element} element */
  const isShown = (element) =>
    element.checkVisibility({ visibilityProperty: true }) && !element.closest('.visually-hidden, [inert], noscript');

  /** What comes and goes by itself is measured when it stands. */
  const settle = () =>
    Promise.all(
      document
        .getAnimations()
        .filter(({ effect }) => effect?.getComputedTiming().endTime !== Infinity)
        .map(({ finished }) => finished.catch(() => {})),
    );

  return { contrast, name, isShown, settle };
};

/** In the page. @param {{textMin: number, largeMin: number}} limits */
async function measureContrast({ textMin, largeMin }) {
  const { contrast, name, isShown, settle } = /** @type {any} */ (globalThis).colours();
  await settle();
  const found = new Set();
  let measured = 0;
  /** @param {string} colour @param {Element} element @param {Element} from @param {number} least @param {string} what */
  const check = (colour, element, from, least, what) => {
    const { ratio, opacity } = contrast(colour, from);
    // Shown on hover only.
    if (opacity < 0.05) return;
    measured++;
    if (ratio < least) found.add(`${ratio.toFixed(2)} : 1 ${name(element)} ${what}`.trim());
  };
  for (const element of document.body.querySelectorAll('*')) {
    if (!isShown(element) || element.matches(':disabled, :disabled *, option')) continue;
    const style = getComputedStyle(element);
    const size = Number.parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const text = [...element.childNodes]
      .filter((node) => node.nodeType === Node.TEXT_NODE)
      .map((node) => node.textContent)
      .join(' ')
      .trim();
    // An emoji has colours of its own.
    if (/[\p{L}\p{N}…]/u.test(text)) check(style.color, element, element, isLarge ? largeMin : textMin, text.slice(0, 40));
    if (element.matches('input:not([type=checkbox]), textarea')) {
      const field = /** @type {HTMLInputElement} */ (element);
      if (field.value) check(style.color, element, element, textMin, field.value.slice(0, 40));
      else if (field.placeholder)
        check(getComputedStyle(element, '::placeholder').color, element, element, textMin, field.placeholder);
    }
    if (element.matches('svg.icon')) check(style.color, element, element, largeMin, '');
    const around = element.closest('.face')?.parentElement ?? element.parentElement;
    if (element.matches('.dot, .switch') && around)
      check(/^rgba?\([^)]+\)/.exec(style.boxShadow)?.[0] ?? style.backgroundColor, element, around, largeMin, '');
    if (element.matches('.switch')) check(getComputedStyle(element, '::after').backgroundColor, element, element, largeMin, 'knob');
  }
  return { measured, found: [...found] };
}

/** In the page: everything that can have the focus shows that it has it, and nothing cuts its ring off. @param {{largeMin: number}} limits */
async function measureRings({ largeMin }) {
  const { contrast, name, isShown, settle } = /** @type {any} */ (globalThis).colours();
  await settle();
  const FOCUSABLE = 'a[href], button, input, select, textarea, summary, [tabindex]';
  const modal = document.querySelector('dialog:modal');
  const found = new Set();
  let measured = 0;

  /** The element itself, or the box around a field. @param {Element} element */
  const bearers = (element) => [element, element.parentElement].filter((one) => one !== null);
  /** @param {Element} element */
  const shadows = (element) => bearers(element).map((one) => getComputedStyle(/** @type {Element} */ (one)).boxShadow);

  /** @param {Element} element @param {string[]} before @returns {{colour: string, on: Element, reach: number} | null} */
  const ringOf = (element, before) => {
    const style = getComputedStyle(element);
    const width = Number.parseFloat(style.outlineWidth);
    if (style.outlineStyle !== 'none' && width >= 2)
      return { colour: style.outlineColor, on: element, reach: width + Number.parseFloat(style.outlineOffset) };
    const at = shadows(element).findIndex((shadow, index) => shadow !== before[index] && shadow !== 'none');
    if (at < 0) return null;
    const on = /** @type {Element} */ (bearers(element)[at]);
    return { colour: /^(rgba?\([^)]+\)|\S+)/.exec(shadows(element)[at])?.[0] ?? '', on, reach: 1 };
  };

  /** What cuts a ring off, if anything does. @param {Element} element @param {number} reach @returns {Element | null} */
  const cutterOf = (element, reach) => {
    const ring = element.getBoundingClientRect();
    let canScroll = false;
    for (let at = element.parentElement; at; at = at.parentElement) {
      const { overflowX } = getComputedStyle(at);
      if (overflowX === 'visible') continue;
      const box = at.getBoundingClientRect();
      if (ring.left - reach < box.left - 0.5 || ring.right + reach > box.right + 0.5) return at;
      canScroll ||= at.scrollHeight > at.clientHeight;
      if (!canScroll && (ring.top - reach < box.top - 0.5 || ring.bottom + reach > box.bottom + 0.5)) return at;
    }
    return null;
  };

  for (const element of (modal ?? document).querySelectorAll(FOCUSABLE)) {
    if (!isShown(element) || element.matches(':disabled')) continue;
    const box = element.getBoundingClientRect();
    if (box.bottom < 0 || box.top > innerHeight) continue;
    const before = shadows(element);
    const had = document.activeElement === element;
    if (had) /** @type {HTMLElement} */ (element).blur();
    const without = had ? shadows(element) : before;
    /** @type {HTMLElement} */ (element).focus({ preventScroll: true });
    if (document.activeElement !== element) continue;
    await settle();
    measured++;
    const ring = ringOf(element, without);
    if (!ring) found.add(`no ring: ${name(element)}`);
    else {
      const { ratio } = contrast(ring.colour, ring.reach > 0 ? (ring.on.parentElement ?? ring.on) : ring.on);
      if (ratio < largeMin) found.add(`${ratio.toFixed(2)} : 1 ring of ${name(element)}`);
      const cutter = cutterOf(ring.on, ring.reach);
      if (cutter) found.add(`ring of ${name(element)} is cut off by ${name(cutter)}`);
    }
  }
  return { measured, found: [...found] };
}
