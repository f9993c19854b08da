import assert from "node:assert/strict";
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
  const first = await openAcme(CONFIG, folder, log);
  assert.ok(coversAll(first.certificate.cert, ["a.example.com"]));
  const kept = selfSignedCertificate(["b.example.com"]);
  await new AcmeStore(folder, CONFIG.directory).keep(undefined, kept);
  assert.equal((await openAcme(CONFIG, folder, log)).certificate.cert, kept.cert);
});

test("with one each, every name that has its own is shown it, and the others the first one's", async (t) => {
  const folder = await tempDir(t);
  const config = { ...CONFIG, oneEach: true };
  const store = new AcmeStore(folder, CONFIG.directory);
  // What was for all names is for none of them now.
  await store.keep(undefined, selfSignedCertificate(CONFIG.names));
  const [a, b] = [selfSignedCertificate(["a.example.com"]), selfSignedCertificate(["b.example.com"])];
  await store.keep("b.example.com", b);
  const { certificate } = await openAcme(config, folder, log);
  assert.deepEqual(
    certificate.named?.map(({ name, cert }) => [name, cert]),
    [["b.example.com", b.cert]],
  );
  assert.ok(coversAll(certificate.cert, ["a.example.com"]));
  await store.keep("a.example.com", a);
  const both = (await openAcme(config, folder, log)).certificate;
  assert.equal(both.cert, a.cert);
  assert.deepEqual(
    both.named?.map(({ name }) => name),
    ["a.example.com", "b.example.com"],
  );
});
