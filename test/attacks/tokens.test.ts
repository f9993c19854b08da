import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { hashSync } from "bcryptjs";
import { testRegistry } from "../support/cache.ts";
import { ask, errorCode, raw } from "../support/client.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { tempDir } from "../support/temp.ts";
import { basic, startWhole } from "../support/whole.ts";

const KIB = 1024;
const MANIFEST = "/v2/library/app/manifests/1";

async function setUp(t: TestContext, workers: number) {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  upstream.addImage("library/app", "1");
  const htpasswd = join(await tempDir(t), "users");
  await writeFile(htpasswd, `me:${hashSync("correct horse", 4)}\n`);
  const access = { anonymous: false, htpasswd, bearer: true };
  const { url, dataDir } = await startWhole(t, [testRegistry(upstream.url)], { workers, access });
  const statusOf = async (authorization: string) =>
    (await ask(url + MANIFEST, { headers: { Authorization: authorization } })).status;
  return { url, dataDir, statusOf, upstream };
}

async function tokenOf(url: string): Promise<string> {
  const { body } = await ask(`${url}/token`, { headers: { Authorization: basic("me", "correct horse") } });
  return (JSON.parse(body.toString()) as { token: string }).token;
}

function encoded(value: unknown): string {
  return Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
}

for (const workers of [1, 2]) {
  test(`attack: tokens: of another key, another form, too long, cut or expired ones open nothing; ${workers} workers`, async (t) => {
    const { url, dataDir, statusOf } = await setUp(t, workers);
    const token = await tokenOf(url);
    assert.equal(await statusOf(`Bearer ${token}`), 200);
    const [body = "", signature = ""] = token.split(".");
    const claims = JSON.parse(Buffer.from(body, "base64url").toString()) as object;
    const key = await readFile(join(dataDir, "token-key"));
    const signed = (text: string, by: Buffer | string) =>
      `${text}.${createHmac("sha256", by).update(text).digest("base64url")}`;
    // So that the others fail for what is wrong with them.
    assert.equal(await statusOf(`Bearer ${signed(encoded(claims), key)}`), 200);
    const nested = `${"[".repeat(500)}${"]".repeat(500)}`;
    for (const wrong of [
      signed(encoded({ ...claims, expiresAtS: 1 }), key),
      signed(encoded(claims), "another key"),
      signed(encoded(claims), ""),
      signed(encoded({ ...claims, name: "nobody" }), key),
      `${encoded({ ...claims, name: "admin" })}.${signature}`,
      `${encoded({ alg: "none", typ: "JWT" })}.${body}.`,
      `${encoded({ alg: "none" })}.${body}.${signature}`,
      `${encoded({ alg: "HS256" })}.${body}.${signature}`,
      `${body}.`,
      `.${signature}`,
      body,
      `${body}.${signature}.`,
      `${body}.${signature}.${signature}`,
      `${body}.${signature.slice(0, -1)}`,
      `${body}.${signature}A`,
      `${body}.${signature}=`,
      `${body}=.${signature}`,
      `${body}..${signature}`,
      `${signature}.${body}`,
      `${body}.${Buffer.from(signature, "base64url").toString("base64")}==`,
      `${encoded(nested)}.${signature}`,
      `${encoded("{}")}.${signature}`,
      "a".repeat(15 * KIB),
      `${body}.${signature}${"A".repeat(14 * KIB)}`,
      `${"A".repeat(14 * KIB)}.${signature}`,
    ]) {
      assert.equal(await statusOf(`Bearer ${wrong}`), 401, wrong.slice(0, 200));
      // What is no token at all gets one for nobody.
      const { body: got } = await ask(`${url}/token`, { headers: { Authorization: `Bearer ${wrong}` } });
      const { token: other = "none" } = JSON.parse(got.toString()) as { token?: string };
      assert.equal(await statusOf(`Bearer ${other}`), 401, wrong.slice(0, 200));
    }
    // Nothing of it was in the way of the right one.
    assert.equal(await statusOf(`bearer   ${token}`), 200);
  });

  test(`attack: oversized tokens: what is longer than headers may be is cut off before anybody looks at it; ${workers} workers`, async (t) => {
    const { url, statusOf, upstream } = await setUp(t, workers);
    assert.equal(await statusOf(`Basic ${"A".repeat(15 * KIB)}`), 401);
    assert.equal(await statusOf(`Bearer ${"A".repeat(15 * KIB)}`), 401);
    for (const scheme of ["Basic", "Bearer"]) {
      const text = `GET ${MANIFEST} HTTP/1.1\r\nHost: a\r\nAuthorization: ${scheme} ${"A".repeat(4 * KIB * KIB)}\r\n\r\n`;
      assert.match(await raw(url, text), /^HTTP\/1\.1 431 /);
    }
    assert.deepEqual(upstream.requests, []);
    assert.equal((await ask(`${url}/healthz`)).status, 200);
  });

  test(`attack: oversized forms: a form of more than 16 KiB is refused, also one without an end; ${workers} workers`, async (t) => {
    const { url } = await setUp(t, workers);
    const form = `grant_type=password&username=me&password=${"x".repeat(17 * KIB)}`;
    for (let time = 0; time < 4; time += 1) {
      const answer = await ask(`${url}/token`, { method: "POST", body: form });
      assert.deepEqual([answer.status, errorCode(answer)], [413, "SIZE_INVALID"]);
    }
    const known = `POST /token HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000000\r\n\r\nx`;
    assert.match(await raw(url, known), /^HTTP\/1\.1 413 .*Connection: close/is);
    const chunk = `${(4 * KIB).toString(16)}\r\n${"x".repeat(4 * KIB)}\r\n`;
    assert.match(
      await endless(url, "POST /token HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", chunk),
      /^HTTP\/1\.1 413 /,
    );
    const right = "grant_type=password&username=me&password=correct+horse";
    assert.equal((await ask(`${url}/token`, { method: "POST", body: right })).status, 200);
  });
}

/** Sends a head, then piece after piece until the other side answers; gives back the answer. */
async function endless(url: string, head: string, piece: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname).setEncoding("latin1");
  const answer = new Promise<string>((resolve) => {
    socket.once("data", (text: string) => resolve(text));
    socket.once("close", () => resolve(""));
  });
  socket.on("error", () => undefined);
  socket.write(head);
  const timer = setInterval(() => socket.write(piece), 5);
  try {
    return await answer;
  } finally {
    clearInterval(timer);
    socket.destroy();
  }
}
