import { confirmDialog } from './dialogs.js';
import { h, icon } from './dom.js';

/** @typedef {import('./details.js').DetailsPane} DetailsPane */

const SINCE_JOINING = 'HISTORY_VISIBILITY_SINCE_JOINING';
const NEVER = '1970-01-01T00:00:00Z';
const HOUR_MS = 3_600_000;
/** @type {[string, string, () => string][]} */
const MUTES = [
  ['1h', 'For 1 hour', () => new Date(Date.now() + HOUR_MS).toISOString()],
  ['8h', 'For 8 hours', () => new Date(Date.now() + 8 * HOUR_MS).toISOString()],
  ['1w', 'For 1 week', () => new Date(Date.now() + 168 * HOUR_MS).toISOString()],
  ['on', 'Until I turn it off', () => '9999-12-31T00:00:00Z'],
];

/** One's own settings of a conversation, and what cannot be taken back. @param {DetailsPane} pane */
export function settingsPanel(pane) {
  const { conversation, app } = pane;
  const { details, isDirect } = conversation;
  const set = (/** @type {Parameters<typeof conversation.setSettings>[0]} */ changes) =>
    void pane.ask(conversation.setSettings(changes));
  return h(
    'section',
    { class: 'details-settings', 'aria-label': 'Settings' },
    switchLine('pin', 'Pin to the top', 'pin', conversation.isPinned, (pinned) => set({ pinned })),
    muteLine(conversation.isMuted, details.settings?.muteUntilTime ?? '', (muteUntilTime) => set({ muteUntilTime })),
    switchLine('archive', 'Archive', 'archive', conversation.isArchived, (archived) => set({ archived })),
    nicknameLine(details.settings?.nickname ?? '', (nickname) => set({ nickname })),
    !isDirect && pane.isAdmin && historyLine(pane),
    isDirect &&
      action('block', details.peerBlocked ? 'Unblock' : 'Block', 'block', !details.peerBlocked, () => void setBlocked(pane)),
    action('trash', 'Clear chat', 'clear-chat', true, () => void clear(pane)),
    details.peerBlocked &&
      h(
        'p',
        { class: 'details-note', 'data-testid': 'blocked-note' },
        `You have blocked ${app.people.faceOf(conversation).name}.`,
      ),
  );
}

/**
 * @param {Parameters<typeof icon>[0]} iconName @param {string} label @param {string} testId @param {boolean} checked
 * @param {(isOn: boolean) => void} onSet
 */
function switchLine(iconName, label, testId, checked, onSet) {
  const box = h('input', {
    type: 'checkbox',
    class: 'switch',
    role: 'switch',
    checked,
    'data-testid': testId,
    onchange: () => onSet(box.checked),
  });
  return h('label', { class: 'details-line' }, icon(iconName), h('span', { class: 'grow' }, label), box);
}

/** Of the whole group. @param {DetailsPane} pane */
function historyLine(pane) {
  const isShared = pane.conversation.details.history !== SINCE_JOINING;
  return switchLine('clock', 'New members see the past', 'share-history', isShared, (isOn) => {
    void pane.change('updateConversation', { history: isOn ? 'HISTORY_VISIBILITY_SHARED' : SINCE_JOINING });
  });
}

/** @param {boolean} isMuted @param {string} until @param {(time: string) => void} onSet */
function muteLine(isMuted, until, onSet) {
  const value = isMuted ? 'set' : 'off';
  const select = h(
    'select',
    {
      class: 'select',
      'data-testid': 'mute',
      onchange: () => (select.blur(), onSet(MUTES.find(([key]) => key === select.value)?.[2]() ?? NEVER)),
    },
    h('option', { value: 'off' }, isMuted ? 'Turn on again' : 'Off'),
    isMuted &&
      h(
        'option',
        { value: 'set' },
        until.startsWith('9999')
          ? 'On'
          : `Until ${new Date(until).toLocaleString([], { dateStyle: 'short', timeStyle: 'short' })}`,
      ),
    MUTES.map(([key, label]) => h('option', { value: key }, label)),
  );
  select.value = value;
  return h('label', { class: 'details-line' }, icon('mute'), h('span', { class: 'grow' }, 'Mute'), select);
}

/** @param {string} nickname @param {(nickname: string) => void} onSet */
function nicknameLine(nickname, onSet) {
  const field = h('input', {
    class: 'field is-slim',
    value: nickname,
    maxLength: 255,
    placeholder: 'None',
    'data-testid': 'nickname',
    onkeydown: (/** @type {KeyboardEvent} */ event) => event.key === 'Enter' && field.blur(),
    onchange: () => onSet(field.value.trim()),
  });
  return h('label', { class: 'details-line' }, icon('edit'), h('span', { class: 'grow' }, 'Nickname'), field);
}

/** @param {Parameters<typeof icon>[0]} iconName @param {string} label @param {string} testId @param {boolean} isDanger @param {() => void} onclick */
export const action = (iconName, label, testId, isDanger, onclick) =>
  h(
    'button',
    { type: 'button', class: `details-line is-action ${isDanger ? 'is-danger' : ''}`, 'data-testid': testId, onclick },
    icon(iconName),
    label,
  );

/** @param {DetailsPane} pane */
async function setBlocked(pane) {
  const { conversation, app } = pane;
  const { peerUserId = '', peerBlocked } = conversation.details;
  const name = app.people.faceOf(conversation).name;
  const question = {
    title: `Block ${name}?`,
    text: 'Neither of you can write to the other here any more. What was written stays.',
    action: 'Block',
  };
  if (peerBlocked || (await confirmDialog(question))) await pane.ask(app.chat.setBlocked(peerUserId, !peerBlocked));
}

/** @param {DetailsPane} pane */
async function clear(pane) {
  const { conversation, app } = pane;
  const question = {
    title: 'Clear this chat?',
    text: 'All messages up to now disappear for you, on all your devices. Others keep them. This cannot be undone.',
    action: 'Clear',
  };
  if (!(await confirmDialog(question))) return;
  conversation.markRead();
  if (await pane.ask(conversation.setSettings({ clearedSeq: String(conversation.cursor ?? 0) }))) app.open('');
}
