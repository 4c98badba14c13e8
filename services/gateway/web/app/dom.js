/** Making elements, and keeping a list of them in step with data. */

/** @typedef {Node | string | number | null | undefined | false} Child */

const SVG = 'http://www.w3.org/2000/svg';

/**
 * Makes an element. `class` and anything with a dash or unknown to the element is an attribute, functions are listeners
 * (`onclick`), the rest are properties. Values that are null, undefined or false leave an attribute out.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} [props]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  setProps(element, props);
  element.append(...present(children));
  return element;
}

/** @param {HTMLElement} element @param {Record<string, any>} props */
export function setProps(element, props) {
  for (const [name, value] of Object.entries(props)) {
    const isProperty =
      typeof value === 'function' || (name in element && !name.includes('-') && name !== 'role' && name !== 'list');
    if (isProperty) /** @type {any} */ (element)[name] = value ?? '';
    else if (value === null || value === undefined || value === false) element.removeAttribute(name);
    else element.setAttribute(name, String(value));
  }
}

/** @param {Element} element @param {...(Child | Child[])} children */
export const fill = (element, ...children) => element.replaceChildren(...present(children));

/** @param {(Child | Child[])[]} children @returns {(Node | string)[]} */
const present = (children) =>
  children
    .flat()
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : String(child)));

/** Drawn on a grid of 20, in the colour of the text. */
const ICONS = {
  archive: 'M3.5 4h13v3.5h-13zM4.5 7.5V16h11V7.5M8 11h4',
  back: 'M12 4 6 10l6 6',
  block: 'M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14M5.2 5.2l9.6 9.6',
  chat: 'M3.5 5.5a2 2 0 0 1 2-2h9a2 2 0 0 1 2 2v6a2 2 0 0 1-2 2H9l-3.5 3v-3a2 2 0 0 1-2-2z',
  check: 'm4.5 10.5 3.5 3.5 7.5-8',
  seen: 'm2.5 10.5 3.5 3.5 6.5-8M9.5 13.5l.7.6 7-8.1',
  clock: 'M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14M10 6.2V10l2.6 1.6',
  code: 'm7 6-4 4 4 4M13 6l4 4-4 4',
  close: 'm5 5 10 10M15 5 5 15',
  down: 'M10 4v12M4.5 10.5 10 16l5.5-5.5',
  edit: 'm4 16 .8-3.6L13 4.2a1.5 1.5 0 0 1 2.1 0l.7.7a1.5 1.5 0 0 1 0 2.1L7.6 15.2z',
  group:
    'M7.5 9.5a2.6 2.6 0 1 0 0-5.2 2.6 2.6 0 0 0 0 5.2M2.5 16c0-2.6 2.2-4.2 5-4.2s5 1.6 5 4.2M13 9.3a2.3 2.3 0 1 0-.6-4.5M14.5 12c1.9.4 3 1.8 3 3.7',
  info: 'M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14M10 9.2v4M10 6.6v.1',
  mute: 'M5.2 8A4.8 4.8 0 0 1 13 4.3M15 8c0 4 1.5 5.5 1.5 5.5H8M5.2 8c0 4-1.7 5.5-1.7 5.5H5M8.5 16a1.8 1.8 0 0 0 3 0M3 3l14 14',
  more: 'M4.5 10h.01M10 10h.01M15.5 10h.01',
  pin: 'M7.5 3.5h5l-.7 5 2.7 2.7v1.3h-9v-1.3l2.7-2.7zM10 12.5v4.5',
  plus: 'M10 4v12M4 10h12',
  reply: 'M8 4.5 3.5 9 8 13.5M4 9h7.5a5 5 0 0 1 5 5v1.5',
  search: 'M9 3.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11m4 9.5 3.5 3.5',
  send: 'M10 16V4M4.5 9.5 10 4l5.5 5.5',
  smile: 'M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14M7 11.8s1 1.7 3 1.7 3-1.7 3-1.7M7.6 8h.01M12.4 8h.01',
  theme: 'M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14v14',
  trash: 'M4 5.5h12M8 5.5v-2h4v2M5.5 5.5l.7 11h7.6l.7-11M8.5 8.5v5M11.5 8.5v5',
  warning: 'M10 3.2 17.5 16h-15zM10 8v3.6M10 13.8v.1',
};

/** @param {keyof typeof ICONS} name */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  const path = document.createElementNS(SVG, 'path');
  svg.setAttribute('viewBox', '0 0 20 20');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  path.setAttribute('d', ICONS[name]);
  svg.append(path);
  return svg;
}

/**
 * A button that shows only an icon.
 * @param {keyof typeof ICONS} name @param {string} label @param {() => void} onclick @param {Record<string, any>} [props]
 */
export const iconButton = (name, label, onclick, props = {}) =>
  h('button', { type: 'button', class: 'icon-button', title: label, 'aria-label': label, onclick, ...props }, icon(name));

/**
 * Keeps the children of an element in step with a list. An element lives as long as its key does, so focus and position stay;
 * it is drawn again when `signature` says that it would look different.
 * @template {{key: string}} Row
 * @param {Element} parent
 * @param {{create: (row: Row) => HTMLElement, draw: (element: HTMLElement, row: Row) => void, signature: (row: Row) => string}} how
 * @returns {(rows: Row[]) => void}
 */
export function keyedList(parent, { create, draw, signature }) {
  /** @type {Map<string, {element: HTMLElement, drawn: string}>} */
  let present = new Map();
  return (rows) => {
    const wantedKeys = new Set(rows.map(({ key }) => key));
    // First out, then in: an element that would be moved around another loses its focus.
    for (const [key, { element }] of present) if (!wantedKeys.has(key)) element.remove();
    const next = new Map();
    let place = parent.firstElementChild;
    for (const row of rows) {
      const known = present.get(row.key) ?? { element: create(row), drawn: '' };
      const wanted = signature(row);
      if (known.drawn !== wanted) draw(known.element, row);
      next.set(row.key, { element: known.element, drawn: wanted });
      if (known.element === place) place = place.nextElementSibling;
      else parent.insertBefore(known.element, place);
    }
    present = next;
  };
}

/** Calls at most once a frame. @param {() => void} run */
export function onceAFrame(run) {
  let isWaiting = false;
  return () => {
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(() => {
      isWaiting = false;
      run();
    });
  };
}

/** Says something for a few seconds. @param {string} text */
export function toast(text) {
  document.querySelector('.toast')?.remove();
  const element = h('div', { class: 'toast', role: 'status', 'data-testid': 'toast' }, text);
  document.body.append(element);
  setTimeout(() => element.remove(), 5_000);
}
