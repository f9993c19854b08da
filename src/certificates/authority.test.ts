import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { selfSignedCertificate } from "../../test/support/certificate.ts";
import { tempDir } from "../../test/support/temp.ts";
import { AcmeStore } from "./acme-store.ts";
import { Authority } from "./authority.ts";
import { unreached } from "./reaching.ts";

async function portOf(t: TestContext, server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** What comes of a certificate that an authority there is asked for. */
async function askedAt(t: TestContext, directory: string): Promise<string> {
  const folder = await tempDir(t);
  const authority = new Authority({
    config: {
      directory,
      directoryCa: undefined,
      email: undefined,
      names: ["a.example"],
      oneEach: false,
      challenge: { kind: "tls-alpn-01" },
    },
    store: new AcmeStore(folder, directory),
    challenges: {} as never,
    log: { info: () => undefined } as never,
    signal: new AbortController().signal,
  });
  return await authority.issue(["a.example"]).then(
    () => "a certificate",
    (error: Error) => error.message,
  );
}

test("an authority that is not trusted is told of at once, with what mends that", async (t) => {
  const port = await portOf(t, createTlsServer(selfSignedCertificate()));
  const said = await askedAt(t, `https://localhost:${port}/dir`);
  const because = "shows a certificate that is not trusted: name its authority in tls.directory_ca";
  assert.equal(said, `localhost:${port} ${because} (DEPTH_ZERO_SELF_SIGNED_CERT)`);
});

test("and so is one that does not listen, speaks no TLS, or has no address", async (t) => {
  const server = createServer();
  const port = await portOf(t, server);
  assert.match(await askedAt(t, `https://127.0.0.1:${port}/dir`), /^127\.0\.0\.1:\d+ does not speak TLS: is it http/);
  server.close();
  await once(server, "close");
  const refused = `127.0.0.1:${port} refuses connections: nothing listens there (ECONNREFUSED)`;
  assert.equal(await askedAt(t, `https://127.0.0.1:${port}/dir`), refused);
  assert.match(
    await askedAt(t, "https://ca.invalid/dir"),
    /^ca\.invalid (is a name|cannot be resolved).* \(E[A-Z_]+\)$/,
  );
});

test("an answer that is an error is told of as such, and asked for again by what it says", async (t) => {
  let asked = 0;
  const server = createServer((_, res) => {
    asked += 1;
    if (asked === 1) res.writeHead(503, { "Retry-After": "1" }).end();
    else res.writeHead(404).end();
  });
  const said = await askedAt(t, `http://127.0.0.1:${await portOf(t, server)}/dir`);
  assert.match(said, /returned error 404/);
  assert.equal(asked, 2);
});

test("what nobody has words for is told with its code, or as it is", () => {
  const named = Object.assign(new Error("x"), { code: "EODD" });
  assert.equal(unreached("https://ca.example:1/dir", named).message, "ca.example:1 cannot be asked (EODD)");
  assert.equal(unreached("https://ca.example/dir", new Error("odd")).message, "ca.example cannot be asked (odd)");
});
