import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { describe, test, type TestContext } from "node:test";
import { promisify } from "node:util";
import type { Config } from "../src/config/config.ts";
import type { SeenRequest } from "../src/server/seen.ts";
import { OPEN_ACCESS, startCache, testConfig, testRegistry } from "./support/cache.ts";
import { NO_FILES, selfSignedCertificate } from "./support/certificate.ts";
import { startCacheProcess } from "./support/cache-process.ts";
import { ask } from "./support/client.ts";
import { startFakeUpstream } from "./support/fake-upstream.ts";
import { eventually } from "./support/open-files.ts";
import { findProgram } from "./support/programs.ts";
import { tempDir } from "./support/temp.ts";

interface Told {
  readonly client: string;
  readonly nowMs: number;
  readonly requests: readonly SeenRequest[];
}

const WORKERS = 3;
/** Whose word about addresses is believed, so that one machine can be several hosts. */
const BEHIND_PROXY = { trustedProxies: ["127.0.0.1"] };

function from(address: string, more: Record<string, string> = {}) {
  return { headers: { "X-Forwarded-For": address, "X-Forwarded-Proto": "http", ...more } };
}

async function toldTo(url: string, address: string, query = ""): Promise<Told> {
  const { status, body } = await ask(`${url}/connect/seen${query}`, from(address));
  assert.equal(status, 200);
  return JSON.parse(body.toString()) as Told;
}

/** A request is over a moment after its answer has gone out. */
async function toldOf(url: string, address: string, count: number, query = ""): Promise<Told> {
  let told: Told | undefined;
  await eventually(async () => (told = await toldTo(url, address, query)).requests.length >= count);
  assert.ok(told !== undefined);
  return told;
}

async function setUp(t: TestContext, workers: number, differs: Partial<Config> = {}) {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  upstream.addImage("library/app", "1");
  const config = { ...BEHIND_PROXY, workers, ...differs };
  const tags = [{ match: "*", revalidate: { kind: "after", ms: 600_000 } }] as const;
  const registry = testRegistry(upstream.url, { tags });
  if (workers === 1) return { upstream, url: (await startCache(t, [registry], { config })).url };
  const cache = await startCacheProcess(t, testConfig(await tempDir(t), [registry], config));
  return { upstream, url: cache.url };
}

