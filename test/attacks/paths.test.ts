import assert from "node:assert/strict";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { HttpChallenges } from "../../src/certificates/http-challenges.ts";
import { testRegistry } from "../support/cache.ts";
import { raw } from "../support/client.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { tempDir } from "../support/temp.ts";
import { filesBelow, startWhole } from "../support/whole.ts";

const PRIVATE = "nobody may read this";
const PATH_TOKEN = "secret-path-of-the-lab-0123456789";

/** Ways up, as far as a parser may be led to see them. */
const UPS = [
  "..",
  "../..",
  "%2e%2e",
  "%2E%2e%2F%2e%2E",
  "%252e%252e%252f",
  "%25252e%25252e",
  "..%2f..",
  "..%5c..",
  "..\\..",
  "%c0%ae%c0%ae",
  "%uff0e%uff0e",
  "..%00",
  "%00",
  "..;",
  "....//",
  ".%2e",
  "%2f%2e%2e",
];

const PLACES = (up: string, port: number): string[] => [
  `/${up}/${up}/private.txt`,
  `/v2/${up}/${up}/private.txt`,
  `/v2/${up}/manifests/1`,
  `/v2/library/${up}/manifests/1`,
  `/v2/library/${up}/${up}/${up}/app/manifests/1`,
  `/v2/library/app/manifests/${up}`,
  `/v2/library/app/manifests/${up}/private.txt`,
  `/v2/library/app/blobs/${up}`,
  `/v2/library/app/blobs/sha256:${up}${"a".repeat(64 - Math.min(64, up.length))}`,
  `/v2/library/app/blobs/${up}:${"a".repeat(64)}`,
  `/v2/library/app/referrers/${up}`,
  `/v2/${up}/tags/list`,
  `/v2/library/app/tags/${up}/list`,
  `/${up}/v2/library/app/manifests/1`,
  `/v2/library/app/manifests/1?ns=${up}`,
  `/v2/library/app/manifests/1?ns=docker.io/${up}`,
  `/t/${up}/v2/library/app/manifests/1`,
  `/t/${up}`,
  `/t/${PATH_TOKEN}/${up}/v2/library/app/manifests/1`,
  `/t/${PATH_TOKEN}/v2/${up}/manifests/1`,
  `/t/${PATH_TOKEN}/v2/library/app/blobs/${up}`,
  `/.well-known/acme-challenge/${up}/private.txt`,
  `/.well-known/acme-challenge/${up}`,
  `/?last=${up}&n=1&port=${port}`,
];

for (const workers of [1, 2]) {
  test(`attack: path traversal: no name, tag, digest, ns or secret leads out of the data folder; ${workers} workers`, async (t) => {
    const upstream = await startFakeUpstream();
    t.after(async () => await upstream.stop());
    upstream.addImage("library/app", "1");
    const outside = await tempDir(t);
    const dataDir = join(outside, "below", "data");
    await mkdir(dataDir, { recursive: true });
    for (const folder of [outside, join(outside, "below"), dataDir])
      await writeFile(join(folder, "private.txt"), PRIVATE);
    const paths = [{ name: "lab", token: PATH_TOKEN }];
    const { url } = await startWhole(t, [testRegistry(upstream.url)], {
      workers,
      dataDir,
      access: { anonymous: true, paths },
    });
    const before = await filesBelow(outside);
    const { port } = new URL(url);
    for (const up of UPS) {
      for (const path of PLACES(up, Number(port))) {
        const received = await raw(url, `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
        assert.match(received, /^HTTP\/1\.1 4\d\d /, `${path}: ${received}`);
        assert.ok(!received.includes(PRIVATE));
      }
    }
    assert.deepEqual(await filesBelow(outside), before);
    assert.deepEqual(
      upstream.requests.map(({ path }) => path),
      [],
    );
  });
}

test("attack: path traversal: what the authority asks for is a token that is awaited, and no file", async (t) => {
  const port = await freePort();
  const challenges = new HttpChallenges({ host: "127.0.0.1", port });
  await challenges.open();
  t.after(async () => await challenges.close());
  await challenges.show({ name: "cache.example", token: "the-token", answer: "the answer" });
  const ask = async (path: string) =>
    await raw(`http://127.0.0.1:${port}`, `GET ${path} HTTP/1.1\r\nHost: cache.example\r\nConnection: close\r\n\r\n`);
  assert.match(await ask("/.well-known/acme-challenge/the-token"), /^HTTP\/1\.1 200 .*the answer/s);
  const own = (await readFile(import.meta.filename, "utf8")).slice(0, 30);
  const [file = ""] = await readdir(import.meta.dirname);
  for (const up of [
    ...UPS,
    "__proto__",
    "constructor",
    "the-token/..",
    "the-token%00",
    "the-token?x",
    `../../../${file}`,
  ]) {
    const received = await ask(`/.well-known/acme-challenge/${up}`);
    assert.match(received, /^HTTP\/1\.1 4\d\d /, up);
    assert.ok(!received.includes(own) && !received.includes("the answer"));
    const elsewhere = await ask(`/${up}/private.txt`);
    assert.match(elsewhere, /^HTTP\/1\.1 (?:308 .*\r\nLocation: https:\/\/cache\.example\/|4\d\d )/s, up);
  }
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
