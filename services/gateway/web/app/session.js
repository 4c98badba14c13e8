/** Who we are, and where a token comes from. */

const TOKEN_KEY = 'viberchat.token';
export const DEMO_USERS = ['alice', 'bob', 'carol'];
const DEVICE_KEY = 'viberchat.device';

/** A token handed over in the address (`#token=…`) is taken once and removed from it. It lives as long as the tab. */
export function takeFragmentToken() {
  const match = /^#token=(.+)$/.exec(location.hash);
  if (!match) return;
  keepToken(decodeURIComponent(match[1]));
  history.replaceState(null, '', location.pathname + location.search);
}

export const keptToken = () => sessionStorage.getItem(TOKEN_KEY) ?? '';

/** The kept token, unless it says itself that it has ended: there is no other one to try again with. */
export async function keptTokenInTime() {
  const token = keptToken();
  if (endOf(token) <= Date.now()) throw Object.assign(new Error('the token has ended'), { fatal: true });
  return token;
}

/** When a JWT ends; never, if it does not say so. @param {string} token */
function endOf(token) {
  try {
    const claims = JSON.parse(atob(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/')));
    return typeof claims.exp === 'number' ? claims.exp * 1000 : Infinity;
  } catch {
    return Infinity;
  }
}

/** @param {string} token */
export const keepToken = (token) => sessionStorage.setItem(TOKEN_KEY, token);

export const forgetToken = () => sessionStorage.removeItem(TOKEN_KEY);

/** The demo user that the address names; empty if none. */
export const demoUser = () => new URLSearchParams(location.search).get('as') ?? '';

/** Tokens for demo users exist in `viberchat dev` only: elsewhere there is no such address. */
export async function isDevelopment() {
  const response = await postDevToken(DEMO_USERS[0]).catch(() => null);
  return response?.ok ?? false;
}

/** @param {string} user @returns {Promise<string>} */
export async function demoToken(user) {
  const response = await postDevToken(user);
  if (response.status >= 500) throw new Error('no token at the moment');
  if (!response.ok) throw Object.assign(new Error('no demo users here'), { fatal: true });
  return (await response.json()).token;
}

/** Names this device, the same at every visit. @param {() => string} newId */
export function deviceId(newId) {
  const id = localStorage.getItem(DEVICE_KEY) ?? newId();
  localStorage.setItem(DEVICE_KEY, id);
  return id;
}

/** @param {string} user */
const postDevToken = (user) =>
  fetch('/dev/token', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ user }) });
