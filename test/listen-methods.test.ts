import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { hashSync } from "bcryptjs";
import type { AccessConfig, AccessMethod, Listen, RegistryConfig } from "../src/config/config.ts";
import { OPEN_ACCESS, testConfig, testRegistry } from "./support/cache.ts";
import { startCacheProcess } from "./support/cache-process.ts";
import { NO_FILES, selfSignedCertificate, testAuthority } from "./support/certificate.ts";
import { ask, type Ask } from "./support/client.ts";
import { startFakeUpstream } from "./support/fake-upstream.ts";
import { tempDir } from "./support/temp.ts";

const TOKEN = "0123456789-secret-path-of-the-lab";
const server = selfSignedCertificate(["localhost", "127.0.0.1"]);
const authority = testAuthority();
const own = authority.issue("ci-1");

interface Address {
  readonly methods?: readonly AccessMethod[];
  readonly tls?: boolean;
}

/** A cache with every method that there is, of which each address takes some. `get` asks at one of them. */
async function setUp(
  t: TestContext,
  addresses: readonly Address[],
  {
    workers = 1,
    access = {},
    registry = {},
  }: {
    workers?: number;
    access?: Partial<AccessConfig>;
    registry?: Partial<RegistryConfig>;
  } = {},
) {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  upstream.addImage("library/app", "1");
  const dataDir = await tempDir(t);
  const htpasswd = join(dataDir, "..", `${dataDir.split("/").at(-1)}.users`);
  await writeFile(htpasswd, `me:${hashSync("correct horse", 4)}\n`);
  const listen = addresses.map(({ methods, tls = true }): Listen => ({ host: "127.0.0.1", port: 0, methods, tls }));
  const config = testConfig(dataDir, [testRegistry(upstream.url, registry)], {
    listen,
    workers,
    tls: { ...server, files: NO_FILES },
    access: {
      ...OPEN_ACCESS,
      anonymous: false,
      networks: ["192.0.2.0/24"],
      htpasswd,
      bearer: true,
      mtls: { ca: authority.cert, crl: undefined, names: ["*"], files: { ca: "/nonexistent", crl: undefined } },
      paths: [{ name: "lab", token: TOKEN }],
      ...access,
    },
  });
  const cache = await startCacheProcess(t, config);
  const urls = cache.urls.map((url, index) =>
    url.replace(/^https?:/, listen[index]?.tls === true ? "https:" : "http:"),
  );
  const get = async (index: number, more: Ask = {}, path = "/v2/library/app/manifests/1") =>
    await ask(`${urls[index]}${path}`, { ca: server.cert, ...more });
  return { get, upstream };
}

const BASIC = { headers: { Authorization: `Basic ${Buffer.from("me:correct horse").toString("base64")}` } };

for (const workers of [1, 2]) {
  test(`each address takes the methods that it chooses, and no others; ${workers} workers`, async (t) => {
    const choices: readonly AccessMethod[][] = [
      ["anonymous"],
      ["basic"],
      ["bearer"],
      ["mtls"],
      ["paths"],
      ["networks"],
    ];
    const { get } = await setUp(
      t,
      choices.map((methods) => ({ methods })),
      { workers },
    );
    const ways: Record<string, { more: Ask; path?: string }> = {
      nameless: { more: {} },
      password: { more: BASIC },
      certificate: { more: { cert: own.cert, key: own.key } },
      path: { more: {}, path: `/t/${TOKEN}/v2/library/app/manifests/1` },
    };
    const letIn: Record<string, string[]> = {};
    for (const [index, [method = ""]] of choices.entries()) {
      const found: string[] = [];
      for (const [way, { more, path }] of Object.entries(ways)) {
        if ((await get(index, more, path)).status === 200) found.push(way);
      }
      letIn[method] = found;
    }
    assert.deepEqual(letIn, {
      anonymous: ["nameless", "password", "certificate"],
      basic: ["password"],
      // A password that comes with the pull is taken as well.
      bearer: ["password"],
      mtls: ["certificate"],
      paths: ["path"],
      networks: [],
    });
    assert.match(String((await get(1)).headers["www-authenticate"]), /^Basic /);
    assert.match(String((await get(2)).headers["www-authenticate"]), /^Bearer /);
    assert.equal((await get(1, BASIC, "/token")).status, 404);
    assert.equal((await get(2, BASIC, "/token")).status, 200);
    // Nothing says that a password would help.
    assert.equal((await get(3)).headers["www-authenticate"], undefined);
    assert.equal((await get(5)).status, 403);
  });
}

test("an address may be plain HTTP beside others with TLS", async (t) => {
  const { get } = await setUp(t, [{ methods: ["anonymous"], tls: false }, { methods: ["mtls"] }]);
  assert.equal((await get(0)).status, 200);
  assert.equal((await get(1)).status, 403);
  assert.equal((await get(1, { cert: own.cert, key: own.key })).status, 200);
});

test("several methods at one address, and all of them where none is chosen", async (t) => {
  const { get } = await setUp(t, [{ methods: ["mtls", "basic"] }, {}], { access: { networks: [] } });
  for (const index of [0, 1]) {
    assert.equal((await get(index)).status, 401);
    assert.equal((await get(index, BASIC)).status, 200);
    assert.equal((await get(index, { cert: own.cert, key: own.key })).status, 200);
  }
  assert.equal((await get(0, {}, `/t/${TOKEN}/v2/library/app/manifests/1`)).status, 404);
  assert.equal((await get(1, {}, `/t/${TOKEN}/v2/library/app/manifests/1`)).status, 200);
});

test("a registry that is open to all is not so where an address wants names; one that is closed is closed everywhere", async (t) => {
  const addresses: Address[] = [{ methods: ["anonymous"] }, { methods: ["basic"] }, {}];
  const open = await setUp(t, addresses, { access: { networks: [] }, registry: { anonymous: true } });
  const statuses = async ({ get }: typeof open) =>
    await Promise.all([0, 1, 2].map(async (at) => (await get(at)).status));
  assert.deepEqual(await statuses(open), [200, 401, 200]);
  const closed = await setUp(t, addresses, { access: { networks: [] }, registry: { anonymous: false } });
  assert.deepEqual(await statuses(closed), [403, 401, 401]);
});