for (const workers of [1, WORKERS]) {
  describe(`what the cache has seen, with ${workers} of its processes`, () => {
    test("a host is told of its own requests, whichever process has answered, and of nobody else's", async (t) => {
      const { url } = await setUp(t, workers);
      const pull = async (address: string, agent: string) =>
        await ask(`${url}/v2/library/app/manifests/1`, from(address, { "User-Agent": agent }));
      await pull("10.0.0.7", "mine/1");
      // Over connections of their own, so that every front answers some.
      await Promise.all(Array.from({ length: 3 * WORKERS }, async () => await pull("10.0.0.7", "mine/2")));
      await Promise.all(Array.from({ length: 3 * WORKERS }, async () => await pull("10.0.0.8", "theirs/1")));
      const { client, requests } = await toldOf(url, "10.0.0.7", 1 + 3 * WORKERS);
      assert.equal(client, "10.0.0.7");
      assert.equal(requests.length, 1 + 3 * WORKERS);
      assert.deepEqual([...new Set(requests.map((one) => one.client))], ["10.0.0.7"]);
      assert.deepEqual([...new Set(requests.map(({ userAgent }) => userAgent))], ["mine/1", "mine/2"]);
      const { atMs, ...first } = requests[0] as SeenRequest;
      assert.ok(atMs <= (requests[1]?.atMs ?? 0));
      assert.deepEqual(first, {
        client: "10.0.0.7",
        userAgent: "mine/1",
        method: "GET",
        endpoint: "manifest",
        registry: "dockerhub",
        repository: "library/app",
        reference: "1",
        status: 200,
        outcome: "miss",
      });
      assert.equal(requests.at(-1)?.outcome, "hit");
      assert.deepEqual((await toldTo(url, "10.0.0.9")).requests, []);
      assert.equal((await toldTo(url, "10.0.0.8")).requests.length, 3 * WORKERS);
    });

    test("nothing that a request says of itself opens another host's requests", async (t) => {
      const { url } = await setUp(t, workers, { trustedProxies: ["127.0.0.2"] });
      const agent = { "User-Agent": "theirs" };
      await fromAddress(`${url}/v2/library/app/manifests/1`, "127.0.0.3", agent);
      await eventually(async () => (await fromAddress(`${url}/connect/seen`, "127.0.0.3")).includes("theirs"));
      for (const header of ["X-Forwarded-For", "X-Real-IP", "Forwarded", "x-registry-cache-client"]) {
        const said = await fromAddress(`${url}/connect/seen`, "127.0.0.4", { [header]: "127.0.0.3" });
        assert.doesNotMatch(said, /theirs/, header);
      }
      for (const query of ["client=127.0.0.3", "probe=", "probe=127.0.0.3", "repository=library/app", "since=0"]) {
        assert.doesNotMatch(await fromAddress(`${url}/connect/seen?${query}`, "127.0.0.4"), /theirs/, query);
      }
    });

    test("a probe is told of to whoever has made it up, with the address it came by", async (t) => {
      const { url } = await setUp(t, workers);
      const nonce = randomBytes(16).toString("hex");
      assert.equal(
        (await ask(`${url}/v2/registry-cache-doctor/${nonce}/manifests/probe`, from("10.0.0.7"))).status,
        404,
      );
      const { requests } = await toldOf(url, "10.0.0.8", 1, `?probe=${nonce}`);
      assert.deepEqual(
        requests.map(({ client, repository, status }) => ({ client, repository, status })),
        [{ client: "10.0.0.7", repository: `registry-cache-doctor/${nonce}`, status: 404 }],
      );
      assert.deepEqual((await toldTo(url, "10.0.0.8", `?probe=${nonce.replace(/.$/, "x")}`)).requests, []);
    });

    test("since and repository narrow what is told, by the cache's own clock", async (t) => {
      const { url } = await setUp(t, workers);
      await ask(`${url}/v2/library/app/manifests/1`, from("10.0.0.7"));
      const { nowMs } = await toldOf(url, "10.0.0.7", 1);
      await ask(`${url}/v2/library/other/manifests/1`, from("10.0.0.7"));
      const { requests } = await toldOf(url, "10.0.0.7", 1, `?since=${nowMs + 1}`);
      assert.deepEqual(
        requests.map(({ repository }) => repository),
        ["library/other"],
      );
      const ofApp = await toldTo(url, "10.0.0.7", "?repository=library/app");
      assert.deepEqual(
        ofApp.requests.map(({ repository }) => repository),
        ["library/app"],
      );
      assert.equal((await ask(`${url}/connect/seen?since=yesterday`)).status, 400);
    });
  });
}

test("a probe that is refused before anything is known of it is told of as well", async (t) => {
  const { url } = await setUp(t, 1, { access: { ...OPEN_ACCESS, networks: ["10.0.0.0/8"] } });
  const nonce = randomBytes(16).toString("hex");
  await ask(`${url}/v2/registry-cache-doctor/${nonce}/manifests/probe`, from("192.0.2.1"));
  const { requests } = await toldOf(url, "10.0.0.7", 1, `?probe=${nonce}`);
  assert.deepEqual(
    requests.map(({ client, status }) => ({ client, status })),
    [{ client: "192.0.2.1", status: 403 }],
  );
});

test("a busy host pushes out nothing of another one", async (t) => {
  const { url } = await setUp(t, 1);
  await ask(`${url}/v2/library/app/manifests/1`, from("10.0.0.7"));
  for (let count = 0; count < 50; count++) await ask(`${url}/v2/`, from("10.0.0.8"));
  assert.equal((await toldOf(url, "10.0.0.7", 1)).requests.length, 1);
  assert.equal((await toldOf(url, "10.0.0.8", 32)).requests.length, 32);
});

test("who is refused is told why, once it may ask; what is no pull is not kept", async (t) => {
  const { url } = await setUp(t, 1, {
    access: {
      ...OPEN_ACCESS,
      rules: [{ who: "*", registry: undefined, repository: "library/**", tag: "*", allow: false, minAgeMs: 0 }],
    },
  });
  assert.equal((await ask(`${url}/v2/library/app/manifests/1`, from("10.0.0.7"))).status, 403);
  for (const path of ["/healthz", "/summary", "/connect", "/connect/doctor", "/nothing"])
    await ask(url + path, from("10.0.0.7"));
  const { requests } = await toldOf(url, "10.0.0.7", 1);
  assert.equal(requests.length, 1);
  assert.equal(requests[0]?.status, 403);
  assert.match(requests[0]?.error ?? "", /rule/);
});

