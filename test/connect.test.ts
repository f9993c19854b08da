import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { hashSync } from "bcryptjs";
import type { AccessConfig, AccessMethod, Config, Listen } from "../src/config/config.ts";
import { CLIENTS } from "../src/connect/clients.ts";
import { testConfig, testRegistry } from "./support/cache.ts";
import { startCacheProcess } from "./support/cache-process.ts";
import { NO_FILES, selfSignedCertificate, testAuthority } from "./support/certificate.ts";
import { type Answer, ask, type Ask, errorCode } from "./support/client.ts";
import { tempDir } from "./support/temp.ts";
import { basic, startWhole } from "./support/whole.ts";

const TOKEN = "0123456789-secret-path-of-the-lab";
const PASSWORD = "correct-horse-battery";
const server = selfSignedCertificate(["localhost", "127.0.0.1"]);
const authority = testAuthority();
const own = authority.issue("ci-1");
const REGISTRIES = [
  testRegistry("http://127.0.0.1:9"),
  testRegistry("http://127.0.0.1:9", { id: "ghcr", serves: "ghcr.io", hostnames: ["ghcr.cache.test"] }),
];

interface View {
  readonly url: string;
  readonly isForAll: boolean;
  readonly ways: string[];
  readonly registries: { serves: string }[];
  readonly ca?: string;
}

const viewOf = ({ status, body }: Answer): View => {
  assert.equal(status, 200, body.toString());
  return JSON.parse(body.toString()) as View;
};

/** Every method, of which each address takes some. */
async function withAddresses(t: TestContext, addresses: readonly (readonly AccessMethod[])[], workers: number) {
  const dataDir = await tempDir(t);
  const htpasswd = join(dataDir, "..", `${dataDir.split("/").at(-1)}.users`);
  await writeFile(htpasswd, `me:${hashSync(PASSWORD, 4)}\n`);
  const listen = addresses.map((methods): Listen => ({ host: "127.0.0.1", port: 0, methods, tls: true }));
  const access: AccessConfig = {
    anonymous: false,
    networks: ["192.0.2.0/24"],
    hosts: [],
    htpasswd,
    bearer: true,
    mtls: { ca: authority.cert, crl: undefined, names: ["*"], files: { ca: "/nonexistent", crl: undefined } },
    paths: [{ name: "lab", token: TOKEN }],
    rules: [],
  };
  const config = testConfig(dataDir, REGISTRIES, { listen, workers, access, tls: { ...server, files: NO_FILES } });
  const cache = await startCacheProcess(t, config);
  const urls = cache.urls.map((url) => url.replace(/^http:/, "https:"));
  return async (index: number, path: string, more: Ask = {}) =>
    await ask(`${urls[index]}${path}`, { ca: server.cert, ...more });
}

const BASIC = { headers: { Authorization: basic("me", PASSWORD) } };

for (const workers of [1, 2]) {
  test(`each address tells of its own ways in, to those alone that may come in there; ${workers} workers`, async (t) => {
    const get = await withAddresses(
      t,
      [["anonymous"], ["basic"], ["bearer"], ["mtls"], ["paths"], ["basic", "mtls", "paths"], ["networks"]],
      workers,
    );
    const ways: Record<string, string[]> = {};
    for (const [index, more] of [
      [0, {}],
      [1, BASIC],
      [2, BASIC],
      [3, { cert: own.cert, key: own.key }],
      [5, BASIC],
    ] as const) {
      ways[index] = viewOf(await get(index, "/connect", more)).ways;
    }
    ways[4] = viewOf(await get(4, `/t/${TOKEN}/connect`)).ways;
    assert.deepEqual(ways, {
      0: ["anonymous"],
      1: ["basic"],
      2: ["basic"],
      3: ["mtls"],
      4: ["path"],
      5: ["basic", "mtls", "path"],
    });
    for (const path of ["/connect", "/connect/docker", "/connect/nonsense"]) {
      assert.deepEqual(
        [
          (await get(1, path)).status,
          (await get(3, path)).status,
          (await get(4, path)).status,
          (await get(6, path)).status,
        ],
        [401, 403, 403, 403],
        path,
      );
      assert.equal((await get(4, `/t/${TOKEN}x${path}`)).status, 404);
    }
    const wrong = { headers: { Authorization: basic("me", "wrong") } };
    assert.equal((await get(1, "/connect/docker", wrong)).status, 401);
  });
}

test("the script is for the address by which it was asked for", async (t) => {
  const { url } = await startWhole(t, REGISTRIES);
  const port = new URL(url).port;
  for (const [host, expected] of [
    [`127.0.0.1:${port}`, `http://127.0.0.1:${port}`],
    ["Localhost", "http://localhost"],
    ["[::1]:5000", "http://[::1]:5000"],
    ["cache:80", "http://cache"],
  ] as const) {
    const headers = { Host: host };
    assert.equal(viewOf(await ask(`${url}/connect`, { headers })).url, expected);
    const { status, body, headers: got } = await ask(`${url}/connect/docker`, { headers });
    assert.equal(status, 200);
    assert.match(String(got["content-type"]), /^text\/x-shellscript/);
    assert.equal(got["cache-control"], "no-store");
    assert.equal(got["x-content-type-options"], "nosniff");
    assert.ok(body.toString().includes(`\ncache_url='${expected}'\n`));
  }
});

