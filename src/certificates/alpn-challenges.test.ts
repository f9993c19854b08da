import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { test, type TestContext } from "node:test";
import { connect, type ConnectionOptions } from "node:tls";
import { pino } from "pino";
import { ANYBODY } from "../../test/support/callers.ts";
import { selfSignedCertificate } from "../../test/support/certificate.ts";
import { Connections } from "../server/connections.ts";
import { requestListener } from "../server/handler.ts";
import { listen } from "../server/listener.ts";
import { AlpnChallenges } from "./alpn-challenges.ts";

const log = pino({ level: "silent" });
const USUAL = selfSignedCertificate(["a.example"]);
/** id-pe-acmeIdentifier as DER has it: 1.3.6.1.5.5.7.1.31, and that it is critical. */
const ACME_IDENTIFIER = Buffer.from("06082b0601050507011f0101ff", "hex");

async function setUp(t: TestContext) {
  const challenges = new AlpnChallenges(log);
  t.after(async () => await challenges.close());
  const connections = new Connections();
  const setup = { handle: requestListener([], connections, log, ANYBODY), connections, tls: USUAL, log };
  const listener = await listen({ host: "127.0.0.1", port: 0 }, setup, challenges);
  t.after(async () => await listener.stop(0));
  const port = Number(listener.address.split(":")[1]);
  const dial = async (servername: string, protocols: string[], more: ConnectionOptions = {}) => {
    const options = { port, host: "127.0.0.1", servername, ALPNProtocols: protocols, rejectUnauthorized: false };
    const socket = connect({ ...options, ...more });
    t.after(() => socket.destroy());
    await once(socket, "secureConnect");
    return socket.on("error", () => undefined);
  };
  const shown = async (servername: string, ...protocols: string[]) => {
    const socket = await dial(servername, protocols);
    const raw = socket.getPeerX509Certificate()?.raw ?? Buffer.alloc(0);
    socket.destroy();
    return { isUsual: raw.toString("base64") === derOf(USUAL.cert), protocol: socket.alpnProtocol, raw };
  };
  return { challenges, dial, shown };
}

function derOf(pem: string): string {
  return pem.replaceAll(/-----[^-]+-----|\n/g, "");
}

test("an authority is shown the challenge's certificate, everybody else the usual one", async (t) => {
  const { challenges, dial, shown } = await setUp(t);
  await challenges.show({ name: "a.example", token: "t1", answer: "t1.thumb" });
  await challenges.show({ name: "b.example", token: "t2", answer: "t2.thumb" });
  for (const [name, answer] of [
    ["a.example", "t1.thumb"],
    ["B.example", "t2.thumb"],
  ] as const) {
    const { raw, protocol } = await shown(name, "acme-tls/1");
    assert.equal(protocol, "acme-tls/1");
    assert.ok(raw.includes(ACME_IDENTIFIER));
    assert.ok(raw.includes(createHash("sha256").update(answer).digest()));
    assert.ok(raw.includes(name.toLowerCase()));
  }
  assert.equal((await shown("a.example")).isUsual, true);
  assert.equal((await shown("a.example", "http/1.1")).isUsual, true);
  assert.deepEqual((await shown("a.example", "acme-tls/1", "http/1.1")).protocol, "http/1.1");
  await assert.rejects(shown("c.example", "acme-tls/1"));
  // The authority need not leave by itself.
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    const socket = await dial("a.example", ["acme-tls/1"], { maxVersion });
    await once(socket.resume(), "close");
  }
});

test("a challenge is shown until it is withdrawn, and nobody is looked at after the last one", async (t) => {
  const { challenges, shown } = await setUp(t);
  assert.equal(challenges.isOn, false);
  await challenges.show({ name: "a.example", token: "t1", answer: "t1.thumb" });
  await challenges.show({ name: "a.example", token: "t2", answer: "t2.thumb" });
  challenges.withdraw({ name: "a.example", token: "t1" });
  assert.equal((await shown("a.example", "acme-tls/1")).protocol, "acme-tls/1");
  assert.equal(challenges.isOn, true);
  challenges.withdraw({ name: "a.example", token: "t2" });
  assert.equal(challenges.isOn, false);
  await assert.rejects(shown("a.example", "acme-tls/1"));
  assert.equal((await shown("a.example", "http/1.1")).isUsual, true);
});
