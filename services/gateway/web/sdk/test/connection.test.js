import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeGateway, HOLD, connected, refusal, settle } from './fake.js';

test('the first frame is hello with the token; the first resume names nothing', async () => {
  const gateway = new FakeGateway();
  const { chat } = await connected(gateway);
  assert.deepEqual(gateway.socket.frames[0].body, {
    token: 'token',
    deviceId: 'device',
    client: 'viberchat-js/0.1',
    resume: true,
  });
  assert.deepEqual(
    gateway.socket.frames.slice(0, 3).map(({ name }) => name),
    ['hello', 'resumeEnd', 'listConversations'],
  );
  assert.equal(chat.state.name, 'online');
  assert.equal(chat.userId, 'alice');
});

test('after a loss it resumes all known conversations, at most 500 in a part, with a fresh token', async () => {
  const gateway = new FakeGateway();
  for (let n = 0; n < 501; n++) gateway.addConversation(`c${n}`);
  gateway.handlers.getHeads = ({ conversationIds }) => ({
    heads: conversationIds.map((id) => ({ conversationId: id, headSeq: '7' })),
  });
  let tokens = 0;
  const { clock } = await connected(gateway, { getToken: async () => `token-${++tokens}` });
  gateway.socket.end();
  await clock.advance(500);
  assert.equal(gateway.sockets.length, 2);
  const [hello] = gateway.socket.named('hello');
  assert.deepEqual([hello.resume, hello.token], [true, 'token-2']);
  assert.deepEqual(
    gateway.socket.named('resumePart').map(({ cursors }) => cursors.length),
    [500, 1],
  );
  assert.deepEqual(gateway.socket.named('resumePart')[1].cursors, [{ conversationId: 'c500', seq: '7' }]);
  assert.equal(gateway.socket.named('resumeEnd').length, 1);
});

test('waits between tries double up to 20 s', async () => {
  const gateway = new FakeGateway();
  const { chat, clock } = await connected(gateway);
  gateway.refuseConnections = true;
  gateway.socket.end();
  const waits = [];
  for (let n = 0; n < 8; n++) {
    await settle();
    assert.equal(chat.state.name, 'offline');
    waits.push(chat.state.retryAt - clock.time);
    await clock.advance(waits.at(-1));
  }
  assert.deepEqual(waits, [500, 1000, 2000, 4000, 8000, 16000, 20000, 20000]);
});

test('a connection that lived starts the waits anew, one that died at once does not', async () => {
  const gateway = new FakeGateway();
  const { chat, clock } = await connected(gateway);
  gateway.socket.end();
  await clock.advance(500);
  gateway.socket.end();
  assert.equal(chat.state.retryAt - clock.time, 1000);
  await clock.advance(1000);
  await clock.advance(5000);
  gateway.socket.end();
  assert.equal(chat.state.retryAt - clock.time, 500);
});

test('close codes from 4500 on end it, those below do not', async () => {
  for (const [code, state] of [
    [4501, 'closed'],
    [4503, 'closed'],
    [4504, 'closed'],
    [4000, 'offline'],
    [4010, 'offline'],
    [1009, 'offline'],
  ]) {
    const gateway = new FakeGateway();
    const { chat, clock } = await connected(gateway);
    gateway.socket.end(code);
    assert.equal(chat.state.name, state, String(code));
    await clock.advance(500);
    assert.equal(gateway.sockets.length, state === 'closed' ? 1 : 2);
  }
});

test('a refused hello names its reason, and the close code decides', async () => {
  const gateway = new FakeGateway();
  gateway.handlers.hello = () => {
    throw refusal('TOKEN_EXPIRED');
  };
  const { chat } = await connected(gateway);
  gateway.socket.end(4501);
  assert.deepEqual([chat.state.name, chat.state.reason], ['closed', 'TOKEN_EXPIRED']);
});

test('a gateway that is silent for two intervals is left', async () => {
  const gateway = new FakeGateway();
  const { chat, clock } = await connected(gateway, { random: 0.5 });
  gateway.handlers.heartbeat = () => HOLD;
  await clock.advance(20_000);
  gateway.socket.push({ heartbeat: {} });
  await clock.advance(29_999);
  assert.equal(chat.state.name, 'online');
  await clock.advance(1);
  assert.deepEqual([chat.state.name, chat.state.reason], ['offline', 'SILENT']);
  assert.ok(gateway.sockets[0].isClosed);
});

