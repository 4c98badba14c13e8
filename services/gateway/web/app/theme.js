const KEY = 'viberchat.theme';

/** @returns {'system' | 'light' | 'dark'} */
export const theme = () => /** @type {any} */ (localStorage.getItem(KEY)) ?? 'system';

/** @param {'system' | 'light' | 'dark'} wanted */
export function setTheme(wanted) {
  localStorage.setItem(KEY, wanted);
  applyTheme();
}

export function applyTheme() {
  document.documentElement.dataset.theme = theme();
}
