import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { describe, test, type TestContext } from "node:test";
import { pino } from "pino";
import { createApp } from "../src/app.ts";
import type { RegistryConfig } from "../src/config/config.ts";
import { seededBytes, sha256 } from "./support/bytes.ts";
import { testConfig, testRegistry } from "./support/cache.ts";
import { ask, open, raw, readSome } from "./support/client.ts";
import { type Fault, type FakeUpstream, type FakeUpstreamOptions, startFakeUpstream } from "./support/fake-upstream.ts";
import { tempDir } from "./support/temp.ts";

type Line = Readonly<Record<string, unknown>>;

/** What was logged, as text and line by line. */
class Captured extends EventEmitter {
  text = "";

  write(piece: string): void {
    this.text += piece;
    this.emit("line");
  }

  requests(): Line[] {
    const lines = this.text.split("\n").filter((line) => line !== "");
    return lines.map((line) => JSON.parse(line) as Line).filter((line) => line["msg"] === "request");
  }

  /** A line is written when its response has gone out, which a client may see first. */
  async until(count: number): Promise<Line[]> {
    while (this.requests().length < count) await once(this, "line");
    return this.requests();
  }
}

interface Setting {
  readonly upstream?: FakeUpstreamOptions;
  readonly registry?: Partial<RegistryConfig>;
  readonly stopTimeoutMs?: number;
}

async function setUp(t: TestContext, { upstream: options = {}, registry = {}, stopTimeoutMs = 2_000 }: Setting = {}) {
  const upstream = await startFakeUpstream(options);
  t.after(async () => await upstream.stop());
  const log = new Captured();
  const config = testConfig(await tempDir(t), [testRegistry(upstream.url, registry)], { stopTimeoutMs });
  const app = await createApp(config, pino({ level: "debug" }, log));
  const { addresses } = await app.start();
  let stopping: ReturnType<typeof app.stop> | undefined;
  const stop = async () => await (stopping ??= app.stop());
  t.after(stop);
  return { upstream, log, app, stop, url: `http://${addresses[0]}` };
}

/** Without what differs from run to run. */
function told(line: Line | undefined): Line {
  assert.ok(line !== undefined);
  const { time, pid, hostname, durationMs, ...rest } = line;
  assert.ok(typeof durationMs === "number" && durationMs >= 0);
  assert.ok(time !== undefined && pid !== undefined && hostname !== undefined);
  return rest;
}

const INFO = { level: 30, msg: "request", client: "127.0.0.1" };
const IN_APP = { registry: "dockerhub", repository: "library/app" };
const MANIFEST = { ...INFO, ...IN_APP, endpoint: "manifest" };
const BLOB = { ...INFO, ...IN_APP, endpoint: "blob" };

test("a line for each request says what was asked for, what happened, and how much was sent", async (t) => {
  const { upstream, log, url } = await setUp(t);
  const image = upstream.addImage("library/app", "1");
  const { digest, size } = image.config;
  await ask(`${url}/v2/app/manifests/1`);
  await log.until(1);
  await ask(`${url}/v2/app/manifests/1`, { method: "HEAD" });
  await log.until(2);
  await ask(`${url}/v2/docker.io/library/app/blobs/${digest}`);
  await log.until(3);
  await ask(`${url}/v2/library/app/blobs/${digest}`, { headers: { Range: "bytes=0-9" } });
  await log.until(4);
  await ask(`${url}/v2/library/app/tags/list?ns=docker.io`);
  await log.until(5);
  await ask(`${url}/v2/`);
  const lines = await log.until(6);
  assert.deepEqual(lines.map(told), [
    { ...MANIFEST, method: "GET", reference: "1", outcome: "miss", status: 200, bytes: image.size },
    { ...MANIFEST, method: "HEAD", reference: "1", outcome: "hit", status: 200, bytes: 0 },
    { ...BLOB, method: "GET", reference: digest, outcome: "miss", status: 200, bytes: size },
    { ...BLOB, method: "GET", reference: digest, outcome: lines[3]?.["outcome"], status: 206, bytes: 10 },
    { ...INFO, ...IN_APP, endpoint: "tags", method: "GET", outcome: "miss", status: 200, bytes: 36 },
    { ...INFO, endpoint: "ping", registry: "dockerhub", method: "GET", status: 200, bytes: 3 },
  ]);
  assert.match(String(lines[3]?.["outcome"]), /^(?:hit|joined)$/);
});

test("the questions of whatever watches over us are logged at level debug only", async (t) => {
  const { log, url } = await setUp(t);
  for (const path of ["/healthz", "/readyz"]) await ask(url + path);
  const lines = (await log.until(2)).map(told);
  assert.deepEqual(
    lines.map(({ level, path, status }) => ({ level, path, status })),
    ["/healthz", "/readyz"].map((path) => ({ level: 20, path, status: 200 })),
  );
});

