import { h } from './dom.js';

/** What one can react with, and what it is called. */
export const REACTIONS = /** @type {[string, string][]} */ ([
  ['👍', 'thumbs up'],
  ['❤️', 'heart'],
  ['😂', 'laughing'],
  ['🎉', 'party'],
  ['😮', 'surprised'],
  ['😢', 'sad'],
  ['🙏', 'thanks'],
  ['👀', 'looking'],
]);

const NAMES = new Map(REACTIONS);
const MARGIN_PX = 8;

/** @param {string} emoji */
export const reactionName = (emoji) => NAMES.get(emoji) ?? emoji;

/** A small set to choose from, beside what it was opened by. @param {HTMLElement} anchor @param {(emoji: string) => void} onPick */
export function openReactionPicker(anchor, onPick) {
  /** @param {boolean} isBack the focus goes back to where it was */
  const close = (isBack) => {
    document.removeEventListener('pointerdown', outside, true);
    menu.remove();
    if (isBack && anchor.isConnected) anchor.closest('article')?.focus();
  };
  const outside = (/** @type {Event} */ event) => menu.contains(/** @type {Node} */ (event.target)) || close(false);
  const menu = h(
    'div',
    {
      class: 'reaction-picker',
      role: 'menu',
      'aria-label': 'Reactions',
      'data-testid': 'reaction-picker',
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (event.key === 'Escape' || event.key === 'Tab') close(true);
        else if (!step) return;
        else move(step);
        event.preventDefault();
        event.stopPropagation();
      },
    },
    REACTIONS.map(([emoji, name]) =>
      h(
        'button',
        {
          type: 'button',
          role: 'menuitem',
          title: name,
          'aria-label': name,
          'data-emoji': emoji,
          onclick: () => (close(true), onPick(emoji)),
        },
        emoji,
      ),
    ),
  );
  const buttons = /** @type {HTMLElement[]} */ ([...menu.children]);
  /** @param {number} step */
  const move = (step) => {
    const at = buttons.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    buttons[(at + step + buttons.length) % buttons.length].focus();
  };
  document.querySelector('.reaction-picker')?.remove();
  document.body.append(menu);
  place(menu, anchor.getBoundingClientRect());
  buttons[0].focus();
  document.addEventListener('pointerdown', outside, true);
}

/** Above the anchor if there is room, and never beyond an edge. @param {HTMLElement} menu @param {DOMRect} at */
function place(menu, at) {
  const { width, height } = menu.getBoundingClientRect();
  const left = Math.min(Math.max(MARGIN_PX, at.right - width), innerWidth - width - MARGIN_PX);
  const above = at.top - height - MARGIN_PX;
  menu.style.left = `${left}px`;
  menu.style.top = `${above >= MARGIN_PX ? above : at.bottom + MARGIN_PX}px`;
}
