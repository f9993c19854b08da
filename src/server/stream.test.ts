import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:tls";
import { test } from "node:test";
import { pino } from "pino";
import { ANYBODY } from "../../test/support/callers.ts";
import { seededBytes } from "../../test/support/bytes.ts";
import { selfSignedCertificate } from "../../test/support/certificate.ts";
import { Connections } from "./connections.ts";
import { type Handler, requestListener } from "./handler.ts";
import { listen } from "./listener.ts";
import { sendBytes, TLS_WRITE_BYTES } from "./stream.ts";

test("a client that takes little has little encrypted for it, and gets the same bytes", async (t) => {
  const [tls, log, connections] = [selfSignedCertificate(), pino({ level: "silent" }), new Connections()];
  // More than the system takes from us for a client that does not read.
  const bytes = seededBytes(32 * 1024 * 1024 + 1);
  const handler: Handler = async (exchange) => {
    exchange.res.writeHead(200, { "Content-Length": bytes.length, Connection: "close" });
    await sendBytes(exchange, bytes);
    return true;
  };
  const setup = { handle: requestListener([handler], connections, log, ANYBODY), connections, tls, log };
  const listener = await listen({ host: "127.0.0.1", port: 0 }, setup);
  t.after(async () => await listener.stop(0));
  const client = connect({ port: Number(listener.address.split(":")[1]), host: "127.0.0.1", ca: tls.cert });
  t.after(() => client.destroy());
  await once(client, "secureConnect");
  client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await once(client, "readable");
  const [served] = connections.sockets;
  assert.ok(served !== undefined && served.writableLength > 0);
  assert.ok(served.writableLength < 2 * TLS_WRITE_BYTES, `${served.writableLength} bytes wait`);
  const received = Buffer.concat((await client.toArray()) as Buffer[]);
  assert.ok(received.subarray(-bytes.length).equals(bytes));
});
