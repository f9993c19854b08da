import assert from "node:assert/strict";
import { mkdir, readdir } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { seededBytes, sha256 } from "./support/bytes.ts";
import { startCache, type TestCache, testRegistry } from "./support/cache.ts";
import { type Answer, ask, errorCode, open, raw } from "./support/client.ts";
import { type FakeUpstream, startFakeUpstream } from "./support/fake-upstream.ts";
import { Life } from "./support/life.ts";
import { eventually, openFiles } from "./support/open-files.ts";
import { tempDir } from "./support/temp.ts";

const MIB = 1024 * 1024;
const DIGEST = sha256(Buffer.from("nothing has this"));
const MANIFEST = "/v2/library/app/manifests/1";

/** One cache for everything that must not reach upstream; what it wrote and whom it asked is looked at in the end. */
const life = new Life();
let upstream: FakeUpstream;
let cache: TestCache;
let outside: string;
let filesBefore: string[];

before(async () => {
  upstream = await startFakeUpstream();
  life.after(async () => await upstream.stop());
  upstream.addImage("library/app", "1");
  outside = await tempDir(life);
  const dataDir = join(outside, "below", "data");
  await mkdir(dataDir, { recursive: true });
  cache = await startCache(life, [testRegistry(upstream.url)], { dataDir });
  filesBefore = await filesOf(outside);
});
after(async () => await life.end());

async function filesOf(folder: string): Promise<string[]> {
  return (await readdir(folder, { recursive: true })).toSorted();
}

function assertRefused(answer: Answer, statuses: readonly number[], what: string): void {
  assert.ok(statuses.includes(answer.status), `${what}: ${answer.status} ${answer.body.toString("utf8")}`);
  assert.equal(answer.headers["content-type"], "application/json", what);
  assert.notEqual(errorCode(answer), undefined, what);
}

/** Everything that came back until the server closed: nothing, or exactly one refusal in the specification's form. */
function assertOneRefusal(received: string, statuses: readonly number[], what: string): void {
  if (received === "" && statuses.includes(0)) return;
  const [head = "", ...rest] = received.split("\r\n\r\n");
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]);
  assert.ok(statuses.includes(status), `${what}: ${received.slice(0, 300)}`);
  assert.equal(received.split("HTTP/1.1 ").length, 2, `${what}: more than one answer: ${received}`);
  const body = rest.join("\r\n\r\n");
  assert.match(head, new RegExp(`content-length: ${Buffer.byteLength(body)}(\r|$)`, "i"), what);
  const parsed = JSON.parse(body) as { errors: { code: string; message: string }[] };
  assert.match(String(parsed.errors[0]?.code), /^[A-Z_]+$/, what);
  assert.match(String(parsed.errors[0]?.message), / /, "a sentence");
}

