import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { describe, test, type TestContext } from "node:test";
import { connect as connectTls } from "node:tls";
import { pino } from "pino";
import { ANYBODY } from "../../test/support/callers.ts";
import { selfSignedCertificate } from "../../test/support/certificate.ts";
import { Connections } from "./connections.ts";
import { type Handler, requestListener } from "./handler.ts";
import { createListenerServer, LISTENER_LIMITS, type ListenerLimits } from "./listener-server.ts";
import { listen } from "./listener.ts";

const log = pino({ level: "silent" });
const CERTIFICATE = selfSignedCertificate();
const answer: Handler = async ({ path, res }) => {
  if (path === "/stuck") res.write("never more than that");
  else res.end("here");
  return true;
};
const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const GET_STUCK = "GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n";

type Scheme = "http" | "https";

async function setUp(t: TestContext, scheme: Scheme, limits: Partial<ListenerLimits>, handler: Handler = answer) {
  const connections = new Connections();
  const tls = scheme === "https" ? CERTIFICATE : undefined;
  const handle = requestListener([handler], connections, log, ANYBODY);
  const setup = { handle, connections, tls, log, limits: { ...LISTENER_LIMITS, ...limits } };
  const listener = await listen({ host: "127.0.0.1", port: 0 }, setup);
  t.after(async () => await listener.stop(0));
  const [host = "", port] = listener.address.split(":");
  /** A connection without TLS, whatever is spoken there. */
  const dialRaw = async () => await dialled(t, connect(Number(port), host), "connect");
  const dial = async () => (scheme === "http" ? await dialRaw() : await dialTls(t, Number(port)));
  return { listener, connections, dial, dialRaw };
}

/** A server that does not listen: somebody else accepts for it. */
async function setUpElsewhere(t: TestContext, scheme: Scheme, limits: Partial<ListenerLimits>) {
  const connections = new Connections();
  const tls = scheme === "https" ? CERTIFICATE : undefined;
  const handle = requestListener([answer], connections, log, ANYBODY);
  const served = createListenerServer({ handle, connections, tls, log, limits: { ...LISTENER_LIMITS, ...limits } });
  t.after(async () => await served.stop(0));
  const elsewhere = createServer((socket) => served.accept(socket)).listen(0, "127.0.0.1");
  t.after(() => elsewhere.close());
  await once(elsewhere, "listening");
  const { port } = elsewhere.address() as AddressInfo;
  const dial = async () =>
    scheme === "http" ? await dialled(t, connect(port, "127.0.0.1"), "connect") : await dialTls(t, port);
  return { served, dial };
}

async function dialTls(t: TestContext, port: number): Promise<Socket> {
  return await dialled(t, connectTls({ port, host: "127.0.0.1", ca: CERTIFICATE.cert }), "secureConnect");
}

async function dialled<T extends Socket>(t: TestContext, socket: T, event: string): Promise<T> {
  t.after(() => socket.destroy());
  await once(socket.setEncoding("latin1"), event);
  return socket;
}

/** All that came until the server closed. */
async function received(socket: Socket): Promise<string> {
  return ((await socket.toArray()) as string[]).join("");
}

for (const scheme of ["http", "https"] as const) {
  describe(scheme, () => {
    test("headers that come too slowly get 408 and the connection is closed", async (t) => {
      const limits = { headersTimeoutMs: 20, timeoutCheckMs: 10, lingerMs: 20 };
      const { dial } = await setUp(t, scheme, limits);
      const socket = await dial();
      socket.write("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ");
      const text = await received(socket);
      assert.match(text, /^HTTP\/1\.1 408 Request Timeout\r\n/);
      assert.match(text, /"code":"UNSUPPORTED"/);
    });

    test("a connection that never says a word is closed as well", async (t) => {
      const limits = { headersTimeoutMs: 20, timeoutCheckMs: 10, lingerMs: 20 };
      const { dial, connections } = await setUp(t, scheme, limits);
      await received(await dial());
      await connections.allClosed();
    });

    test("a connection without a further request is closed after the keep-alive time", async (t) => {
      const { dial } = await setUp(t, scheme, { keepAliveMs: 20 });
      const socket = await dial();
      socket.write(GET);
      assert.match(await received(socket), /here$/);
    });

    test("a client that takes no byte is cut after the idle time", async (t) => {
      const large: Handler = async ({ res }) => {
        res.end(Buffer.alloc(64 * 1024 * 1024));
        return true;
      };
      const { dial, connections } = await setUp(t, scheme, { socketIdleMs: 50 }, large);
      const socket = await dial();
      socket.on("error", () => undefined).write(GET);
      await once(socket, "readable");
      await connections.allClosed();
    });

    test("an answer to broken HTTP is readable although the client goes on sending, and the connection does not linger", async (t) => {
      const { dial, connections } = await setUp(t, scheme, { lingerMs: 20 });
      const socket = await dial();
      socket.write("nonsense\r\n\r\n");
      socket.write("x".repeat(1024 * 1024));
      assert.match(await received(socket), /^HTTP\/1\.1 400 /);
      await connections.allClosed();
    });

    test("stop closes connections that are idle or have never sent anything, without waiting for its limit", async (t) => {
      const { dial, dialRaw, listener } = await setUp(t, scheme, {});
      const raw = await dialRaw();
      const silent = await dial();
      const idle = await dial();
      idle.write(GET);
      await once(idle, "data");
      const gone = [raw.on("error", () => undefined), silent, idle].map(
        async (socket) => await once(socket.resume(), "close"),
      );
      await listener.stop(2 ** 30);
      await Promise.all(gone);
    });

    test("a connection that was accepted elsewhere is served and stopped as one of its own", async (t) => {
      const { served, dial } = await setUpElsewhere(t, scheme, {});
      const [idle, stuck] = [await dial(), await dial()];
      idle.write(GET);
      await once(idle, "data");
      stuck.on("error", () => undefined).write(GET_STUCK);
      await once(stuck, "data");
      const gone = [idle, stuck].map(async (socket) => await once(socket.resume(), "close"));
      assert.equal(await served.stop(50), 1);
      await Promise.all(gone);
    });

    test("headers that come too slowly get 408 there as well", async (t) => {
      const limits = { headersTimeoutMs: 20, timeoutCheckMs: 10, lingerMs: 20 };
      const { dial } = await setUpElsewhere(t, scheme, limits);
      const socket = await dial();
      socket.write("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ");
      assert.match(await received(socket), /^HTTP\/1\.1 408 /);
    });
  });
}

