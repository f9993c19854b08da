import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { rename, writeFile } from "node:fs/promises";
import { Agent, request } from "node:https";
import type { IncomingMessage } from "node:http";
import { connect as dial, createServer, type AddressInfo, type Socket } from "node:net";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { connect, type SecureVersion } from "node:tls";
import { type Logger, pino } from "pino";
import type { AccessConfig, ClientCertificates } from "../src/config/config.ts";
import { OPEN_ACCESS, startCache, testConfig, testRegistry } from "./support/cache.ts";
import { startCacheProcess } from "./support/cache-process.ts";
import { NO_FILES, selfSignedCertificate, testAuthority, type TestCertificate } from "./support/certificate.ts";
import { startCommand } from "./support/command.ts";
import { startFakeUpstream } from "./support/fake-upstream.ts";
import { eventually } from "./support/open-files.ts";
import { tempDir } from "./support/temp.ts";

const server = selfSignedCertificate();
const authority = testAuthority();

/** The status that a client with this certificate gets for a path, over a connection of its own. */
async function statusFor(url: string, own?: TestCertificate, version?: SecureVersion): Promise<number> {
  const only = version === undefined ? {} : { minVersion: version, maxVersion: version };
  const agent = new Agent({ keepAlive: false, ca: server.cert, ...own, ...only });
  const sent = request(url, { agent }).end();
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  response.resume();
  return response.statusCode ?? 0;
}

async function setUp(
  t: TestContext,
  mtls: Partial<ClientCertificates> = {},
  workers = 1,
  more: Partial<AccessConfig> = {},
  log?: Logger,
) {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  const { digest } = upstream.addImage("library/app", "1");
  const files = { ca: "/nonexistent/ca.pem", crl: undefined };
  const access = {
    ...OPEN_ACCESS,
    anonymous: false,
    mtls: { ca: authority.cert, crl: undefined, names: ["*"], files, ...mtls },
    rules: [{ who: "ci-bad", registry: undefined, repository: "*", tag: "*", allow: false, minAgeMs: 0 }],
    ...more,
  };
  const tls = { ...server, files: NO_FILES };
  const registries = [testRegistry(upstream.url)];
  const cache =
    workers === 1
      ? await startCache(t, registries, { config: { access, tls }, ...(log === undefined ? {} : { log }) })
      : await startCacheProcess(t, testConfig(await tempDir(t), registries, { access, tls, workers }));
  const url = cache.url.replace(/^http:/, "https:");
  return { url, manifest: `${url}/v2/library/app/manifests/1`, byDigest: `${url}/v2/library/app/manifests/${digest}` };
}

for (const workers of [1, 2]) {
  test(`certificates of the authority let in, and no others; ${workers} workers`, async (t) => {
    const { url, manifest, byDigest } = await setUp(t, { names: ["ci-*", "*.ci.example.com"] }, workers);
    const foreign = testAuthority("another authority");
    const impostor = testAuthority();
    for (const path of [manifest, byDigest, byDigest, `${url}/`]) {
      assert.equal(await statusFor(path, authority.issue("ci-1")), 200, path);
      assert.equal(await statusFor(path, authority.issue("x", ["host.ci.example.com"])), 200, path);
      assert.equal(await statusFor(path), 403, path);
      assert.equal(await statusFor(path, authority.issue("someone")), 403, path);
      assert.equal(await statusFor(path, authority.issue("ci-1", [], { validDays: [-9, -2] })), 403, path);
      assert.equal(await statusFor(path, authority.issue("ci-1", [], { validDays: [2, 9] })), 403, path);
      assert.equal(await statusFor(path, authority.issue("ci-1", [], { use: "server" })), 403, path);
      assert.equal(await statusFor(path, foreign.issue("ci-1")), 403, path);
      assert.equal(await statusFor(path, impostor.issue("ci-1")), 403, path);
      assert.equal(await statusFor(path, selfSignedCertificate(["ci-1"])), 403, path);
    }
    assert.equal(await statusFor(manifest, authority.issue("ci-bad")), 403);
    assert.equal(await statusFor(`${url}/healthz`), 200);
  });
}

/** Of the authority before, of the same name. With RSA, whose signature OpenSSL complains of when it is another key's. */
const rsaKeys = () => generateKeyPairSync("rsa", { modulusLength: 2048 });
const [present, before] = [testAuthority("clients", rsaKeys()), testAuthority("clients", rsaKeys()).issue("ci-1")];

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  for (const workers of [1, 2]) {
    test(`a certificate of an earlier authority of the same name is answered, by ${version}; ${workers} workers`, async (t) => {
      const closed = await setUp(t, { ca: present.cert }, workers);
      const open = await setUp(t, { ca: present.cert }, workers, { anonymous: true });
      for (let time = 0; time < 4; time++) {
        assert.equal(await statusFor(closed.manifest, before, version), 403);
        assert.equal(await statusFor(open.manifest, before, version), 200);
      }
      assert.equal(await statusFor(closed.manifest, present.issue("ci-1"), version), 200);
    });
  }
}

test("where such a certificate comes in a piece of its own, the log says whose it was and why there was no TLS", async (t) => {
  const lines: string[] = [];
  const log = pino({ level: "info" }, { write: (line: string) => void lines.push(line) });
  const { url } = await setUp(t, { ca: present.cert }, 1, {}, log);
  const through = await cutAfterCertificate(t, Number(new URL(url).port));
  await assert.rejects(statusFor(through, before, "TLSv1.2"));
  await eventually(
    async () =>
      await Promise.resolve(lines.some((line) => /"names":\["ci-1"\].*another authority of the same name/.test(line))),
  );
});