describe("malformed names, tags and digests are refused", { concurrency: true }, () => {
  const long = "a".repeat(256);
  const cases: Readonly<Record<string, readonly [status: number, code: string, path: string]>> = {
    "an upper-case name": [400, "NAME_INVALID", "/v2/Library/App/manifests/1"],
    "a name with an empty component": [400, "NAME_INVALID", "/v2/library//app/manifests/1"],
    "a name that begins with a separator": [400, "NAME_INVALID", "/v2/library/-app/manifests/1"],
    "a name with three underscores": [400, "NAME_INVALID", "/v2/library/a___b/manifests/1"],
    "a name that is too long": [400, "NAME_INVALID", `/v2/${long}/manifests/1`],
    "a name of too many components": [400, "NAME_INVALID", `/v2/${"a/".repeat(150)}manifests/1`],
    "no name": [400, "NAME_INVALID", "/v2/manifests/1"],
    "an unparsable tag": [404, "MANIFEST_UNKNOWN", "/v2/library/app/manifests/.INVALID_MANIFEST_NAME"],
    "a tag that is too long": [404, "MANIFEST_UNKNOWN", `/v2/library/app/manifests/${"t".repeat(129)}`],
    "a tag of another alphabet": [404, "MANIFEST_UNKNOWN", "/v2/library/app/manifests/%E1%BA%9E"],
    "an empty tag": [404, "NAME_UNKNOWN", "/v2/library/app/manifests/"],
    "a short digest": [400, "DIGEST_INVALID", "/v2/library/app/manifests/sha256:abc"],
    "a digest in upper case": [400, "DIGEST_INVALID", `/v2/library/app/blobs/${DIGEST.toUpperCase()}`],
    "an unknown algorithm": [400, "DIGEST_INVALID", `/v2/library/app/blobs/md5:${"a".repeat(32)}`],
    "a digest without an algorithm": [400, "DIGEST_INVALID", `/v2/library/app/blobs/${DIGEST.slice(7)}`],
    "a digest with something after it": [400, "DIGEST_INVALID", `/v2/library/app/blobs/${DIGEST}%0A`],
    "a bad digest of referrers": [400, "DIGEST_INVALID", "/v2/library/app/referrers/sha256:x"],
    "a negative page": [400, "PAGINATION_NUMBER_INVALID", "/v2/library/app/tags/list?n=-1"],
    "a page that is no number": [400, "PAGINATION_NUMBER_INVALID", "/v2/library/app/tags/list?n=1e3"],
    "a catalog page beyond numbers": [400, "PAGINATION_NUMBER_INVALID", "/v2/_catalog?n=99999999999999999999"],
    "an endpoint that is none": [404, "NAME_UNKNOWN", "/v2/library/app/layers/1"],
    "a path that is none of ours": [404, "NAME_UNKNOWN", "/v1/search?q=app"],
    "a property of every object": [404, "NAME_UNKNOWN", "/__proto__"],
    "a malformed percent encoding": [400, "NAME_INVALID", "/v2/library/%zz/manifests/1"],
    "a URL of 10,000 characters": [414, "NAME_INVALID", `/v2/${"a".repeat(10_000)}/manifests/1`],
  };
  for (const [what, [status, code, path]] of Object.entries(cases)) {
    test(what, async () => {
      const answer = await ask(`${cache.url}${path}`);
      assertRefused(answer, [status], what);
      assert.equal(errorCode(answer), code);
      const head = await ask(`${cache.url}${path}`, { method: "HEAD" });
      assert.deepEqual([head.status, head.body.length], [status, 0]);
    });
  }
});

describe("no path leaves its place, however it is encoded", { concurrency: true }, () => {
  const dots = [
    "..",
    "%2e%2e",
    "%2E.",
    "%252e%252e",
    "..%2f..",
    "..%5c..",
    "..\\..",
    "%c0%ae%c0%ae",
    "%e0%80%ae",
    "..%00",
    "..;",
    "%u002e",
  ];
  const places = [
    (dot: string) => `/${dot}/${dot}/etc/passwd`,
    (dot: string) => `/v2/${dot}/${dot}/etc/passwd`,
    (dot: string) => `/v2/${dot}/manifests/1`,
    (dot: string) => `/v2/library/${dot}/${dot}/app/manifests/1`,
    (dot: string) => `/v2/library/app/manifests/${dot}`,
    (dot: string) => `/v2/library/app/blobs/${dot}`,
    (dot: string) => `/v2/library/app/blobs/sha256:${dot}`,
    (dot: string) => `/${dot}/v2/library/app/manifests/1`,
    (dot: string) => `/v2/library/app/manifests/1?ns=${dot}`,
  ];
  for (const dot of dots) {
    test(dot, async () => {
      for (const place of places) assertRefused(await ask(`${cache.url}${place(dot)}`), [400, 404], place(dot));
    });
  }
});

