// An application in strict TypeScript: `tests/engines/sdk-test.sh` checks its types against the packed library, where it is in
// node_modules, and against the modules as they are, where a folder of them was copied. It is not run.

import { ViberChat, newId, type ConnectionState, type Conversation, type Message } from '@viberchat/client';
import { IndexedDbStore } from '@viberchat/client/idb-store.js';

const chat = new ViberChat({
  url: 'wss://chat.example.org/v1/connect',
  getToken: async () => 'token',
  store: new IndexedDbStore({ owner: newId() }),
});
const stop: () => void = chat.on('state', (state) => {
  const { name }: ConnectionState = state;
  // @ts-expect-error there is no such state
  if (name === 'gone') stop();
});
chat.on('change', (conversation) => {
  // @ts-expect-error it is null where many have changed
  conversation.markRead();
  conversation?.markRead();
});
chat.on('entry', (conversation, entry) => console.log(conversation.id, entry.seq));
// @ts-expect-error there is no such event
chat.on('message', () => {});
// @ts-expect-error a client needs an address and tokens
new ViberChat({});

export async function show(conversation: Conversation): Promise<Message[]> {
  await conversation.history.open();
  conversation.send('Hello', { replyToMessageId: 'm', mentionedUserIds: ['ann'], metadata: { ticket: '7' } });
  // @ts-expect-error text is text
  conversation.send(7);
  return conversation.history.items.filter((item) => item.kind === 'message');
}
