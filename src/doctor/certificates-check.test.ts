import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { OPEN_ACCESS, testConfig } from "../../test/support/cache.ts";
import { selfSignedCertificate, testAuthority } from "../../test/support/certificate.ts";
import { tempDir } from "../../test/support/temp.ts";
import { AcmeStore } from "../certificates/acme-store.ts";
import type { AcmeConfig, Config } from "../config/config.ts";
import { certificatesCheck } from "./certificates-check.ts";

const CHALLENGE = { kind: "tls-alpn-01" } as const;

/** An authority that says what it offers, if anything, and nothing else. */
async function directory(t: TestContext, text: string) {
  const { cert, key } = selfSignedCertificate();
  const server = createServer({ cert, key }, (_, res) => res.end(text)).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return { ca: cert, url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/directory` };
}

async function setUp(t: TestContext, acme: Partial<AcmeConfig> & Pick<AcmeConfig, "directory">) {
  const dataDir = await tempDir(t);
  const whole = {
    directoryCa: undefined,
    email: undefined,
    names: ["a.test", "b.test"],
    oneEach: false,
    challenge: CHALLENGE,
  };
  const config = testConfig(dataDir, [], { acme: { ...whole, ...acme } });
  const look = async (isOffline = false, more: Partial<Config> = {}) => {
    const options = { asked: Promise.resolve([]), isOffline, nowMs: Date.now() };
    const found = await certificatesCheck({ ...config, ...more }, options).look(new AbortController().signal);
    return found.map(
      ({ level, message }) =>
        `${level}: ${message.replaceAll(/127\.0\.0\.1:\d+/g, "HOST").replaceAll(/\d{4}-\d\d-\d\d/g, "DAY")}`,
    );
  };
  return { look, store: new AcmeStore(dataDir, acme.directory) };
}

test("an authority that is reached, and a certificate that it has given", async (t) => {
  const { ca, url } = await directory(t, '{"newOrder": "..."}');
  const { look, store } = await setUp(t, { directory: url, directoryCa: ca });
  assert.deepEqual(await look(), [
    "ok: the authority HOST answers",
    "problem: the certificate for a.test, b.test was not given out yet",
  ]);
  await store.keep(undefined, selfSignedCertificate(["a.test", "b.test"], { validDays: [-1, 89.5] }));
  assert.deepEqual(await look(), [
    "ok: the authority HOST answers",
    "ok: the certificate for a.test, b.test is valid until DAY, for 89 days",
    "ok: it is for all 2 names that clients use",
  ]);
});

test("a renewal that has failed, and names that were added since", async (t) => {
  const { look, store } = await setUp(t, { directory: "https://127.0.0.1:9/directory" });
  await store.keep(undefined, selfSignedCertificate(["a.test"], { validDays: [-70, 20.5] }));
  assert.deepEqual(await look(), [
    "warning: the authority HOST refuses connections: nothing listens there",
    "ok: the certificate for a.test, b.test is valid until DAY, for 20 days",
    "warning: it should have been renewed by now: the last attempts have failed",
    "problem: it is not for b.test; it is for a.test",
  ]);
  assert.equal((await look(true))[0], "skipped: the authority HOST was not asked (--offline)");
  const proxy = { httpProxy: "", httpsProxy: "http://proxy.test:3128", noProxy: "" };
  assert.match((await look(false, { proxy }))[0] ?? "", /^skipped: the authority HOST is asked through a proxy/);
});

test("an authority that is not trusted, and one that is none", async (t) => {
  const { ca, url } = await directory(t, "<html>");
  const { look } = await setUp(t, { directory: url, oneEach: true });
  assert.deepEqual(await look(), [
    "warning: the authority HOST shows a certificate that is not trusted",
    "problem: the certificate for a.test was not given out yet",
    "problem: the certificate for b.test was not given out yet",
  ]);
  const none = await setUp(t, { directory: url, directoryCa: ca });
  assert.equal((await none.look())[0], "problem: HOST answers 200, and not as an ACME authority does");
});

test("what clients are judged by is looked at as well, and nothing where there is no TLS", async (t) => {
  const authority = testAuthority("clients");
  const mtls = { ca: authority.cert, crl: undefined, names: ["*"], files: { ca: "/nonexistent", crl: undefined } };
  const { look } = await setUp(t, { directory: "https://127.0.0.1:9/directory" });
  const found = await look(true, { acme: undefined, access: { ...OPEN_ACCESS, mtls } });
  assert.equal(found.length, 1);
  assert.match(found[0] ?? "", /^ok: the authority of clients \(CN=clients\) is valid until DAY, for /);
  assert.deepEqual(await look(true, { acme: undefined }), []);
});
