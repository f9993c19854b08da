import assert from "node:assert/strict";
import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { test } from "node:test";
import { pino } from "pino";
import { selfSignedCertificate } from "../../test/support/certificate.ts";
import { tempDir } from "../../test/support/temp.ts";
import type { AcmeConfig } from "../config/config.ts";
import { AcmeStore } from "./acme-store.ts";
import { openAcme } from "./acme.ts";
import { coversAll } from "./renewal.ts";

const log = pino({ level: "silent" });
const CONFIG: AcmeConfig = {
  directory: "https://ca.example.com/directory",
  directoryCa: undefined,
  email: undefined,
  names: ["a.example.com", "b.example.com"],
  oneEach: false,
  challenge: { kind: "tls-alpn-01" },
};

test("until there is a certificate for all names, the one before is shown, which is good for some", async (t) => {
  const folder = await tempDir(t);
  const first = await openAcme(CONFIG, { dataDir: folder, listen: [] }, log);
  assert.ok(coversAll(first.certificate.cert, ["a.example.com"]));
  const kept = selfSignedCertificate(["b.example.com"]);
  await new AcmeStore(folder, CONFIG.directory).keep(undefined, kept);
  assert.equal((await openAcme(CONFIG, { dataDir: folder, listen: [] }, log)).certificate.cert, kept.cert);
});

test("with one each, every name that has its own is shown it, and the others the first one's", async (t) => {
  const folder = await tempDir(t);
  const config = { ...CONFIG, oneEach: true };
  const store = new AcmeStore(folder, CONFIG.directory);
  // What was for all names is for none of them now.
  await store.keep(undefined, selfSignedCertificate(CONFIG.names));
  const [a, b] = [selfSignedCertificate(["a.example.com"]), selfSignedCertificate(["b.example.com"])];
  await store.keep("b.example.com", b);
  const { certificate } = await openAcme(config, { dataDir: folder, listen: [] }, log);
  assert.deepEqual(
    certificate.named?.map(({ name, cert }) => [name, cert]),
    [["b.example.com", b.cert]],
  );
  assert.ok(coversAll(certificate.cert, ["a.example.com"]));
  await store.keep("a.example.com", a);
  const both = (await openAcme(config, { dataDir: folder, listen: [] }, log)).certificate;
  assert.equal(both.cert, a.cert);
  assert.deepEqual(
    both.named?.map(({ name }) => name),
    ["a.example.com", "b.example.com"],
  );
});

for (const [listen, location] of [
  [[{ port: 443, tls: true }], "https://cache.example.com/v2/?n=1"],
  [
    [
      { port: 5000, tls: false },
      { port: 5443, tls: true },
      { port: 6443, tls: true },
    ],
    "https://cache.example.com:5443/v2/?n=1",
  ],
] as const) {
  test(`with http-01 everybody else is sent on to ${location}`, async (t) => {
    const port = await freePort();
    const challenge = { kind: "http-01", listen: { host: "127.0.0.1", port } } as const;
    const directory = "https://127.0.0.1:1/directory";
    const acme = await openAcme({ ...CONFIG, directory, challenge }, { dataDir: await tempDir(t), listen }, log);
    t.after(async () => await acme.stop());
    await acme.start(() => undefined);
    const sent = get({ port, path: "/v2/?n=1", headers: { host: "cache.example.com:8080" } });
    const [response] = (await once(sent, "response")) as [IncomingMessage];
    response.resume();
    assert.deepEqual([response.statusCode, response.headers.location], [308, location]);
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