/** A way to a port on which no client gets farther than the first record after its greeting, which is its certificate in TLS 1.2. */
async function cutAfterCertificate(t: TestContext, port: number): Promise<string> {
  const proxy = createServer((client: Socket) => {
    const onward = dial(port, "127.0.0.1");
    for (const socket of [client, onward]) socket.on("error", () => undefined);
    onward.pipe(client);
    client.once("data", (greeting: Buffer) => {
      onward.write(greeting);
      client.once("data", (flight: Buffer) => onward.write(flight.subarray(0, 5 + flight.readUInt16BE(3))));
    });
    client.once("close", () => onward.destroy());
  });
  t.after(() => proxy.close());
  await once(proxy.listen(0, "127.0.0.1"), "listening");
  return `https://127.0.0.1:${(proxy.address() as AddressInfo).port}/v2/`;
}

test("each of several authorities has a revocation list of its own", async (t) => {
  const other = testAuthority("another authority");
  const [revoked, good] = [other.issue("ci-2"), other.issue("ci-3")];
  const ca = authority.cert + other.cert;
  const crl = authority.revocations([]) + other.revocations([revoked.serial]);
  const { manifest } = await setUp(t, { ca, crl });
  assert.equal(await statusFor(manifest, authority.issue("ci-1")), 200);
  assert.equal(await statusFor(manifest, good), 200);
  assert.equal(await statusFor(manifest, revoked), 403);
});

for (const workers of [1, 2]) {
  test(`the log says what was wrong with a certificate that was refused; ${workers} workers`, async (t) => {
    const folder = await tempDir(t);
    const files = { "cert.pem": server.cert, "key.pem": server.key, "ca.pem": authority.cert };
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text, { mode: 0o600 });
    const config = `
listen: 127.0.0.1:0
workers: ${workers}
tls: { mode: files, cert: cert.pem, key: key.pem }
access: { mtls: { ca: ca.pem } }
`;
    await writeFile(join(folder, "registry-cache.yaml"), config);
    const command = startCommand(t, ["serve"], { cwd: folder });
    const [, url] = await command.said(/"urls":\["(https:[^"]+)"\]/);
    for (const path of ["/v2/", "/v2/library/app/manifests/1"]) {
      assert.equal(await statusFor(`${url}${path}`, authority.issue("ci-1", [], { validDays: [-9, -2] })), 403);
    }
    await command.said(
      /"status":403,[^\n]*"certificate":"CERT_HAS_EXPIRED"[^\n]*\n[^]*"certificate":"CERT_HAS_EXPIRED"/,
    );
    command.signal("SIGTERM");
    assert.equal((await command.ended()).exitCode, 0);
  });
}

test("a header cannot pass for a certificate", async (t) => {
  const { url } = await setUp(t, {}, 2);
  const agent = new Agent({ keepAlive: false, ca: server.cert });
  const headers = { "x-registry-cache-certificate": "ci-1", "x-registry-cache-client": "127.0.0.1" };
  const [response] = (await once(request(`${url}/`, { agent, headers }).end(), "response")) as [IncomingMessage];
  response.resume();
  assert.equal(response.statusCode, 403);
});

for (const workers of [1, 2]) {
  test(`a revoked certificate is out as soon as its authority's list says so, whatever it has open; ${workers} workers`, async (t) => {
    const folder = await tempDir(t);
    const files = { ca: join(folder, "ca.pem"), crl: join(folder, "crl.pem") };
    const write = async (file: string, text: string) => {
      await writeFile(`${file}.new`, text);
      await rename(`${file}.new`, file);
    };
    const [good, bad] = [authority.issue("ci-good"), authority.issue("ci-gone")];
    const none = authority.revocations([]);
    await write(files.ca, authority.cert);
    await write(files.crl, none);
    const cert = { cert: join(folder, "cert.pem"), key: join(folder, "key.pem") };
    await write(cert.cert, server.cert);
    await write(cert.key, server.key);
    const upstream = await startFakeUpstream();
    t.after(async () => await upstream.stop());
    upstream.addImage("library/app", "1");
    const access = { ...OPEN_ACCESS, anonymous: false, mtls: { ca: authority.cert, crl: none, names: ["*"], files } };
    const config = testConfig(await tempDir(t), [testRegistry(upstream.url)], {
      access,
      workers,
      tls: { ...server, files: cert },
    });
    const cache = await startCacheProcess(t, config);
    const url = cache.url.replace(/^http:/, "https:");
    const manifest = `${url}/v2/library/app/manifests/1`;
    assert.deepEqual([await statusFor(manifest, good), await statusFor(manifest, bad)], [200, 200]);
    const kept = connect({
      host: "127.0.0.1",
      port: Number(new URL(url).port),
      ca: server.cert,
      cert: bad.cert,
      key: bad.key,
    });
    t.after(() => kept.destroy());
    kept.on("error", () => undefined);
    const ended = once(kept, "close");
    await once(kept, "secureConnect");
    const [session] = (await once(kept, "session")) as [Buffer];
    await write(files.crl, authority.revocations([bad.serial]));
    kept.resume();
    await ended;
    await eventually(async () => (await statusFor(manifest, bad)) === 403);
    assert.equal(await statusFor(manifest, good), 200);
    const resumed = connect({ host: "127.0.0.1", port: Number(new URL(url).port), ca: server.cert, session });
    t.after(() => resumed.destroy());
    await once(resumed, "secureConnect");
    resumed.write("GET /v2/ HTTP/1.1\r\nHost: cache.example\r\n\r\n");
    const [answer] = (await once(resumed, "data")) as [Buffer];
    assert.match(answer.toString(), /^HTTP\/1\.1 403/);
  });
}
