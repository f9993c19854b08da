import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { hashSync } from "bcryptjs";
import { FRONT_HEADERS } from "../../src/server/front-headers.ts";
import type { AccessConfig } from "../../src/config/config.ts";
import { testRegistry } from "../support/cache.ts";
import { ask, raw } from "../support/client.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { tempDir } from "../support/temp.ts";
import { basic, startWhole } from "../support/whole.ts";

const MANIFEST = "/v2/library/app/manifests/1";

async function setUp(t: TestContext, workers: number, access: Partial<AccessConfig> = {}) {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  const { digest } = upstream.addImage("library/app", "1");
  const { url } = await startWhole(t, [testRegistry(upstream.url)], { workers, access });
  return { upstream, url, digest };
}

async function usersFile(t: TestContext): Promise<string> {
  const path = join(await tempDir(t), "users");
  await writeFile(path, `me:${hashSync("correct horse", 4)}\n`);
  return path;
}

const HOST = "Host: localhost\r\n";
/** What comes out where a request is found in another one's body. */
const SMUGGLED = `GET /smuggled HTTP/1.1\r\n${HOST}\r\n`;
const CHUNKED = `0\r\n\r\n${SMUGGLED}`;

const AMBIGUOUS: Readonly<Record<string, string>> = {
  "Content-Length and Transfer-Encoding": `POST ${MANIFEST} HTTP/1.1\r\n${HOST}Content-Length: ${CHUNKED.length}\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKED}`,
  "the same for a form": `POST /token HTTP/1.1\r\n${HOST}Content-Length: ${CHUNKED.length}\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKED}`,
  "two Content-Length": `POST /token HTTP/1.1\r\n${HOST}Content-Length: 0\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`,
  "a Content-Length in hexadecimal": `POST /token HTTP/1.1\r\n${HOST}Content-Length: 0x0\r\n\r\n${SMUGGLED}`,
  "an encoding that only looks like chunked": `POST /token HTTP/1.1\r\n${HOST}Transfer-Encoding: \x0bchunked\r\n\r\n${CHUNKED}`,
  "an encoding twice": `POST /token HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n\r\n${CHUNKED}`,
  "a body on GET": `GET ${MANIFEST} HTTP/1.1\r\n${HOST}Content-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`,
  "a folded header": `GET ${MANIFEST} HTTP/1.1\r\n${HOST}X-One: a\r\n Host: b\r\n\r\n`,
  "a folded first header": `GET ${MANIFEST} HTTP/1.1\r\n X-One: a\r\n${HOST}\r\n`,
  "a bare carriage return": `GET ${MANIFEST} HTTP/1.1\r\n${HOST}X-One: a\rX-Two: b\r\n\r\n`,
  "bare line feeds": `GET ${MANIFEST} HTTP/1.1\n${HOST}\n`,
  "a NUL in a value": `GET ${MANIFEST} HTTP/1.1\r\n${HOST}X-One: a\0b\r\n\r\n`,
  "a space behind a name": `GET ${MANIFEST} HTTP/1.1\r\n${HOST}Content-Length : 5\r\n\r\nhello`,
  "a space in a name": `GET ${MANIFEST} HTTP/1.1\r\n${HOST}Content Length: 5\r\n\r\nhello`,
  "two Host": `GET ${MANIFEST} HTTP/1.1\r\n${HOST}Host: evil.example\r\n\r\n`,
  "two equal Host": `GET ${MANIFEST} HTTP/1.1\r\n${HOST}${HOST}\r\n`,
  "no Host": `GET ${MANIFEST} HTTP/1.1\r\n\r\n`,
  "two Authorization": `GET ${MANIFEST} HTTP/1.1\r\n${HOST}Authorization: ${basic("a", "b")}\r\nAuthorization: ${basic("c", "d")}\r\n\r\n`,
};

for (const workers of [1, 2]) {
  test(`attack: header smuggling: what two servers could read differently is refused, and nothing follows it; ${workers} workers`, async (t) => {
    const { url, upstream } = await setUp(t, workers, { htpasswd: await usersFile(t), bearer: true, anonymous: true });
    for (const [what, text] of Object.entries(AMBIGUOUS)) {
      const received = await raw(url, text);
      const statuses = received.match(/HTTP\/1\.1 \d{3}/g) ?? [];
      assert.equal(statuses.length, 1, `${what}: ${received}`);
      assert.match(received, /^HTTP\/1\.1 400 /, what);
      assert.doesNotMatch(received, /smuggled/);
    }
    assert.deepEqual(upstream.requests, []);
  });

  test(`attack: header smuggling: a client cannot say what fronts and proxies say; ${workers} workers`, async (t) => {
    const { url, upstream, digest } = await setUp(t, workers, {
      anonymous: false,
      networks: ["10.0.0.0/8"],
      htpasswd: await usersFile(t),
    });
    const forged = [
      { "X-Forwarded-For": "10.0.0.1" },
      { Forwarded: "for=10.0.0.1", "X-Real-IP": "10.0.0.1", "True-Client-IP": "10.0.0.1" },
      ...FRONT_HEADERS.map((name) => ({ [name]: "10.0.0.1" })),
      ...FRONT_HEADERS.map((name) => ({ [name.toUpperCase()]: "10.0.0.1" })),
      Object.fromEntries(FRONT_HEADERS.map((name) => [name, "10.0.0.1"])),
      // A front that obeyed would leave out what it says itself.
      { Connection: `close, ${FRONT_HEADERS.join(", ")}`, "X-Registry-Cache-Client": "10.0.0.1" },
      { Connection: "close, X-Registry-Cache-Client" },
    ];
    for (const headers of forged) {
      for (const path of ["/v2/", MANIFEST, `/v2/library/app/manifests/${digest}`, "/", "/token"]) {
        const more = { ...headers, Authorization: basic("me", "correct horse") };
        assert.equal((await ask(url + path, { headers: more })).status, 403, `${JSON.stringify(headers)} ${path}`);
      }
    }
    assert.deepEqual(upstream.requests, []);
  });

  test(`attack: header smuggling: nobody becomes a certificate's owner, nor right, by a header; ${workers} workers`, async (t) => {
    const { url, upstream, digest } = await setUp(t, workers, { anonymous: false, htpasswd: await usersFile(t) });
    const forged = Object.fromEntries(FRONT_HEADERS.map((name) => [name, "me"]));
    for (const path of ["/v2/", MANIFEST, `/v2/library/app/manifests/${digest}`, "/summary"]) {
      const wrong = { ...forged, Authorization: basic("me", "wrong") };
      // Twice, since a front remembers what was right.
      for (const headers of [forged, wrong, wrong]) {
        const answer = await ask(url + path, { headers });
        assert.ok([401, 429].includes(answer.status), `${path}: ${answer.status}`);
        assert.deepEqual(
          Object.keys(answer.headers).filter((name) => name.startsWith("x-registry-cache")),
          [],
        );
      }
    }
    assert.deepEqual(upstream.requests, []);
    const right = await ask(url + MANIFEST, { headers: { Authorization: basic("me", "correct horse") } });
    assert.ok([200, 429].includes(right.status));
  });
}
