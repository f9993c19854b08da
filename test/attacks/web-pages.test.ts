import assert from "node:assert/strict";
import { hostname } from "node:os";
import { test, type TestContext } from "node:test";
import { hashSync } from "bcryptjs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { AccessConfig, Config } from "../../src/config/config.ts";
import { FRONT_HEADERS } from "../../src/server/front-headers.ts";
import { NO_FILES, selfSignedCertificate } from "../support/certificate.ts";
import { testRegistry } from "../support/cache.ts";
import { ask, errorCode } from "../support/client.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { tempDir } from "../support/temp.ts";
import { basic, startWhole } from "../support/whole.ts";

const CREDENTIALS = { kind: "basic", username: "bot", password: "secret of the bot" } as const;
const EVIL = { Host: "evil.example:5000" };

/** A cache that shares private repositories, and has one of them as well as a public one. */
async function setUp(
  t: TestContext,
  workers: number,
  access: Partial<AccessConfig> = {},
  config: Partial<Config> = {},
) {
  const upstream = await startFakeUpstream({
    auth: "bearer",
    users: { bot: CREDENTIALS.password },
    privateRepositories: ["org/private"],
  });
  t.after(async () => await upstream.stop());
  const hidden = upstream.addImage("org/private", "1", { seed: 1 });
  const open = upstream.addImage("library/app", "1", { seed: 2 });
  const registry = testRegistry(upstream.url, {
    credentials: CREDENTIALS,
    sharedRepositories: ["org/**"],
    hostnames: ["hub.cache.example"],
  });
  const { url } = await startWhole(t, [registry], { workers, access, config });
  const told = [
    "/",
    "/?n=1",
    "/summary",
    "/api/v1/bypassing",
    "/api/v1/status",
    "/api/v1/images",
    "/v2/_catalog",
    "/v2/docker.io/_catalog",
    "/docker.io/v2/_catalog",
    "/v2/org/private/tags/list",
    "/v2/org/private/manifests/1",
    `/v2/org/private/manifests/${hidden.digest}`,
    `/v2/docker.io/org/private/blobs/${hidden.layers[0]?.digest}`,
    `/v2/org/private/referrers/${hidden.digest}`,
  ];
  const pulled = ["/v2/", "/v2/library/app/manifests/1", `/v2/library/app/blobs/${open.layers[0]?.digest}`, "/healthz"];
  const statusOf = async (path: string, headers: Record<string, string>, ca?: string) =>
    (await ask(url + path, { headers, ...(ca === undefined ? {} : { ca }) })).status;
  return { url, told, pulled, statusOf };
}

for (const workers of [1, 2]) {
  test(`attack: DNS rebinding of a browser: a page's own name leads here and reads neither lists nor shared images; ${workers} workers`, async (t) => {
    const { url, told, pulled, statusOf } = await setUp(t, workers, { hosts: ["cache.corp.example"] });
    // Whatever is held, and whatever a front would answer by itself, twice.
    for (const path of [...told, ...told]) assert.equal(await statusOf(path, { Host: "localhost:5000" }), 200, path);
    for (const path of told) {
      for (const host of [
        "evil.example:5000",
        "EVIL.example.",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "internal.evil.example",
        "hub.cache.example.evil.example",
      ]) {
        const refused = await ask(url + path, { headers: { Host: host, Origin: `http://${host}` } });
        assert.equal(refused.status, 403, `${host} ${path}`);
        if (!path.startsWith("/api/")) assert.equal(errorCode(refused), "DENIED");
        assert.match(refused.body.toString(), /access\.hosts/);
        assert.equal(refused.headers["access-control-allow-origin"], undefined);
      }
      const forged = { "X-Forwarded-For": "10.0.0.1", "X-Forwarded-Proto": "https" };
      assert.equal(await statusOf(path, { ...EVIL, ...forged }), 403);
      for (const name of FRONT_HEADERS) assert.equal(await statusOf(path, { ...EVIL, [name]: "1" }), 403, name);
    }
    // Mirrors go on under whatever name.
    for (const path of [...pulled, ...pulled]) assert.equal(await statusOf(path, EVIL), 200, path);
    for (const host of [
      "127.0.0.1:5000",
      "[::1]:5000",
      "192.168.1.7",
      "localhost",
      "cache.localhost",
      "registry-cache:5000",
      "host.docker.internal:5000",
      "host.containers.internal",
      "hub.cache.example",
      "Cache.Corp.Example.:5000",
      hostname(),
    ]) {
      for (const path of told.slice(0, 5)) assert.equal(await statusOf(path, { Host: host }), 200, `${host} ${path}`);
    }
  });
}

test("attack: DNS rebinding of a browser: who says who it is, or comes by TLS or a trusted proxy, is no page", async (t) => {
  const htpasswd = join(await tempDir(t), "users");
  await writeFile(htpasswd, `me:${hashSync("correct horse", 4)}\n`);
  const named = await setUp(t, 1, { htpasswd });
  const me = { ...EVIL, Authorization: basic("me", "correct horse") };
  for (const path of named.told) {
    assert.equal(await named.statusOf(path, me), 200, path);
    assert.equal(await named.statusOf(path, { ...EVIL, Authorization: basic("me", "wrong") }), 403, path);
  }
  const tls = selfSignedCertificate(["evil.example"]);
  const secure = await setUp(t, 1, {}, { tls: { ...tls, files: NO_FILES } });
  for (const path of secure.told) assert.equal(await secure.statusOf(path, EVIL, tls.cert), 200, path);
  const behind = await setUp(t, 1, {}, { trustedProxies: ["127.0.0.1"] });
  for (const path of behind.told) {
    assert.equal(await behind.statusOf(path, { ...EVIL, "X-Forwarded-For": "192.0.2.7" }), 200, path);
    // The proxy would have said for whom it asks.
    assert.equal(await behind.statusOf(path, EVIL), 403, path);
  }
});
