import assert from "node:assert/strict";
import { once } from "node:events";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import { pino } from "pino";
import { startCache, testConfig, testRegistry } from "./support/cache.ts";
import { startCacheProcess } from "./support/cache-process.ts";
import { selfSignedCertificate, type TestCertificate } from "./support/certificate.ts";
import { startFakeUpstream } from "./support/fake-upstream.ts";
import { eventually } from "./support/open-files.ts";
import { tempDir } from "./support/temp.ts";

async function setUp(t: TestContext) {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  const folder = await tempDir(t);
  const files = { cert: join(folder, "cert.pem"), key: join(folder, "key.pem") };
  const [first, second] = [selfSignedCertificate(), selfSignedCertificate()];
  const write = async (key: keyof typeof files, text: string) => {
    await writeFile(`${files[key]}.new`, text);
    await rename(`${files[key]}.new`, files[key]);
  };
  await write("cert", first.cert);
  await write("key", first.key);
  return { upstream, first, second, write, tls: { ...first, files }, registries: [testRegistry(upstream.url)] };
}

/** A new connection; rejects where the server has not the certificate's key. */
async function dial(t: TestContext, url: string, { cert }: TestCertificate): Promise<TLSSocket> {
  const socket = connect({ host: "127.0.0.1", port: Number(new URL(url).port), ca: cert });
  t.after(() => socket.destroy());
  await once(socket, "secureConnect");
  return socket.on("error", () => undefined);
}

async function isServed(t: TestContext, url: string, certificate: TestCertificate): Promise<boolean> {
  return await dial(t, url, certificate).then(
    (socket) => {
      socket.destroy();
      return true;
    },
    () => false,
  );
}

async function isAnswered(socket: TLSSocket): Promise<boolean> {
  socket.write("GET /healthz HTTP/1.1\r\nHost: cache.example\r\n\r\n");
  const [bytes] = (await once(socket, "data")) as [Buffer];
  return bytes.toString().startsWith("HTTP/1.1 200");
}

test("another certificate is used as soon as its files are there, and nobody's connection is dropped", async (t) => {
  const { first, second, write, tls, registries } = await setUp(t);
  const lines: string[] = [];
  const log = pino({ level: "info" }, { write: (line: string) => void lines.push(line) });
  const { url } = await startCache(t, registries, { config: { tls }, log });
  const early = await dial(t, url, first);
  assert.ok(await isAnswered(early));
  // Of two files one is always there first.
  await write("cert", second.cert);
  await eventually(async () => lines.some((line) => line.includes("stay in use")));
  assert.ok(await isServed(t, url, first));
  await write("key", second.key);
  await eventually(async () => await isServed(t, url, second));
  assert.ok(!(await isServed(t, url, first)));
  assert.ok(await isAnswered(early));
  assert.ok(lines.some((line) => line.includes("the certificates were read anew")));
});

test("files that are no certificate change nothing", async (t) => {
  const { first, second, write, tls, registries } = await setUp(t);
  const lines: string[] = [];
  const log = pino({ level: "info" }, { write: (line: string) => void lines.push(line) });
  const { url } = await startCache(t, registries, { config: { tls }, log });
  await write("cert", "not a certificate");
  await eventually(async () => lines.some((line) => line.includes("has no certificate in PEM form")));
  assert.ok(await isServed(t, url, first));
  await write("key", second.key);
  await write("cert", second.cert);
  await eventually(async () => await isServed(t, url, second));
});

test("all processes use it, and those that are started later", async (t) => {
  const { first, second, write, tls, registries } = await setUp(t);
  const config = testConfig(await tempDir(t), registries, { tls, workers: 2 });
  const { url } = await startCacheProcess(t, config);
  assert.ok(await isServed(t, url, first));
  await write("key", second.key);
  await write("cert", second.cert);
  await eventually(async () => {
    const served = [];
    for (let time = 0; time < 4; time++) served.push(await isServed(t, url, second));
    return served.every(Boolean);
  });
});