describe("TLS", () => {
  test("a client that connects and never begins with it is cut", async (t) => {
    const { dialRaw } = await setUp(t, "https", { handshakeTimeoutMs: 20 });
    assert.equal(await received(await dialRaw()), "");
  });

  test("a client that begins with it and says no more is cut", async (t) => {
    const { dialRaw } = await setUp(t, "https", { handshakeTimeoutMs: 20 });
    const socket = await dialRaw();
    // The head of a record of 512 bytes that begins a ClientHello.
    socket.write(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01]));
    assert.equal(await received(socket), "");
  });

  test("a client that leaves in the middle of it leaves nothing behind", async (t) => {
    const { dialRaw, listener } = await setUp(t, "https", {});
    const sockets = await Promise.all(Array.from({ length: 20 }, dialRaw));
    for (const [index, socket] of sockets.entries()) {
      if (index % 2 === 0) socket.resetAndDestroy();
      else socket.destroy();
    }
    await listener.stop(2 ** 30);
  });

  test("plain HTTP is told so, and what is neither is not answered", async (t) => {
    const { dialRaw, dial } = await setUp(t, "https", {});
    const plain = await dialRaw();
    plain.write(GET);
    const text = await received(plain);
    assert.match(text, /^HTTP\/1\.1 400 Bad Request\r\n/);
    assert.match(text, /"code":"UNSUPPORTED","message":"this port speaks TLS: use https:\/\/"/);
    const noise = await dialRaw();
    noise.on("error", () => undefined).write("SSH-2.0-OpenSSH_9.9\r\n");
    await once(noise.resume(), "close");
    const other = await dial();
    other.write(GET);
    await once(other, "data");
  });

  test("what is older than TLS 1.2, or wants HTTP/2 alone, is refused", async (t) => {
    const { listener } = await setUp(t, "https", {});
    const port = Number(listener.address.split(":")[1]);
    const refused = async (options: object) => {
      const socket = connectTls({ port, host: "127.0.0.1", ca: CERTIFICATE.cert, ...options });
      t.after(() => socket.destroy());
      await once(socket, "secureConnect");
    };
    const old = { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" };
    await assert.rejects(refused(old), { code: "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION" });
    await assert.rejects(refused({ ALPNProtocols: ["h2"] }), { code: "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL" });
    await refused({ ALPNProtocols: ["h2", "http/1.1"] });
    await refused({ maxVersion: "TLSv1.2" });
  });

  test("a record that is not what was agreed on ends the connection, also in the middle of a response", async (t) => {
    const { dialRaw, connections } = await setUp(t, "https", {});
    const raw = await dialRaw();
    const socket = connectTls({ socket: raw, ca: CERTIFICATE.cert, host: "127.0.0.1" });
    socket.on("error", () => undefined);
    await once(socket, "secureConnect");
    socket.write(GET_STUCK);
    await once(socket, "data");
    raw.write(Buffer.concat([Buffer.from([0x17, 0x03, 0x03, 0x00, 0x40]), Buffer.alloc(64)]));
    await connections.allClosed();
  });

  test("a session is taken up again", async (t) => {
    const { listener } = await setUp(t, "https", {});
    const port = Number(listener.address.split(":")[1]);
    const first = await dialTls(t, port);
    const session = once(first as ReturnType<typeof connectTls>, "session") as Promise<[Buffer]>;
    first.write(GET);
    const [ticket] = await session;
    const again = connectTls({ port, host: "127.0.0.1", ca: CERTIFICATE.cert, session: ticket });
    t.after(() => again.destroy());
    await once(again, "secureConnect");
    assert.equal(again.isSessionReused(), true);
  });
});

test("an address that is taken rejects with the system's error", async (t) => {
  const { listener } = await setUp(t, "http", {});
  const [host = "", port] = listener.address.split(":");
  const connections = new Connections();
  const setup = { handle: requestListener([answer], connections, log, ANYBODY), connections, tls: undefined, log };
  await assert.rejects(listen({ host, port: Number(port) }, setup), { code: "EADDRINUSE" });
});
