import assert from "node:assert/strict";
import { once } from "node:events";
import type { RequestListener } from "node:http";
import { connect, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { Connections } from "./connections.ts";
import { LISTENER_LIMITS, type ListenerLimits, listen } from "./listener.ts";

const answer: RequestListener = (_, res) => void res.end("here");
const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

async function setUp(t: TestContext, limits: Partial<ListenerLimits>, handle: RequestListener = answer) {
  const connections = new Connections();
  const listener = await listen({ host: "127.0.0.1", port: 0 }, handle, connections, { ...LISTENER_LIMITS, ...limits });
  t.after(async () => await listener.stop(0));
  const [host = "", port] = listener.address.split(":");
  const dial = async () => {
    const socket = connect(Number(port), host).setEncoding("latin1");
    t.after(() => socket.destroy());
    await once(socket, "connect");
    return socket;
  };
  return { listener, connections, dial };
}

/** All that came until the server closed. */
async function received(socket: Socket): Promise<string> {
  return ((await socket.toArray()) as string[]).join("");
}

/** Our own ends close after the client's. */
async function allClosed(connections: Connections): Promise<void> {
  await Promise.all(connections.sockets.map(async (one) => await once(one, "close")));
}

test("headers that come too slowly get 408 and the connection is closed", async (t) => {
  const { dial } = await setUp(t, { headersTimeoutMs: 20, timeoutCheckMs: 10, lingerMs: 20 });
  const socket = await dial();
  socket.write("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ");
  const text = await received(socket);
  assert.match(text, /^HTTP\/1\.1 408 Request Timeout\r\n/);
  assert.match(text, /"code":"UNSUPPORTED"/);
});

test("a connection that never says a word is closed as well", async (t) => {
  const { dial, connections } = await setUp(t, { headersTimeoutMs: 20, timeoutCheckMs: 10, lingerMs: 20 });
  await received(await dial());
  await allClosed(connections);
});

test("a connection without a further request is closed after the keep-alive time", async (t) => {
  const { dial } = await setUp(t, { keepAliveMs: 20 });
  const socket = await dial();
  socket.write(GET);
  assert.match(await received(socket), /here$/);
});

test("a client that takes no byte is cut after the idle time", async (t) => {
  const { dial, connections } = await setUp(
    t,
    { socketIdleMs: 50 },
    (_, res) => void res.end(Buffer.alloc(64 * 1024 * 1024)),
  );
  const socket = await dial();
  socket.on("error", () => undefined).write(GET);
  await once(socket, "readable");
  await allClosed(connections);
});

test("an answer to broken HTTP is readable although the client goes on sending, and the connection does not linger", async (t) => {
  const { dial, connections } = await setUp(t, { lingerMs: 20 });
  const socket = await dial();
  socket.write("nonsense\r\n\r\n");
  socket.write("x".repeat(1024 * 1024));
  assert.match(await received(socket), /^HTTP\/1\.1 400 /);
  await allClosed(connections);
});

test("stop closes connections that are idle or have never sent anything, without waiting for its limit", async (t) => {
  const { dial, listener } = await setUp(t, {});
  const silent = await dial();
  const idle = await dial();
  idle.write(GET);
  await once(idle, "data");
  const gone = [received(silent), received(idle)];
  await listener.stop(2 ** 30);
  await Promise.all(gone);
});

test("an address that is taken rejects with the system's error", async (t) => {
  const { listener } = await setUp(t, {});
  const [host = "", port] = listener.address.split(":");
  await assert.rejects(listen({ host, port: Number(port) }, answer, new Connections()), { code: "EADDRINUSE" });
});
