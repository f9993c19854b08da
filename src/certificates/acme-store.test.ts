import assert from "node:assert/strict";
import { readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { selfSignedCertificate } from "../../test/support/certificate.ts";
import { tempDir } from "../../test/support/temp.ts";
import { AcmeStore } from "./acme-store.ts";

const DIRECTORY = "https://ca.example.com/directory";
const LONG_NAME = `${"a.".repeat(120)}example.com`;

test("certificates are kept for each name and for all together, readable by nobody else", async (t) => {
  const folder = await tempDir(t);
  const store = new AcmeStore(folder, DIRECTORY);
  const names = [undefined, "a.example.com", "b.example.com", LONG_NAME];
  const made = names.map((name) => selfSignedCertificate([name ?? "all.example.com"]));
  for (const [index, name] of names.entries()) await store.keep(name, made[index] ?? { cert: "", key: "" });
  for (const [index, name] of names.entries()) {
    const { cert, key } = (await store.certificate(name)) ?? {};
    assert.deepEqual([cert?.trim(), key?.trim()], [made[index]?.cert.trim(), made[index]?.key.trim()]);
  }
  const files = await readdir(join(folder, "acme"));
  assert.equal(files.length, names.length);
  for (const file of files) assert.equal((await stat(join(folder, "acme", file))).mode & 0o077, 0, file);
  assert.equal((await stat(join(folder, "acme"))).mode & 0o077, 0);
});

test("another authority's certificate is none, nor what was damaged or does not fit", async (t) => {
  const folder = await tempDir(t);
  const store = new AcmeStore(folder, DIRECTORY);
  assert.equal(await store.certificate(undefined), undefined);
  const [one, other] = [selfSignedCertificate(), selfSignedCertificate()];
  await store.keep(undefined, one);
  assert.notEqual(await store.certificate(undefined), undefined);
  assert.equal(await new AcmeStore(folder, "https://other.example.com/directory").certificate(undefined), undefined);
  await store.keep(undefined, { cert: one.cert, key: other.key });
  assert.equal(await store.certificate(undefined), undefined);
  for (const cert of ["", one.cert.replace(/\n[A-Za-z0-9]{9}/, "\n?????????")]) {
    await writeFile(join(folder, "acme/certificate.pem"), `${DIRECTORY}\n${one.key}${cert}`);
    assert.equal(await store.certificate(undefined), undefined);
  }
});

test("the account's key is made once for each authority", async (t) => {
  const folder = await tempDir(t);
  const make = (key: string) => async () => key;
  assert.equal(await new AcmeStore(folder, DIRECTORY).accountKey(make("first")), "first");
  assert.equal(await new AcmeStore(folder, DIRECTORY).accountKey(make("second")), "first");
  assert.equal(await new AcmeStore(folder, "https://other.example.com:9000/d").accountKey(make("third")), "third");
});
