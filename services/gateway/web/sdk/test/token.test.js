import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeGateway, connected, refusal, settle } from './fake.js';

const expires = { tokenExpires: { expireTime: '2030-01-01T00:00:00Z' } };

test('a token that ends soon is replaced on the same socket', async () => {
  const gateway = new FakeGateway();
  let tokens = 0;
  const { chat } = await connected(gateway, { getToken: async () => `token-${++tokens}` });
  gateway.socket.push(expires);
  await settle();
  assert.deepEqual(gateway.socket.named('refreshToken'), [{ token: 'token-2' }]);
  assert.deepEqual([gateway.sockets.length, chat.state.name], [1, 'online']);
});

test('a refresh that is refused is tried again until the socket ends', async () => {
  const gateway = new FakeGateway();
  const { clock } = await connected(gateway);
  gateway.handlers.refreshToken = () => {
    throw refusal('UNAVAILABLE');
  };
  gateway.socket.push(expires);
  await clock.advance(5_000);
  assert.equal(gateway.socket.named('refreshToken').length, 2);
  const [first] = gateway.sockets;
  first.end(4010);
  await clock.advance(20_000);
  assert.equal(first.named('refreshToken').length, 2);
  assert.equal(gateway.sockets.length, 2);
});

test('without another token nothing is tried again', async () => {
  const gateway = new FakeGateway();
  let isAsked = false;
  const getToken = async () => {
    if (isAsked) throw Object.assign(new Error('none'), { fatal: true });
    isAsked = true;
    return 'token';
  };
  const { chat, clock } = await connected(gateway, { getToken });
  gateway.socket.push(expires);
  await clock.advance(14_000);
  assert.equal(gateway.socket.named('refreshToken').length, 0);
  assert.equal(chat.state.name, 'online');
});

test('everything on the wire can be watched', async () => {
  const gateway = new FakeGateway();
  const { chat } = await connected(gateway);
  const seen = [];
  chat.on('frame', (direction, text) => seen.push([direction, Object.keys(JSON.parse(text))[1]]));
  await chat.request('setTyping', { conversationId: 'c', typing: true });
  assert.deepEqual(seen, [
    ['out', 'setTyping'],
    ['in', 'reply'],
  ]);
});
