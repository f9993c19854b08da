import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";
import { pino } from "pino";
import { ANYBODY } from "../../test/support/callers.ts";
import { selfSignedCertificate } from "../../test/support/certificate.ts";
import type { ClientHello } from "./client-hello.ts";
import { Connections } from "./connections.ts";
import type { Screening } from "./entrance.ts";
import { FirstLook } from "./first-look.ts";
import { requestListener } from "./handler.ts";
import { createListenerServer } from "./listener-server.ts";
import { listen } from "./listener.ts";

const log = pino({ level: "silent" });
const CERTIFICATE = selfSignedCertificate();
const GET = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const CROWD = 200;

function setUpServer() {
  const connections = new Connections();
  const answer = async ({ res }: { res: { end(text: string): void } }) => {
    res.end("here");
    return true;
  };
  const handle = requestListener([answer], connections, log, ANYBODY);
  return { handle, connections, tls: CERTIFICATE, log };
}

/** Takes those that ask for a protocol of its own, and keeps what it was told. */
class TestScreening implements Screening {
  isOn = true;
  readonly hellos: ClientHello[] = [];
  readonly taken: Socket[] = [];

  take(hello: ClientHello, socket: Socket): boolean {
    this.hellos.push(hello);
    if (!hello.protocols.includes("own/1")) return false;
    this.taken.push(socket);
    return true;
  }
}

async function setUp(t: TestContext) {
  const screening = new TestScreening();
  const listener = await listen({ host: "127.0.0.1", port: 0 }, setUpServer(), screening);
  t.after(async () => await listener.stop(0));
  const port = Number(listener.address.split(":")[1]);
  const dial = (options: ConnectionOptions = {}) => {
    const socket = connectTls({ port, host: "127.0.0.1", ca: CERTIFICATE.cert, servername: "localhost", ...options });
    t.after(() => socket.destroy());
    return socket;
  };
  return { screening, listener, port, dial };
}

async function answered(socket: TLSSocket): Promise<string> {
  socket.setEncoding("latin1").write(GET);
  return ((await socket.toArray()) as string[]).join("");
}

/** A way to a port on which what the client says first goes through in pieces, each of which is written for itself. */
async function inPieces(t: TestContext, port: number, pieceBytes: number): Promise<number> {
  const between = createServer({ noDelay: true }, (client) => {
    const server = connect({ port, host: "127.0.0.1", noDelay: true });
    for (const socket of [client, server]) socket.on("error", () => undefined);
    server.pipe(client);
    client.once("data", (first: Buffer) => {
      client.pause();
      const send = (at: number): void => {
        if (at >= first.length) return void client.pipe(server);
        server.write(first.subarray(at, at + pieceBytes), () => setImmediate(send, at + pieceBytes));
      };
      send(0);
    });
  });
  between.listen(0, "127.0.0.1");
  t.after(() => between.close());
  await once(between, "listening");
  return (between.address() as AddressInfo).port;
}

test("a crowd that is looked at is answered like everybody else", async (t) => {
  const { screening, dial } = await setUp(t);
  const all = await Promise.all(
    Array.from({ length: CROWD }, async (_, index) => {
      const socket = dial(index % 2 === 0 ? { maxVersion: "TLSv1.2" } : { ALPNProtocols: ["http/1.1"] });
      return await answered(socket);
    }),
  );
  assert.ok(all.every((text) => text.startsWith("HTTP/1.1 200") && text.includes("here")));
  assert.equal(screening.hellos.length, CROWD);
  assert.ok(screening.hellos.every(({ serverName }) => serverName === "localhost"));
});

test("a hello may come in pieces", async (t) => {
  const { screening, port, dial } = await setUp(t);
  for (const pieceBytes of [7, 50, 1_000]) {
    assert.match(await answered(dial({ port: await inPieces(t, port, pieceBytes) })), /^HTTP\/1\.1 200/);
  }
  assert.ok(screening.hellos.length > 0);
});

test("what is asked for is taken, unread, and nothing else", async (t) => {
  const { screening, dial } = await setUp(t);
  const own = dial({ ALPNProtocols: ["own/1"] });
  own.on("error", () => undefined);
  assert.match(await answered(dial()), /^HTTP\/1\.1 200/);
  while (screening.taken.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const [taken] = screening.taken;
  // The first byte of a record with a handshake message.
  assert.equal((taken?.read() as Buffer | null)?.[0], 22);
  taken?.destroy();
});

test("nobody is looked at while nobody is expected", async (t) => {
  const { screening, dial } = await setUp(t);
  screening.isOn = false;
  assert.match(await answered(dial()), /^HTTP\/1\.1 200/);
  assert.deepEqual(screening.hellos, []);
});

test("plain HTTP gets its usual answer", async (t) => {
  const { port } = await setUp(t);
  const socket = connect(port, "127.0.0.1").setEncoding("latin1");
  t.after(() => socket.destroy());
  socket.write(GET);
  assert.match(((await socket.toArray()) as string[]).join(""), /^HTTP\/1\.1 400/);
});

test("who says nothing yet when the listener stops does not delay it", async (t) => {
  const { port, listener, dial } = await setUp(t);
  const socket = connect(port, "127.0.0.1");
  t.after(() => socket.destroy());
  socket.write(Buffer.from([22, 3, 1]));
  const gone = new Promise((resolve) => socket.on("error", () => undefined).once("close", resolve));
  await once(socket.resume(), "connect");
  // They are accepted one after the other.
  await answered(dial());
  await listener.stop(0);
  await gone;
});

test("who is slow, or leaves, is served as usual", async (t) => {
  const served = createListenerServer(setUpServer());
  t.after(async () => await served.stop(0));
  const first = new FirstLook(1);
  const told: (ClientHello | undefined)[] = [];
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    socket.on("error", () => undefined);
    first.look(socket, (hello) => {
      told.push(hello);
      served.accept(socket);
    });
  }).listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const leaving = connect(port, "127.0.0.1");
  await once(leaving, "connect");
  leaving.end(Buffer.from([22]));
  await once(
    leaving.resume().on("error", () => undefined),
    "close",
  );
  const silent = connect(port, "127.0.0.1");
  t.after(() => silent.destroy());
  while (!told.includes(undefined) || silent.connecting) await new Promise((resolve) => setImmediate(resolve));
  const socket = connectTls({ socket: silent, ca: CERTIFICATE.cert, servername: "localhost" });
  assert.match(await answered(socket), /^HTTP\/1\.1 200/);
});
