import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile, stat, writeFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import { test } from "node:test";
import { tempDir } from "../../test/support/temp.ts";
import { ValueError } from "../lib/value-error.ts";
import { AuthorityFolder, FileExistsError, readClientName, readServerName } from "./authority-folder.ts";
import { AuthorityError, isIssuedBy, issue, makeAuthority, namesOf } from "./own-authority.ts";

const DAY_MS = 24 * 60 * 60_000;

test("an authority signs servers for names and addresses, and each certificate is good for its own use alone", async () => {
  const authority = await makeAuthority();
  const names = ["cache.example.com", "*.cache.example.com", "192.0.2.7", "fd00::7"];
  const server = await issue(authority, { use: "server", names });
  const own = new X509Certificate(server.cert);
  assert.ok(isIssuedBy(server.cert, authority.cert));
  assert.ok(!own.ca);
  assert.deepEqual(own.keyUsage, ["1.3.6.1.5.5.7.3.1"]);
  assert.deepEqual(await namesOf(server.cert), names);
  for (const name of ["cache.example.com", "ghcr.cache.example.com"])
    assert.ok(own.checkHost(name) !== undefined, name);
  assert.ok(own.checkIP("192.0.2.7") !== undefined && own.checkIP("fd00::7") !== undefined);
  const client = new X509Certificate((await issue(authority, { use: "client", names: ["ci-runner"] })).cert);
  assert.deepEqual([client.subject, client.keyUsage], ["CN=ci-runner", ["1.3.6.1.5.5.7.3.2"]]);
  for (const { cert, key } of [authority, server]) {
    createSecureContext({ cert, key });
    assert.ok(new X509Certificate(cert).checkPrivateKey(createPrivateKey(key)));
  }
});

test("a server's certificate lasts for 825 days, an authority for ten years, and nothing longer than its authority", async () => {
  const nowMs = Date.now();
  const authority = await makeAuthority(nowMs);
  const lastsMs = (cert: string) => {
    const { validFromDate, validToDate } = new X509Certificate(cert);
    return validToDate.getTime() - validFromDate.getTime();
  };
  assert.ok(lastsMs(authority.cert) > 3640 * DAY_MS);
  const { cert } = await issue(authority, { use: "server", names: ["a.example.com"] }, nowMs);
  assert.ok(lastsMs(cert) <= 825 * DAY_MS && lastsMs(cert) > 824 * DAY_MS);
  const late = await issue(authority, { use: "server", names: ["a.example.com"] }, nowMs + 3600 * DAY_MS);
  assert.equal(new X509Certificate(late.cert).validTo, new X509Certificate(authority.cert).validTo);
  const after = issue(authority, { use: "client", names: ["a"] }, nowMs + 3660 * DAY_MS);
  await assert.rejects(after, AuthorityError);
});

test("a name too long for the subject stands among the alternative ones", async () => {
  const name = `${"a".repeat(60)}.${"b".repeat(40)}.example.com`;
  const { cert } = await issue(await makeAuthority(), { use: "server", names: [name] });
  assert.equal(new X509Certificate(cert).checkHost(name), name);
});

test("what does not belong to each other signs nothing", async () => {
  const [one, other] = [await makeAuthority(), await makeAuthority()];
  await assert.rejects(issue({ cert: one.cert, key: other.key }, { use: "client", names: ["a"] }), AuthorityError);
  const leaf = await issue(one, { use: "server", names: ["a.example.com"] });
  assert.ok(!isIssuedBy(leaf.cert, other.cert));
  await assert.rejects(issue(leaf, { use: "client", names: ["a"] }), AuthorityError);
});

test("a folder keeps keys from others, overwrites none unasked, and renews with the key that is there", async (t) => {
  const folder = new AuthorityFolder(`${await tempDir(t)}/below/certificates`);
  await folder.makeAuthority();
  await folder.makeServer(["cache.example.com"]);
  await folder.makeClient("ci");
  for (const key of ["ca-key.pem", "cache-key.pem", "ci-key.pem"]) {
    assert.equal((await stat(folder.file(key))).mode & 0o777, 0o600);
  }
  const textOf = async (name: string) => await readFile(folder.file(name), "utf8");
  const before = {
    ca: await textOf("ca-key.pem"),
    server: await textOf("cache-key.pem"),
    client: await textOf("ci-key.pem"),
  };
  await assert.rejects(folder.makeAuthority(), FileExistsError);
  await assert.rejects(folder.makeClient("ci"), FileExistsError);
  assert.deepEqual(await folder.makeServer(["cache.example.com", "192.0.2.7"]), [folder.file("cache.pem")]);
  assert.deepEqual(await folder.serverNames(), ["cache.example.com", "192.0.2.7"]);
  assert.deepEqual(
    { ca: await textOf("ca-key.pem"), server: await textOf("cache-key.pem"), client: await textOf("ci-key.pem") },
    before,
  );
  await folder.makeServer(["cache.example.com"], { newKey: true });
  await folder.makeClient("ci", { force: true });
  assert.notEqual(await textOf("cache-key.pem"), before.server);
  assert.notEqual(await textOf("ci-key.pem"), before.client);
});

test("a folder without its authority, or with one of another kind, says so", async (t) => {
  const folder = new AuthorityFolder(await tempDir(t));
  await assert.rejects(folder.makeServer(["a.example.com"]), { code: "ENOENT" });
  await folder.makeAuthority();
  await writeFile(folder.file("ca-key.pem"), (await makeAuthority()).key);
  await assert.rejects(folder.makeServer(["a.example.com"]), AuthorityError);
});

for (const [text, name] of [
  ["Cache.Example.com", "cache.example.com"],
  ["*.cache.example.com", "*.cache.example.com"],
  ["[fd00::7]", "fd00::7"],
  ["192.0.2.7", "192.0.2.7"],
  ["https://cache.example.com", undefined],
  ["cache.example.com:5000", undefined],
  ["a.*.example.com", undefined],
  ["192.0.2.700", undefined],
  ["", undefined],
] as const) {
  test(`as a server's name ${JSON.stringify(text)} is ${name ?? "refused"}`, () => {
    if (name === undefined) assert.throws(() => readServerName(text), ValueError);
    else assert.equal(readServerName(text), name);
  });
}

test("a client's name cannot lead out of the folder, or to the files of another", () => {
  assert.equal(readClientName("host-1.ci.example.com"), "host-1.ci.example.com");
  for (const text of ["", "ca", "cache", "ci-key", "../x", "a/b", ".a", "-a", "a b", "anonymous", "x".repeat(65)]) {
    assert.throws(() => readClientName(text), ValueError, text);
  }
});