test("a refusal has its reason in the line; one of upstream is a warning", async (t) => {
  const { upstream, log, url } = await setUp(t);
  upstream.addImage("library/app", "1");
  await ask(`${url}/v2/library/app/manifests/none`);
  await log.until(1);
  await ask(`${url}/v2/quay.io/app/manifests/1?token=secret`);
  await log.until(2);
  upstream.script({ path: "/manifests/" }, { kind: "status", status: 500, times: Infinity });
  await ask(`${url}/v2/library/app/manifests/2`);
  const [missing, unknown, failed] = await log.until(3);
  assert.deepEqual([missing?.["level"], missing?.["status"], missing?.["reference"]], [30, 404, "none"]);
  assert.match(String(missing?.["error"]), /upstream does not have it/);
  assert.deepEqual([unknown?.["status"], unknown?.["path"]], [404, "/v2/quay.io/app/manifests/1"]);
  assert.match(String(unknown?.["error"]), /quay\.io/);
  assert.deepEqual([failed?.["level"], failed?.["status"]], [40, 502]);
  assert.match(String(failed?.["error"]), /upstream failed/);
});

test("stale content is logged with the reason why it is stale", async (t) => {
  const always = [{ match: "*", revalidate: { kind: "always" } }] as const;
  const { upstream, log, url } = await setUp(t, { registry: { tags: always } });
  upstream.addImage("library/app", "1");
  await ask(`${url}/v2/app/manifests/1`);
  upstream.script({ path: "/manifests/" }, { kind: "status", status: 503, times: Infinity });
  await ask(`${url}/v2/app/manifests/1`);
  const [, line] = await log.until(2);
  assert.equal(line?.["outcome"], "stale-server-error");
});

test("a client that leaves is logged as that, with its address and what it got", async (t) => {
  const { upstream, log, url } = await setUp(t);
  const size = 4 * 1024 * 1024;
  const digest = upstream.addBlob("library/app", seededBytes(size));
  const rest = Promise.withResolvers<void>();
  upstream.script({ path: "/blobs/" }, { kind: "hold", atByte: size / 2, until: rest.promise });
  const response = await open(`${url}/v2/library/app/blobs/${digest}`);
  await readSome(response, 1024);
  response.destroy();
  const [line] = await log.until(1);
  rest.resolve();
  const { bytes, ...others } = told(line);
  assert.deepEqual(others, {
    ...BLOB,
    method: "GET",
    reference: digest,
    outcome: "miss",
    status: 200,
    aborted: true,
  });
  assert.ok(Number(bytes) > 0 && Number(bytes) < size);
});

test("what a stop cuts is counted, and has its line before the stop ends", async (t) => {
  const { upstream, log, stop, url } = await setUp(t, { stopTimeoutMs: 50 });
  const size = 4 * 1024 * 1024;
  const digest = upstream.addBlob("library/app", seededBytes(size));
  upstream.script({ path: "/blobs/" }, { kind: "stall", atByte: size / 2 });
  const response = await open(`${url}/v2/library/app/blobs/${digest}`);
  response.on("error", () => undefined);
  await readSome(response, 1024);
  assert.deepEqual(await stop(), { cutRequests: 1 });
  const [line] = log.requests();
  assert.deepEqual([line?.["reference"], line?.["aborted"]], [digest, true]);
});

test("a name that no repository can have is shown as it came", async (t) => {
  const { log, url } = await setUp(t);
  await ask(`${url}/v2/Library/Alpine/manifests/latest`);
  const [line] = await log.until(1);
  assert.deepEqual([line?.["status"], line?.["path"]], [400, "/v2/Library/Alpine/manifests/latest"]);
});

test("a client that leaves before it is answered has got no status", async (t) => {
  const { upstream, log, url } = await setUp(t);
  upstream.script({ path: "/blobs/" }, { kind: "hang", times: Infinity });
  const digest = sha256(Buffer.from("x"));
  const left = new AbortController();
  const asked = fetch(`${url}/v2/library/app/blobs/${digest}`, { signal: left.signal }).catch(() => undefined);
  await upstream.until(() => upstream.count({ path: "/blobs/" }) === 1);
  left.abort();
  await asked;
  const [line] = await log.until(1);
  assert.deepEqual(told(line), { ...BLOB, method: "GET", reference: digest, bytes: 0, aborted: true });
});

test("a path that nobody understood is shown cut, and cannot forge a line", async (t) => {
  const { log, url } = await setUp(t);
  await ask(`${url}/v1/${"a".repeat(1000)}?secret=1`);
  await ask(`${url}/%0a%7b%22msg%22%3a%22request%22%7d`);
  const [long, forged] = await log.until(2);
  assert.equal(String(long?.["path"]).length, 200);
  assert.equal(forged?.["path"], "/%0a%7b%22msg%22%3a%22request%22%7d");
  assert.equal(log.requests().length, 2);
});

