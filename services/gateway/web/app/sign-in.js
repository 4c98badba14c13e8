import { h } from './dom.js';
import { initials, toneOf } from './format.js';
import { DEMO_USERS, isDevelopment, keepToken } from './session.js';

/**
 * The page before the chat: demo people in development, elsewhere a token.
 * @param {HTMLElement} root
 * @param {{onToken: () => void, error?: string}} options
 */
export async function showSignIn(root, { onToken, error = '' }) {
  const box = h(
    'div',
    { class: 'sign-in-box' },
    h('img', { src: '/app/icon.svg', alt: '', width: 56, height: 56 }),
    h('h1', {}, 'ViberChat'),
  );
  root.replaceChildren(h('main', { class: 'sign-in', 'data-testid': 'sign-in' }, box));
  if (error) box.append(h('p', { class: 'error-line', role: 'alert' }, error));
  box.append(...((await isDevelopment()) ? demoPeople() : [tokenForm(onToken)]));
}

/** Each in its own tab, if one likes: the address says who. */
function demoPeople() {
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    location.assign(`/?as=${encodeURIComponent(name.value.trim())}`);
  };
  const name = h('input', {
    class: 'field',
    name: 'as',
    placeholder: 'Another name',
    'aria-label': 'Another name',
    required: true,
    maxLength: 64,
    autocomplete: 'off',
    'data-testid': 'sign-in-name',
  });
  return [
    h('p', {}, 'This is a development server. Who would you like to be?'),
    h(
      'div',
      { class: 'sign-in-people' },
      ...DEMO_USERS.map((user) =>
        h(
          'a',
          { class: 'person', href: `/?as=${user}`, 'data-testid': 'sign-in-person', 'data-user-id': user },
          h('span', { class: `avatar medium tone-${toneOf(user)}`, 'aria-hidden': 'true' }, initials(user)),
          h('strong', {}, user),
        ),
      ),
    ),
    h(
      'form',
      { class: 'sign-in-form', onsubmit: submit },
      name,
      h('button', { type: 'submit', class: 'button is-primary', 'data-testid': 'sign-in-submit' }, 'Sign in'),
    ),
  ];
}

/** @param {() => void} onToken */
function tokenForm(onToken) {
  const token = h('input', {
    type: 'password',
    class: 'field',
    placeholder: 'Token',
    'aria-label': 'Token',
    required: true,
    autocomplete: 'off',
    'data-testid': 'sign-in-token',
  });
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    keepToken(token.value.trim());
    onToken();
  };
  return h(
    'div',
    {},
    h('p', {}, 'Your application signs you in with a token. If you have one, paste it here.'),
    h(
      'form',
      { class: 'sign-in-form', onsubmit: submit },
      token,
      h('button', { type: 'submit', class: 'button is-primary', 'data-testid': 'sign-in-submit' }, 'Sign in'),
    ),
  );
}