test("attack: of hosts behind one address, nobody is told what somebody else has pulled by name", async (t) => {
  const rules = [{ who: "anonymous", registry: undefined, repository: "none", tag: "*", allow: false, minAgeMs: 0 }];
  const paths = [{ name: "lab", token: "a".repeat(48) }];
  const { url } = await setUp(t, 1, { access: { ...OPEN_ACCESS, paths, rules } });
  const lab = `${url}/t/${"a".repeat(48)}`;
  const statuses = [
    (await ask(`${lab}/v2/library/app/manifests/1`, from("10.0.0.7"))).status,
    (await ask(`${url}/v2/library/app/tags/list`, from("10.0.0.7"))).status,
  ];
  const toAnybody = await toldOf(url, "10.0.0.7", 2);
  const toItself = await toldOf(lab, "10.0.0.7", 2);
  assert.deepEqual(
    toAnybody.requests.map(({ status }) => status),
    statuses,
  );
  const [secret, own] = [undefined, "library/app"];
  assert.deepEqual(
    toAnybody.requests.map(({ repository }) => repository),
    [secret, own],
  );
  assert.deepEqual(
    toItself.requests.map(({ repository }) => repository),
    [own, own],
  );
  assert.ok(!JSON.stringify(toAnybody).includes("lab"));
});

test("who may not come in gets neither the record nor the script", async (t) => {
  const { url } = await setUp(t, 1, { access: { ...OPEN_ACCESS, networks: ["10.0.0.0/8"] } });
  for (const path of ["/connect/seen", "/connect/doctor"]) {
    assert.equal((await ask(url + path, from("192.0.2.1"))).status, 403, path);
    assert.equal((await ask(url + path, from("10.0.0.7"))).status, 200, path);
    assert.equal((await ask(url + path, { method: "POST", ...from("10.0.0.7") })).status, 405, path);
  }
});

const NO_CURL = findProgram("curl") === undefined && "curl is not installed";

test("who breaks TLS off since it does not trust the certificate finds that out", { skip: NO_CURL }, async (t) => {
  const certificate = selfSignedCertificate();
  const { url } = await setUp(t, 1, { tls: { ...certificate, files: NO_FILES } });
  // Node.js looks at the certificate when TLS is agreed on, and says nothing.
  await assert.rejects(promisify(execFile)("curl", ["--silent", `${url}/v2/`]), { code: 60 });
  const told = async () =>
    JSON.parse((await ask(`${url}/connect/seen`, { ca: certificate.cert })).body.toString()) as Told;
  await eventually(async () => (await told()).requests.length > 0);
  const { client, endpoint, error } = (await told()).requests[0] ?? assert.fail();
  assert.deepEqual([client, endpoint], ["127.0.0.1", "tls"]);
  assert.equal(error, "UNKNOWN_CA");
});

test("lines are for a shell: fields between tabs, and nothing in them that a terminal would obey", async (t) => {
  const { url } = await setUp(t, 1);
  await ask(`${url}/v2/library/app/manifests/1`, from("10.0.0.7", { "User-Agent": "docker/1\t\u{9b}31m" }));
  await toldOf(url, "10.0.0.7", 1);
  const { body, headers } = await ask(`${url}/connect/seen?format=lines`, from("10.0.0.7"));
  assert.match(String(headers["content-type"]), /^text\/plain/);
  const [client, now, first, end] = body.toString().split("\n");
  assert.deepEqual([client, end], ["client\t10.0.0.7", ""]);
  assert.match(now ?? "", /^now\t\d{13}$/);
  const agent = "docker/1\\u{9}\\u{9b}31m";
  assert.deepEqual(first?.split("\t"), [
    "request",
    "10.0.0.7",
    "200",
    "GET",
    "manifest",
    "dockerhub",
    "library/app",
    "1",
    "miss",
    "-",
    agent,
  ]);
});

/** Another host, as far as loopback has any: the answer's text. */
async function fromAddress(url: string, localAddress: string, headers: Record<string, string> = {}): Promise<string> {
  const sent = request(url, { localAddress, headers, agent: false });
  sent.end();
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  return Buffer.concat(await response.toArray()).toString();
}