const PASSWORD = "pass-8f3a91c2";
const CLIENT = {
  basic: "dXNlcjpzM2NyM3Q=",
  cookie: "cookie-51b7c0",
  query: "query-77ac02",
  signature: "signature-0d9e4f",
};
const BAD_LOCATION = `http://169.254.169.254/layer?X-Signature=${CLIENT.signature}`;

const FAULTS: Readonly<Record<string, Fault | undefined>> = {
  nothing: undefined,
  "401 again and again": { kind: "status", status: 401, headers: { "WWW-Authenticate": 'Basic realm="r"' } },
  "403": { kind: "status", status: 403, body: `{"errors":[{"code":"DENIED","message":"${CLIENT.signature}"}]}` },
  "404": { kind: "status", status: 404 },
  "429": { kind: "status", status: 429, headers: { "Retry-After": "1" } },
  "500": { kind: "status", status: 500, body: CLIENT.signature },
  "a dropped connection": { kind: "drop" },
  "an answer that never comes": { kind: "hang" },
  "an HTML page": { kind: "html" },
  "a corrupt body": { kind: "corrupt", atByte: 10 },
  "a body that is cut": { kind: "cut", atByte: 10, times: 8 },
  "a body of another length": { kind: "short" },
  "a compressed body": { kind: "gzip" },
  "a redirect to a place that is not trusted": { kind: "redirect", location: BAD_LOCATION },
  "a redirect to itself": { kind: "redirect", location: `?X-Signature=${CLIENT.signature}` },
  "a redirect to a place that nobody listens at": {
    kind: "redirect",
    location: `http://127.0.0.1:1/layer?X-Signature=${CLIENT.signature}`,
  },
  "a redirect that is no URL": { kind: "redirect", location: `http://[${CLIENT.signature}` },
};

describe(
  "no secret is logged at level debug, nor told to a client, when upstream does this:",
  { concurrency: 4 },
  () => {
    for (const [what, fault] of Object.entries(FAULTS)) {
      test(what, async (t) => {
        const timeoutMs = fault?.kind === "hang" ? 400 : 5_000;
        const { upstream, log, app, url } = await setUp(t, {
          upstream: { auth: "bearer", users: { me: PASSWORD }, anonymous: false, redirectBlobs: true },
          registry: {
            credentials: { kind: "basic", username: "me", password: PASSWORD },
            timeouts: { connectMs: timeoutMs, headersMs: timeoutMs, idleMs: timeoutMs, askBudgetMs: timeoutMs },
          },
        });
        const image = upstream.addImage("library/app", "1");
        const headers = {
          Authorization: `Basic ${CLIENT.basic}`,
          "Proxy-Authorization": `Basic ${CLIENT.basic}`,
          Cookie: `session=${CLIENT.cookie}`,
        };
        // Once in good health, so that tokens and signed URLs exist; then with the fault everywhere.
        await ask(`${url}/v2/library/app/blobs/${image.config.digest}`, { headers });
        if (fault !== undefined) upstream.script({ role: "registry" }, { times: Infinity, ...fault });
        if (fault !== undefined) upstream.script({ role: "cdn" }, { times: Infinity, ...fault });
        const paths = [
          "manifests/1",
          "manifests/2",
          `blobs/${image.layers[0]?.digest}`,
          "tags/list",
          `referrers/${image.digest}`,
        ];
        let bodies = "";
        for (const path of paths) {
          const query = `ns=docker.io&token=${CLIENT.query}`;
          const answer = await ask(`${url}/v2/library/app/${path}?${query}`, { headers }).catch(() => undefined);
          bodies += `${answer?.body.toString("latin1")}${JSON.stringify(answer?.headers)}`;
        }
        await raw(url, `GET /${CLIENT.query} HTTP/1.1\r\nAuthorization : ${CLIENT.basic}\r\n\r\n`);
        await log.until(paths.length + 1);
        await app.idle();
        for (const secret of secretsOf(upstream)) {
          assert.ok(!log.text.includes(secret), `${secret} in ${log.text}`);
          assert.ok(!bodies.includes(secret), `${secret} in ${bodies}`);
        }
      });
    }
  },
);

/** What the client sent, the password in each form, every token, and what signed URLs have in their queries. */
function secretsOf(upstream: FakeUpstream): string[] {
  const tokens = upstream.requests.flatMap(({ headers }) => headers.authorization?.split(" ").slice(1) ?? []);
  const signatures = upstream.requests
    .filter(({ role }) => role === "cdn")
    .flatMap(({ path }) => new URL(path, upstream.cdnUrl).searchParams.get("sig") ?? []);
  assert.ok(tokens.length > 0 && signatures.length > 0);
  return [PASSWORD, ...Object.values(CLIENT), ...new Set([...tokens, ...signatures])];
}
