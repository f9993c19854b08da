import assert from "node:assert/strict";
import { once } from "node:events";
import { test, type TestContext } from "node:test";
import { connect, type ConnectionOptions, type TLSSocket } from "node:tls";
import { pino } from "pino";
import { ANYBODY } from "../../test/support/callers.ts";
import { selfSignedCertificate, testAuthority } from "../../test/support/certificate.ts";
import type { ClientAuthorities, NamedCertificate } from "../config/config.ts";
import { certificateNames } from "./client-certificate.ts";
import { Connections } from "./connections.ts";
import { requestListener } from "./handler.ts";
import { listen } from "./listener.ts";

const log = pino({ level: "silent" });
const FIRST = selfSignedCertificate(["first.example"]);
const authority = testAuthority();

function named(name: string): NamedCertificate {
  return { name, ...selfSignedCertificate([name]) };
}

async function setUp(t: TestContext, all: readonly NamedCertificate[], clients?: ClientAuthorities) {
  const connections = new Connections();
  const answer = async ({ req, res }: { req: { socket: unknown }; res: { end(text: string): void } }) => {
    res.end(`names: ${certificateNames(req.socket as TLSSocket).join()}`);
    return true;
  };
  const handle = requestListener([answer], connections, log, ANYBODY);
  const tls = { ...FIRST, named: all };
  const listener = await listen({ host: "127.0.0.1", port: 0 }, { handle, connections, tls, log, clients });
  t.after(async () => await listener.stop(0));
  const port = Number(listener.address.split(":")[1]);
  const dial = async (options: ConnectionOptions) => {
    const socket = connect({ port, host: "127.0.0.1", ...options });
    t.after(() => socket.destroy());
    await once(socket, "secureConnect");
    return socket.on("error", () => undefined);
  };
  /** Whose certificate is shown; rejects where it is not that one. */
  const isShown = async (cert: string, servername?: string) => {
    const check = { ca: cert, checkServerIdentity: () => undefined };
    (await dial({ ...check, ...(servername === undefined ? {} : { servername }) })).destroy();
  };
  return { listener, dial, isShown };
}

async function said(socket: TLSSocket): Promise<string> {
  socket.setEncoding("latin1").write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  return ((await socket.toArray()) as string[]).join("");
}

test("each name is shown its own certificate; no name, and one that nobody knows, the first one's", async (t) => {
  const [one, two] = [named("one.example"), named("two.example")];
  const { isShown } = await setUp(t, [one, two]);
  await isShown(one.cert, "one.example");
  await isShown(two.cert, "TWO.example");
  for (const name of ["first.example", "other.example", "__proto__", undefined]) await isShown(FIRST.cert, name);
  await assert.rejects(isShown(FIRST.cert, "one.example"));
});

test("a name's certificate is replaced, and one is had for a name that had none", async (t) => {
  const [before, after, late] = [named("one.example"), named("one.example"), named("late.example")];
  const { listener, isShown } = await setUp(t, [before]);
  await isShown(before.cert, "one.example");
  await isShown(FIRST.cert, "late.example");
  listener.useTls({ certificate: { ...FIRST, named: [after, late] } });
  await isShown(after.cert, "one.example");
  await isShown(late.cert, "late.example");
  await assert.rejects(isShown(before.cert, "one.example"));
});

test("TLS 1.1 is refused for a name as well, and a session of a name is taken up again", async (t) => {
  const one = named("one.example");
  const { dial } = await setUp(t, [one]);
  const options = { ca: one.cert, servername: "one.example" };
  await assert.rejects(dial({ ...options, maxVersion: "TLSv1.1", minVersion: "TLSv1", ciphers: "ALL@SECLEVEL=0" }));
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    const first = await dial({ ...options, maxVersion });
    const session = first.getSession();
    const ticket =
      maxVersion === "TLSv1.2" && session !== undefined ? session : ((await once(first, "session")) as [Buffer])[0];
    const again = await dial({ ...options, maxVersion, session: ticket });
    assert.equal(again.isSessionReused(), true, maxVersion);
  }
});

test("clients' certificates are judged by the same authorities whatever name is asked for", async (t) => {
  const one = named("one.example");
  const [good, bad] = [authority.issue("good"), authority.issue("bad")];
  const foreign = testAuthority("another authority").issue("good");
  const clients = { ca: authority.cert, crl: authority.revocations([bad.serial]) };
  const { listener, dial } = await setUp(t, [one], clients);
  const options = { ca: one.cert, servername: "one.example" };
  const namesOf = async (client: { cert: string; key: string }) =>
    /names: (.*)/.exec(await said(await dial({ ...options, ...client })))?.[1];
  assert.deepEqual([await namesOf(good), await namesOf(bad), await namesOf(foreign)], ["good", "", ""]);
  const revoked = { ca: authority.cert, crl: authority.revocations([good.serial]) };
  listener.useTls({ certificate: { ...FIRST, named: [one] }, clients: revoked });
  assert.deepEqual([await namesOf(good), await namesOf(bad)], ["", "bad"]);
});
