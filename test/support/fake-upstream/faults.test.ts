import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { suite, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { request } from "undici";
import type { Fault, FakeUpstream } from "../fake-upstream.ts";
import { BLOB, BYTES, anonymousToken, broken, get, rawGet, start } from "./fixture.ts";

async function withFault(fault: Fault): Promise<FakeUpstream> {
  const fake = await start();
  fake.script({ path: "/blobs/" }, fault);
  return fake;
}

suite("a fault of the kind", () => {
  test("status answers with it, then normally again", async () => {
    await using fake = await start();
    fake.script(
      { path: "/blobs/" },
      { kind: "status", status: 429, headers: { "Retry-After": "7" }, body: "slow down", times: 2 },
      { kind: "status", status: 503 },
    );
    const seen = [];
    for (let i = 0; i < 4; i += 1) seen.push(await get(fake.url + BLOB));
    assert.deepEqual(
      seen.map((one) => one.status),
      [429, 429, 503, 200],
    );
    assert.deepEqual([seen[0]?.headers["retry-after"], seen[0]?.bytes.toString()], ["7", "slow down"]);
  });

  test("redirect and html answer with those", async () => {
    await using away = await withFault({ kind: "redirect", location: "http://127.0.0.1:1/x" });
    const moved = await get(away.url + BLOB);
    assert.deepEqual([moved.status, moved.headers["location"]], [307, "http://127.0.0.1:1/x"]);
    await using html = await withFault({ kind: "html" });
    const page = await get(html.url + BLOB);
    assert.equal(page.status, 200);
    assert.match(page.bytes.toString(), /^<!DOCTYPE html>/);
  });

  test("cut ends the connection after exactly so many bytes", async () => {
    for (const atByte of [0, 1, 70_000]) {
      await using fake = await withFault({ kind: "cut", atByte });
      const { status, bytes, failed } = await broken(fake.url + BLOB);
      assert.deepEqual([status, failed, bytes.length], [200, true, atByte]);
      assert.deepEqual(bytes, BYTES.subarray(0, atByte));
    }
  });

  test("cut counts from the first byte of a ranged answer", async () => {
    await using fake = await withFault({ kind: "cut", atByte: 5 });
    const { bytes } = await broken(fake.url + BLOB, { range: "bytes=100-" });
    assert.deepEqual(bytes, BYTES.subarray(100, 105));
  });

  test("reset ends it with an error of the connection, not with an end", async () => {
    await using fake = await withFault({ kind: "reset", atByte: 70_000 });
    const socket = connect(Number(new URL(fake.url).port), "127.0.0.1");
    socket.write(`GET ${BLOB} HTTP/1.1\r\nHost: fake\r\n\r\n`);
    const [error] = (await once(socket.resume(), "error")) as [NodeJS.ErrnoException];
    assert.equal(error.code, "ECONNRESET");
  });

  test("endlessHeaders sends headers until the client has had enough", async () => {
    for (const everyMs of [undefined, 1]) {
      await using fake = await withFault({ kind: "endlessHeaders", ...(everyMs === undefined ? {} : { everyMs }) });
      const socket = connect(Number(new URL(fake.url).port), "127.0.0.1");
      socket.write(`GET ${BLOB} HTTP/1.1\r\nHost: fake\r\n\r\n`);
      let text = "";
      for await (const piece of socket.setEncoding("latin1")) if ((text += piece as string).length > 2_000) break;
      assert.match(text, /^HTTP\/1\.1 200 OK\r\nX-Header-0: -+\r\nX-Header-1: -+\r\n/);
      assert.equal(text.includes("\r\n\r\n"), false);
      await fake.until(() => fake.requests[0]?.closed === true);
    }
  });

  test("stall sends so many bytes and keeps the socket open", async () => {
    await using fake = await withFault({ kind: "stall", atByte: 70_000 });
    const { body } = await request(fake.url + BLOB);
    const first: Buffer[] = [];
    let received = 0;
    for await (const piece of body as AsyncIterable<Buffer>) {
      first.push(piece);
      received += piece.length;
      if (received === 70_000) break;
    }
    assert.deepEqual(Buffer.concat(first), BYTES.subarray(0, 70_000));
    await fake.until(() => fake.requests[0]?.closed === true);
    assert.equal(fake.requests[0]?.bytesSent, 70_000);
  });

  test("hold goes on when its promise resolves", async () => {
    const gate = Promise.withResolvers<void>();
    await using fake = await withFault({ kind: "hold", atByte: 1000, until: gate.promise });
    const whole = get(fake.url + BLOB);
    await fake.until(() => fake.requests[0]?.bytesSent === 1000);
    assert.equal(fake.requests[0]?.closed, false);
    gate.resolve();
    assert.deepEqual((await whole).bytes, BYTES);
  });

  test("corrupt changes exactly one byte", async () => {
    for (const atByte of [0, 42_000, BYTES.length - 1]) {
      await using fake = await withFault({ kind: "corrupt", atByte });
      const { bytes } = await get(fake.url + BLOB);
      const different = [...bytes.keys()].filter((index) => bytes[index] !== BYTES[index]);
      assert.deepEqual([bytes.length, different], [BYTES.length, [atByte]]);
    }
  });

  test("short and long have a Content-Length that fits the wrong body", async () => {
    await using short = await withFault({ kind: "short", bytes: 10 });
    const less = await get(short.url + BLOB);
    assert.deepEqual([less.headers["content-length"], less.bytes], ["99990", BYTES.subarray(0, 99_990)]);
    await using long = await withFault({ kind: "long" });
    const more = await get(long.url + BLOB);
    assert.equal(more.headers["content-length"], "100001");
    assert.deepEqual(more.bytes, Buffer.concat([BYTES, Buffer.from("+")]));
  });

  test("length says too much, too little, or nothing", async () => {
    await using tooMuch = await withFault({ kind: "length", contentLength: 100_001 });
    const much = await broken(tooMuch.url + BLOB);
    assert.deepEqual([much.failed, much.bytes.length], [true, 100_000]);
    await using tooLittle = await withFault({ kind: "length", contentLength: 99_999 });
    const { headers, size } = await rawGet(tooLittle, BLOB);
    assert.match(headers, /content-length: 99999/i);
    assert.equal(size, 100_000);
    await using nothing = await withFault({ kind: "length", contentLength: undefined });
    const chunked = await get(nothing.url + BLOB);
    assert.deepEqual([chunked.headers["content-length"], chunked.headers["transfer-encoding"]], [undefined, "chunked"]);
    assert.deepEqual(chunked.bytes, BYTES);
    await using head = await withFault({ kind: "headers", remove: ["Content-Length"] });
    const bare = await get(head.url + BLOB, {}, "HEAD");
    assert.deepEqual([bare.status, bare.headers["content-length"]], [200, undefined]);
  });

  test("headers sets and removes them", async () => {
    await using fake = await withFault({
      kind: "headers",
      set: { "Content-Type": "text/plain" },
      remove: ["Docker-Content-Digest"],
    });
    const { headers } = await get(fake.url + BLOB);
    assert.deepEqual([headers["content-type"], headers["docker-content-digest"]], ["text/plain", undefined]);
  });

  test("gzip encodes the body", async () => {
    await using fake = await withFault({ kind: "gzip" });
    const { headers, bytes } = await get(fake.url + BLOB);
    assert.equal(headers["content-encoding"], "gzip");
    assert.deepEqual(gunzipSync(bytes), BYTES);
  });

  test("drip sends small pieces one by one", async () => {
    await using fake = await withFault({ kind: "drip", bytesPerSecond: 1000, pieceBytes: 10 });
    const { body } = await request(fake.url + BLOB);
    await fake.until(() => (fake.requests[0]?.bytesSent ?? 0) >= 30);
    assert.equal((fake.requests[0]?.bytesSent ?? 0) % 10, 0);
    assert.ok((fake.requests[0]?.bytesSent ?? 0) < BYTES.length);
    body.on("error", () => {});
    body.destroy();
    await fake.until(() => fake.requests[0]?.closed === true);
  });

  test("hang never answers, and drop closes without an answer", async () => {
    await using hanging = await withFault({ kind: "hang" });
    const leave = new AbortController();
    const asked = request(hanging.url + BLOB, { signal: leave.signal });
    await hanging.until(() => hanging.count({ path: "/blobs/" }) === 1);
    leave.abort();
    await assert.rejects(asked);
    await hanging.until(() => hanging.requests[0]?.closed === true);
    assert.equal(hanging.requests[0]?.status, 0);
    await using dropping = await withFault({ kind: "drop" });
    await assert.rejects(get(dropping.url + BLOB));
  });

  test("noRange waits for a range and sends the whole", async () => {
    await using fake = await withFault({ kind: "noRange" });
    assert.equal((await get(fake.url + BLOB)).status, 200);
    const whole = await get(fake.url + BLOB, { range: "bytes=5-9" });
    assert.deepEqual([whole.status, whole.bytes.length], [200, BYTES.length]);
    assert.equal((await get(fake.url + BLOB, { range: "bytes=5-9" })).status, 206);
  });

  test("answer hands the request over", async () => {
    await using fake = await withFault({ kind: "answer", handler: (_req, res) => void res.writeHead(418).end("tea") });
    const { status, bytes } = await get(fake.url + BLOB);
    assert.deepEqual([status, bytes.toString()], [418, "tea"]);
    await fake.until(() => fake.requests[0]?.closed === true);
    assert.equal(fake.requests[0]?.status, 418);
  });
});

suite("scripts", () => {
  test("match by role, method, path, credentials and range, and can be removed", async () => {
    await using fake = await start({ auth: "bearer" });
    const authorization = `Bearer ${await anonymousToken(fake)}`;
    const script = fake.script(
      { role: "registry", method: "GET", path: /blobs\/sha256:/, authorized: true, ranged: true },
      { kind: "status", status: 500, times: Infinity },
    );
    assert.equal((await get(fake.url + BLOB, { range: "bytes=0-1" })).status, 401);
    assert.equal((await get(fake.url + BLOB, { authorization })).status, 200);
    for (let i = 0; i < 3; i += 1) {
      assert.equal((await get(fake.url + BLOB, { authorization, range: "bytes=0-1" })).status, 500);
    }
    script.remove();
    assert.equal((await get(fake.url + BLOB, { authorization, range: "bytes=0-1" })).status, 206);
    assert.equal(fake.count({ role: "registry", authorized: true, ranged: true }), 4);
  });

  test("spend no fault of a body on a challenge, a redirect or a HEAD", async () => {
    await using fake = await start({ auth: "bearer", redirectBlobs: true });
    const authorization = `Bearer ${await anonymousToken(fake)}`;
    fake.script({}, { kind: "cut", atByte: 3 });
    assert.equal((await get(fake.url + BLOB)).status, 401);
    const away = await get(fake.url + BLOB, { authorization });
    assert.equal(away.status, 307);
    assert.equal((await get(`${fake.url}/v2/`, { authorization }, "HEAD")).status, 200);
    assert.deepEqual((await broken(String(away.headers["location"]))).bytes, BYTES.subarray(0, 3));
  });

  test("apply lasting faults beside single ones", async () => {
    await using fake = await start();
    fake.script({ path: "/blobs/" }, { kind: "headers", remove: ["ETag"], times: Infinity });
    fake.script({ path: "/blobs/" }, { kind: "corrupt", atByte: 0 });
    const seen = [await get(fake.url + BLOB), await get(fake.url + BLOB)];
    assert.deepEqual(
      seen.map((one) => [one.headers["etag"], one.bytes.equals(BYTES)]),
      [
        [undefined, false],
        [undefined, true],
      ],
    );
  });
});