describe("at a registry's own name", () => {
  test("settings are for that name, or for the one of all where the configuration has it", async (t) => {
    const headers = { Host: "ghcr.cache.test:5000" };
    const alone = await startWhole(t, REGISTRIES);
    const one = viewOf(await ask(`${alone.url}/connect`, { headers }));
    assert.deepEqual([one.url, one.isForAll], ["http://ghcr.cache.test:5000", false]);
    const both = await startWhole(t, REGISTRIES, { config: { url: "http://cache.test:5000" } });
    const all = viewOf(await ask(`${both.url}/connect`, { headers }));
    assert.deepEqual([all.url, all.isForAll], ["http://cache.test:5000", true]);
  });
});

test("behind a proxy that is trusted it is the proxy's scheme, behind another one not", async (t) => {
  const headers = { Host: "cache.corp.internal", "X-Forwarded-Proto": "https", "X-Forwarded-For": "10.1.2.3" };
  const trusted = await startWhole(t, REGISTRIES, { config: { trustedProxies: ["127.0.0.1"] } });
  assert.equal(viewOf(await ask(`${trusted.url}/connect`, { headers })).url, "https://cache.corp.internal");
  const other = await startWhole(t, REGISTRIES);
  assert.equal(viewOf(await ask(`${other.url}/connect`, { headers })).url, "http://cache.corp.internal");
});

test("what is asked for beside it", async (t) => {
  const { url } = await startWhole(t, REGISTRIES);
  const script = async (query: string) => await ask(`${url}/connect/podman?${query}`);
  const text = async (query: string) => (await script(query)).body.toString();
  assert.match(await text("only=ghcr.io"), /^prefix = "ghcr\.io"$/m);
  assert.doesNotMatch(await text("only=ghcr.io"), /^prefix = "docker\.io"$/m);
  assert.match(await text(""), /^location = "docker\.io"$/m);
  assert.doesNotMatch(await text("fallback=no"), /^location = "docker\.io"$/m);
  for (const query of ["only=", "only=quay.io", "only=docker.io,", "fallback=maybe", "credentials=yes"]) {
    const refused = await script(query);
    assert.equal(refused.status, 400, query);
  }
  assert.equal((await ask(`${url}/connect/buildah`)).status, 200);
  const unknown = await ask(`${url}/connect/nonsense`);
  assert.deepEqual([unknown.status, errorCode(unknown)], [404, "NAME_UNKNOWN"]);
  assert.match(unknown.body.toString(), /docker, containerd, podman/);
  for (const path of ["/connect/", "/connect/docker/x", "/connect/..%2fx", "/connecting"]) {
    assert.ok([200, 400, 404].includes((await ask(url + path)).status), path);
  }
});

test("HEAD answers the same without a body, and nothing can be written", async (t) => {
  const { url } = await startWhole(t, REGISTRIES);
  for (const path of ["/connect", "/connect/docker"]) {
    const got = await ask(url + path);
    const head = await ask(url + path, { method: "HEAD" });
    assert.deepEqual([head.status, head.body.length], [200, 0]);
    assert.equal(head.headers["content-length"], String(got.body.length));
    for (const method of ["POST", "PUT", "DELETE"]) {
      const refused = await ask(url + path, { method });
      assert.deepEqual([refused.status, refused.headers.allow], [405, "GET, HEAD"]);
    }
  }
});

test("the caller's own password, or secret path, is in the script on demand, and nobody else's", async (t) => {
  const get = await withAddresses(t, [["basic"], ["paths"], ["mtls"]], 1);
  const text = async (index: number, path: string, more: Ask = {}) => {
    const { status, body } = await get(index, path, more);
    return `${status} ${body.toString()}`;
  };
  for (const { name } of CLIENTS) {
    assert.doesNotMatch(await text(0, `/connect/${name}`, BASIC), new RegExp(PASSWORD));
    assert.doesNotMatch(await text(1, `/t/${TOKEN}/connect/${name}`), new RegExp(TOKEN));
    const asked = await text(0, `/connect/${name}?credentials=yes`, BASIC);
    assert.ok(asked.startsWith("200 ") && asked.includes(`REGISTRY_CACHE_PASSWORD='${PASSWORD}'`));
    const byPath = await text(1, `/t/${TOKEN}/connect/${name}?credentials=yes`);
    assert.ok(byPath.startsWith("200 ") && byPath.includes(`REGISTRY_CACHE_PATH_TOKEN='${TOKEN}'`));
    assert.match(await text(2, `/connect/${name}?credentials=yes`, { cert: own.cert, key: own.key }), /^400 /);
    assert.match(await text(0, `/connect/${name}?credentials=yes`), /^401 /);
  }
  // Who is let in by a token has not shown the password now.
  const first = await get(0, "/connect/docker?credentials=yes", { headers: { Authorization: "Bearer x" } });
  assert.equal(first.status, 401);
});

test("the authority is told of where systems do not know it, its key never", async (t) => {
  const config: Partial<Config> = { tls: { ...server, files: NO_FILES } };
  const { url } = await startWhole(t, REGISTRIES, { config });
  const view = viewOf(await ask(`${url}/connect`, { ca: server.cert }));
  assert.equal(view.ca?.trim(), server.cert.trim());
  const script = (await ask(`${url}/connect/docker`, { ca: server.cert })).body.toString();
  assert.ok(script.includes(server.cert.trim()) && !script.includes("PRIVATE KEY-----\nM"));
  const named = await startWhole(t, REGISTRIES, {
    config: { ...config, tlsCa: `mine\n${server.key}${authority.cert}` },
  });
  assert.equal(viewOf(await ask(`${named.url}/connect`, { ca: server.cert })).ca?.trim(), authority.cert.trim());
});