test('heartbeats go out each interval, the first at a random part of it', async () => {
  const gateway = new FakeGateway();
  const { clock } = await connected(gateway, { random: 0.2 });
  await clock.advance(2_999);
  assert.equal(gateway.socket.named('heartbeat').length, 0);
  await clock.advance(1);
  assert.equal(gateway.socket.named('heartbeat').length, 1);
  await clock.advance(15_000);
  assert.equal(gateway.socket.named('heartbeat').length, 2);
});

test('a hidden page, whose timers sleep, answers the gateway’s heartbeats', async () => {
  const gateway = new FakeGateway();
  const { clock } = await connected(gateway);
  clock.time += 14_000;
  gateway.socket.push({ heartbeat: {} });
  assert.equal(gateway.socket.named('heartbeat').length, 1);
});

test('goaway: stays for the time named and for the answers under way, then moves at once', async () => {
  const gateway = new FakeGateway();
  const { chat, clock } = await connected(gateway);
  gateway.handlers.markRead = () => HOLD;
  const answer = chat.request('markRead', {});
  const first = gateway.socket;
  first.push({ goaway: { reconnectAfterMs: 1000, reason: 'DRAINING' } });
  await clock.advance(1500);
  assert.equal(gateway.sockets.length, 1);
  gateway.answer(first, first.frames.at(-1).id, 'markRead', { unreadCount: '3' });
  assert.deepEqual(await answer, { unreadCount: '3' });
  await clock.advance(100);
  assert.equal(gateway.sockets.length, 2);
  assert.ok(first.isClosed);
  assert.equal(chat.state.name, 'online');
});

test('goaway: if the gateway closes first, it is not asked again before the time named', async () => {
  const gateway = new FakeGateway();
  const { clock } = await connected(gateway, { random: 0 });
  gateway.socket.push({ goaway: { reconnectAfterMs: 3000 } });
  gateway.socket.end(4001);
  await clock.advance(2999);
  assert.equal(gateway.sockets.length, 1);
  await clock.advance(1);
  assert.equal(gateway.sockets.length, 2);
});

test('a loss tells whoever waits that nobody knows', async () => {
  const gateway = new FakeGateway();
  const { chat } = await connected(gateway);
  gateway.handlers.addMembers = () => HOLD;
  const answer = chat.request('addMembers', {});
  gateway.socket.end();
  await assert.rejects(answer, { reason: 'DISCONNECTED', outcome: 'unknown' });
  await assert.rejects(chat.request('addMembers', {}), { reason: 'NOT_CONNECTED', outcome: 'not_attempted' });
});

test('an answer that does not come in time is unknown', async () => {
  const gateway = new FakeGateway();
  const { chat, clock } = await connected(gateway);
  gateway.handlers.addMembers = () => HOLD;
  const answer = assert.rejects(chat.request('addMembers', {}), { reason: 'DEADLINE_EXCEEDED', outcome: 'unknown' });
  await clock.advance(15_000);
  await answer;
});

test('reads wait for the connection and survive its loss', async () => {
  const gateway = new FakeGateway();
  const { chat, clock } = await connected(gateway);
  gateway.handlers.getUsers = () => HOLD;
  const users = chat.read('getUsers', {});
  await settle();
  gateway.socket.end();
  gateway.handlers.getUsers = () => ({ users: [{ userId: 'bob' }] });
  await clock.advance(500);
  assert.deepEqual(await users, { users: [{ userId: 'bob' }] });
});

test('waking connects at once instead of waiting, and leaves a socket that slept', async () => {
  const gateway = new FakeGateway();
  const { chat, clock } = await connected(gateway);
  gateway.socket.end();
  chat.wake();
  await settle();
  assert.equal(chat.state.name, 'online');
  clock.time += 31_000;
  chat.wake();
  assert.equal(chat.state.reason, 'SILENT');
});

test('no token: tried again, unless the error is fatal', async () => {
  const gateway = new FakeGateway();
  let error = new Error('no network');
  const { chat, clock } = await connected(gateway, { getToken: () => Promise.reject(error) });
  assert.deepEqual([chat.state.name, chat.state.reason], ['offline', 'NO_TOKEN']);
  error = Object.assign(new Error('signed out'), { fatal: true });
  await clock.advance(500);
  assert.equal(chat.state.name, 'closed');
});

test('what an old socket still brings is ignored', async () => {
  const gateway = new FakeGateway();
  const { chat, clock } = await connected(gateway);
  const { onmessage, onclose } = gateway.socket;
  gateway.socket.end();
  await clock.advance(500);
  onmessage({ data: '{"push":{"goaway":{"reconnectAfterMs":0}}}' });
  onclose({ code: 4503, reason: '' });
  await clock.advance(10);
  assert.equal(chat.state.name, 'online');
  assert.equal(gateway.sockets.length, 2);
});