describe("broken, ambiguous and hostile HTTP gets one refusal or a closed connection", { concurrency: true }, () => {
  const host = "Host: cache.example\r\n";
  const smuggled = `GET /healthz HTTP/1.1\r\n${host}\r\n`;
  const body = `0\r\n\r\n${smuggled}`;
  const get = (headers: string, rest = "") => `GET ${MANIFEST} HTTP/1.1\r\n${host}${headers}\r\n${rest}`;
  const post = (headers: string, rest = "") => `POST ${MANIFEST} HTTP/1.1\r\n${host}${headers}\r\n${rest}`;
  const cases: Readonly<Record<string, readonly [statuses: readonly number[], text: string | Buffer]>> = {
    "Content-Length with Transfer-Encoding": [
      [400],
      post(`Content-Length: ${body.length}\r\nTransfer-Encoding: chunked\r\n`, body),
    ],
    "Transfer-Encoding with Content-Length": [[400], post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", body)],
    "two different Content-Length": [[400], post("Content-Length: 0\r\nContent-Length: 50\r\n", smuggled)],
    "two equal Content-Length": [[400], post("Content-Length: 5\r\nContent-Length: 5\r\n", `hello${smuggled}`)],
    "a list of Content-Length": [[400], post("Content-Length: 5, 5\r\n", `hello${smuggled}`)],
    "a signed Content-Length": [[400], post("Content-Length: +5\r\n", `hello${smuggled}`)],
    "an encoding that is not chunked": [[400, 405], post("Transfer-Encoding: identity\r\n", body)],
    "chunked that is not last": [[400, 405], post("Transfer-Encoding: chunked, gzip\r\n", body)],
    "two Transfer-Encoding": [[400], post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", body)],
    "a chunked push": [[405], post("Transfer-Encoding: chunked\r\n", body)],
    "a chunk that is longer than a number": [
      [400, 405],
      post("Transfer-Encoding: chunked\r\n", `${"f".repeat(40)}\r\nx`),
    ],
    "a body on GET": [[400], get(`Content-Length: ${smuggled.length}\r\n`, smuggled)],
    "a chunked body on GET": [[400], get("Transfer-Encoding: chunked\r\n", body)],
    "a folded header": [[400], get("X-One: a\r\n b\r\n")],
    "a bare line feed": [[400], `GET ${MANIFEST} HTTP/1.1\n${host}\n`],
    "a bare carriage return": [[400], get("X-One: a\rb\r\n")],
    "a space before the colon": [[400], get("Transfer-Encoding : chunked\r\n")],
    "a header without a name": [[400], get(": x\r\n")],
    "a header with a NUL": [[400], get("X-One: a\0b\r\n")],
    "a header without a colon": [[400], get("nonsense\r\n")],
    "no Host": [[400], `GET ${MANIFEST} HTTP/1.1\r\n\r\n`],
    "two Host": [[400], get("Host: ghcr.io\r\n")],
    "a Host that is a path": [[400], `GET ${MANIFEST} HTTP/1.1\r\nHost: a/../b\r\n\r\n`],
    "a Host with user information": [[400], `GET ${MANIFEST} HTTP/1.1\r\nHost: a@b\r\n\r\n`],
    "a Host with a space": [[400], `GET ${MANIFEST} HTTP/1.1\r\nHost: a b\r\n\r\n`],
    "the absolute form": [[400], `GET http://169.254.169.254/v2/ HTTP/1.1\r\n${host}Connection: close\r\n\r\n`],
    CONNECT: [[0, 400], `CONNECT 169.254.169.254:80 HTTP/1.1\r\n${host}\r\n`],
    "OPTIONS *": [[400], `OPTIONS * HTTP/1.1\r\n${host}Connection: close\r\n\r\n`],
    "HTTP/0.9": [[400], "GET /healthz\r\n\r\n"],
    "another version": [[400], `GET /healthz HTTP/1.2\r\n${host}Connection: close\r\n\r\n`],
    "an HTTP/2 preface": [[400], "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    "a TLS greeting": [[400], Buffer.from("160301020001", "hex")],
    "a made-up method": [[400], `FETCH /v2/ HTTP/1.1\r\n${host}\r\n`],
    "a method in lower case": [[400], `get /v2/ HTTP/1.1\r\n${host}\r\n`],
    TRACE: [[405], `TRACE ${MANIFEST} HTTP/1.1\r\n${host}\r\n`],
    "a path with a space": [[400], `GET /v2/library/a b/manifests/1 HTTP/1.1\r\n${host}\r\n`],
    "a path with a NUL": [[400], `GET /v2/library/a\0/manifests/1 HTTP/1.1\r\n${host}\r\n`],
    "a path with overlong UTF-8": [
      [400],
      Buffer.from(`GET /v2/library/\xc0\xae/manifests/1 HTTP/1.1\r\n${host}Connection: close\r\n\r\n`, "latin1"),
    ],
    "a URL of 8 MiB": [[431], `GET /v2/${"a".repeat(8 * MIB)} HTTP/1.1\r\n${host}\r\n`],
    "100,000 headers": [[431], get("a: b\r\n".repeat(100_000))],
    "101 headers": [[431], get("a: b\r\n".repeat(100))],
    "a header of 1 MiB": [[431], get(`X-Long: ${"a".repeat(MIB)}\r\n`)],
    "a header name of 1 MiB": [[431], get(`${"a".repeat(MIB)}: b\r\n`)],
  };
  for (const [what, [statuses, text]] of Object.entries(cases)) {
    test(what, async () => assertOneRefusal(await raw(cache.url, text), statuses, what));
  }

  test("an upgrade is not taken up: the request is answered as it is", async () => {
    for (const to of ["h2c", "websocket", "TLS/1.0"]) {
      const text = `GET /healthz HTTP/1.1\r\n${host}Connection: Upgrade, close\r\nUpgrade: ${to}\r\n\r\n`;
      assert.match(await raw(cache.url, text), /^HTTP\/1\.1 200 OK\r\n/);
    }
  });

  test("an expectation that we do not know is no reason to fail", async () => {
    const text = `GET /healthz HTTP/1.1\r\n${host}Connection: close\r\nExpect: miracles\r\n\r\n`;
    assert.match(await raw(cache.url, text), /^HTTP\/1\.1 200 OK\r\n/);
  });
});

describe("pushes are refused with a sentence, before any body", { concurrency: true }, () => {
  const targets = [
    ["PUT", MANIFEST],
    ["PUT", `/v2/library/app/manifests/${DIGEST}`],
    ["DELETE", MANIFEST],
    ["DELETE", `/v2/library/app/blobs/${DIGEST}`],
    ["POST", "/v2/library/app/blobs/uploads/"],
    ["POST", `/v2/library/app/blobs/uploads/?mount=${DIGEST}&from=library/other`],
    ["PATCH", "/v2/library/app/blobs/uploads/1234"],
    ["PUT", `/v2/library/app/blobs/uploads/1234?digest=${DIGEST}`],
    ["GET", "/v2/library/app/blobs/uploads/1234"],
    ["DELETE", "/v2/library/app/blobs/uploads/1234"],
    ["POST", "/v2/"],
    ["POST", "/v2/_catalog"],
    ["PUT", "/v2/library/app/tags/list"],
    ["POST", `/v2/library/app/referrers/${DIGEST}`],
    ["PUT", "/ghcr.io/v2/library/app/manifests/1"],
    ["POST", "/"],
    ["PUT", "/summary"],
    ["DELETE", "/healthz"],
  ] as const;
  for (const [method, path] of targets) {
    test(`${method} ${path.replace(DIGEST, "<digest>")}`, async () => {
      const body = method === "GET" ? {} : { body: "x".repeat(1000) };
      const answer = await ask(`${cache.url}${path}`, { method, ...body });
      assertRefused(answer, [405], path);
      assert.equal(errorCode(answer), "UNSUPPORTED");
      assert.equal(answer.headers["allow"], "GET, HEAD");
    });
  }

  test("Expect: 100-continue is answered with the refusal, not with leave to send", async () => {
    const text = `PUT ${MANIFEST} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n`;
    assertOneRefusal(await raw(cache.url, text), [405], "Expect");
  });
});

test("ranges that mean nothing are ignored, and those beyond the end are 416, without harm", async (t) => {
  const own = await heldBlob(t, 1000);
  for (const range of [
    "bytes=",
    "bytes=a-b",
    "bytes=5-1",
    "lines=1-2",
    "bytes",
    "bytes=--5",
    `bytes=${"0-0,".repeat(500)}0-0`,
  ]) {
    const answer = await ask(own.url, { headers: { Range: range } });
    assert.deepEqual([answer.status, answer.body.length], [200, 1000], range);
  }
  for (const range of ["bytes=1000-", "bytes=-0", `bytes=${"9".repeat(400)}-`]) {
    const answer = await ask(own.url, { headers: { Range: range } });
    assertRefused(answer, [416], range);
    assert.equal(answer.headers["content-range"], "bytes */1000");
  }
});

async function heldBlob(t: Parameters<typeof startCache>[0], size: number) {
  const from = await startFakeUpstream();
  t.after(async () => await from.stop());
  const bytes = seededBytes(size);
  const digest = from.addBlob("library/app", bytes);
  const own = await startCache(t, [testRegistry(from.url)]);
  const path = `/v2/library/app/blobs/${digest}`;
  await ask(`${own.url}${path}`);
  await own.app.idle();
  return { bytes, path, origin: own.url, url: `${own.url}${path}` };
}

function pipelined(path: string, count: number): string {
  return `GET ${path} HTTP/1.1\r\nHost: cache.example\r\n\r\n`.repeat(count);
}

test("16 requests at once on a connection are answered in order, a 17th cuts it", async (t) => {
  const { origin, path, bytes } = await heldBlob(t, 100);
  const last = `GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;
  const received = await raw(origin, pipelined(path, 15) + last);
  assert.equal(received.split(bytes.toString("latin1")).length, 16);
  assert.ok(received.endsWith('{"status":"ok"}\n'));
  assert.equal(await raw(origin, pipelined(path, 17)), "");
});

test("what follows a request and is no HTTP does no harm to the response that is being sent", async (t) => {
  const { origin, path, bytes } = await heldBlob(t, 8 * MIB);
  const received = await raw(origin, `${pipelined(path, 1)}\0nonsense\r\n\r\n`);
  const body = received.slice(received.indexOf("\r\n\r\n") + 4);
  assert.match(received, /^HTTP\/1\.1 200 OK\r\n/);
  assert.ok(body === bytes.toString("latin1"), `${body.length} bytes`);
});

test("connections that die with queued responses leave no descriptor open", async (t) => {
  const { origin, path } = await heldBlob(t, 8 * MIB);
  await ask(`${origin}/healthz`);
  const atFirst = (await openFiles()).length;
  for (let round = 0; round < 5; round++) {
    const sockets = await Promise.all(Array.from({ length: 4 }, async () => await stuck(origin, pipelined(path, 16))));
    for (const socket of sockets) socket.resetAndDestroy();
  }
  await eventually(async () => (await openFiles()).length <= atFirst);
});

test("responses that are broken off by the client leave no descriptor open", async (t) => {
  const { origin, url } = await heldBlob(t, 8 * MIB);
  await ask(`${origin}/healthz`);
  const atFirst = (await openFiles()).length;
  const responses = await Promise.all(Array.from({ length: 20 }, async () => await open(url)));
  for (const response of responses) response.destroy();
  await eventually(async () => (await openFiles()).length <= atFirst);
});

/** A client that has got the first bytes and takes no more. */
async function stuck(url: string, text: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => undefined);
  socket.write(text);
  await once(socket, "readable");
  return socket;
}

test("after all of that it still serves, wrote nothing anywhere and asked nobody", async () => {
  assert.deepEqual(await filesOf(outside), filesBefore);
  assert.deepEqual(
    upstream.requests.map((one) => one.path),
    [],
  );
  assert.equal((await ask(`${cache.url}/healthz`)).status, 200);
  assert.equal((await ask(`${cache.url}${MANIFEST}`)).status, 200);
});
