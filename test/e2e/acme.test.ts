import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { request as requestTls } from "node:https";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";
import { connect } from "node:tls";

import { selfSignedCertificate, testAuthority, type TestCertificate } from "../support/certificate.ts";
import { ask } from "../support/client.ts";
import { patiently, shown } from "./support/certificates.ts";
import { answers, type Daemon, freePort, Runner } from "./support/processes.ts";
import { skipReason, toolPath } from "./support/tools.ts";

const CHECKOUT = path.resolve(import.meta.dirname, "../..");
const NAMES = ["cache.acme.test", "hub.acme.test"];
/** Seconds: renewed when two thirds of it have passed. */
const LIFE_S = 12;

/** An authority that asks DNS, plain HTTP and TLS on loopback, and whose certificates live for seconds. */
interface Authority {
  readonly directory: string;
  /** PEM that its own HTTPS is trusted by. */
  readonly ca: string;
  /** Where it asks for http-01, and for tls-alpn-01. */
  readonly httpPort: number;
  readonly tlsPort: number;
  /** PEM of what signs its certificates. */
  root(): Promise<string>;
  /** Its DNS sends a name where nobody is, or to us again. */
  mislead(name: string): Promise<void>;
  clear(name: string): Promise<void>;
}

async function startAuthority(runner: Runner, stops: (() => Promise<void>)[], lifeS: number): Promise<Authority> {
  const own = selfSignedCertificate();
  const [port, management, dns, control, httpPort, tlsPort] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  const [cert, key, config] = ["pebble.pem", "pebble-key.pem", "pebble.json"].map((name) =>
    path.join(runner.folder, name),
  );
  await writeFile(cert ?? "", own.cert);
  await writeFile(key ?? "", own.key);
  const pebble = {
    listenAddress: `127.0.0.1:${port}`,
    managementListenAddress: `127.0.0.1:${management}`,
    certificate: cert,
    privateKey: key,
    httpPort,
    tlsPort,
    certificateValidityPeriod: lifeS,
  };
  await writeFile(config ?? "", JSON.stringify({ pebble }));
  const off = ["-http01", "", "-https01", "", "-tlsalpn01", ""];
  const names = ["-dns01", `127.0.0.1:${dns}`, "-management", `127.0.0.1:${control}`, "-defaultIPv6", ""];
  const dnsReady = () => reachable(control);
  const servers: Daemon[] = [
    await runner.start("dns", [toolPath("pebble-challtestsrv"), ...off, ...names], { ready: dnsReady }),
    await runner.start(
      "pebble",
      [toolPath("pebble"), "-strict", "-config", config ?? "", "-dnsserver", `127.0.0.1:${dns}`],
      {
        ready: () => answers(`https://127.0.0.1:${port}/dir`, own.cert),
        env: { PEBBLE_VA_NOSLEEP: "1", PEBBLE_WFE_NONCEREJECT: "20" },
      },
    ),
  ];
  stops.push(...servers.map((server) => () => server.stop()));
  const tell = async (what: string, body: object) => {
    const { status } = await ask(`http://127.0.0.1:${control}/${what}`, { method: "POST", body: JSON.stringify(body) });
    assert.equal(status, 200);
  };
  return {
    directory: `https://127.0.0.1:${port}/dir`,
    ca: own.cert,
    httpPort,
    tlsPort,
    mislead: async (name) => await tell("add-a", { host: `${name}.`, addresses: ["127.0.0.9"] }),
    clear: async (name) => await tell("clear-a", { host: `${name}.` }),
    root: async () => (await ask(`https://127.0.0.1:${management}/roots/0`, { ca: own.cert })).body.toString(),
  };
}

async function reachable(port: number): Promise<boolean> {
  try {
    await ask(`http://127.0.0.1:${port}/`);
    return true;
  } catch {
    return false;
  }
}

const CLIENTS = 4;
/** As the cache has it in the certificate that it shows until there is one. */
const PLACEHOLDER = createHash("sha256").update("no certificate yet").digest();

/** Clients that come in again and again until they are stopped; then it says how many were answered, and what was wrong. */
function keepAsking(t: TestContext, port: number, name: string) {
  const life = new AbortController();
  t.after(() => life.abort());
  const faults: string[] = [];
  let answered = 0;
  const come = async (maxVersion: "TLSv1.2" | "TLSv1.3") => {
    while (!life.signal.aborted) {
      const options = { servername: name, ALPNProtocols: ["http/1.1"], rejectUnauthorized: false, maxVersion };
      const socket = connect({ host: "127.0.0.1", port, ...options });
      try {
        await once(socket, "secureConnect");
        const certificate = socket.getPeerX509Certificate();
        const isUsual =
          certificate?.issuer.includes("Pebble") === true || certificate?.raw.includes(PLACEHOLDER) === true;
        if (!isUsual) faults.push(`shown the certificate of ${certificate?.issuer}`);
        socket.write(`GET /healthz HTTP/1.1\r\nHost: ${name}\r\nConnection: close\r\n\r\n`);
        const text = Buffer.concat((await socket.toArray()) as Buffer[]).toString();
        if (text.startsWith("HTTP/1.1 200")) answered += 1;
        else faults.push(`answered ${text}`);
      } catch (error) {
        faults.push(String(error));
      } finally {
        socket.destroy();
      }
    }
  };
  const all = Array.from({ length: CLIENTS }, async (_, index) => await come(index % 2 === 0 ? "TLSv1.2" : "TLSv1.3"));
  return async () => {
    life.abort();
    await Promise.all(all);
    return { answered, faults };
  };
}

describe("certificates by ACME, from Pebble", { skip: skipReason(["pebble", "pebble-challtestsrv"]) }, () => {
  const stops: (() => Promise<void>)[] = [];
  let runner: Runner;
  let authority: Authority;
  before(async () => {
    const root = await mkdtemp(path.join(tmpdir(), "rc-acme-"));
    stops.push(() => rm(root, { recursive: true, force: true }));
    runner = await Runner.create(root);
    authority = await startAuthority(runner, stops, LIFE_S);
  });
  after(async () => {
    for (const stop of stops.toReversed()) await stop();
  });

  async function startCache(t: TestContext, name: string, workers: number, tls: object, more: object = {}) {
    const folder = path.join(runner.folder, name);
    await mkdir(folder, { recursive: true });
    const isByTls = "challenge" in tls && tls.challenge === "tls-alpn-01";
    const port = isByTls ? authority.tlsPort : await freePort();
    const dataDir = path.join(folder, "data");
    await writeFile(path.join(folder, "directory-ca.pem"), authority.ca);
    const acme = {
      mode: "acme",
      directory: authority.directory,
      directory_ca: "directory-ca.pem",
      email: "ops@acme.test",
      names: NAMES,
      ...(isByTls ? {} : { http_listen: `127.0.0.1:${authority.httpPort}` }),
      ...tls,
    };
    const config = path.join(folder, "registry-cache.yaml");
    const all = { listen: `127.0.0.1:${port}`, data_dir: dataDir, workers, tls: acme, ...more };
    await writeFile(config, JSON.stringify(all));
    const command = [path.join(CHECKOUT, "bin/registry-cache"), "serve", "--config", config];
    const env = { PATH: `${path.dirname(process.execPath)}:${process.env["PATH"] ?? ""}`, NO_PROXY: "127.0.0.1" };
    const start = async () => {
      const daemon = await runner.start(name, command, { ready: () => listens(port), env });
      t.after(async () => await daemon.stop());
      return daemon;
    };
    const trusted = async (asked = NAMES[0] ?? "") => await shown(port, asked, await authority.root());
    const isTrusted = async (asked = NAMES[0] ?? "") => await trusted(asked).then(Boolean, () => false);
    const daemon = await start();
    const said = async () => await readFile(daemon.log, "utf8");
    return { folder, port, dataDir, daemon, start, trusted, isTrusted, said };
  }

  for (const [challenge, workers] of [
    ["http-01", 1],
    ["http-01", 2],
    ["tls-alpn-01", 1],
    ["tls-alpn-01", 2],
  ] as const) {
    test(`a certificate is had by ${challenge}, used for every name, kept for its owner alone, and renewed, while clients come; ${workers} workers`, async (t) => {
      const name = `cache-${challenge}-${workers}`;
      const { port, dataDir, daemon, start, trusted, isTrusted, said } = await startCache(t, name, workers, {
        challenge,
      });
      const stopAsking = keepAsking(t, port, NAMES[1] ?? "");
      await patiently(isTrusted);
      const first = await trusted();
      for (const one of NAMES) assert.equal(await trusted(one), first);
      await assert.rejects(trusted("other.acme.test"), /altname|ERR_TLS_CERT/i);
      await patiently(async () => (await said()).includes("a new certificate is in use"));
      for (const text of ["asking for a certificate", "looks whether the name is ours"]) {
        assert.ok((await said()).includes(text), text);
      }
      await patiently(async () => (await trusted()) !== first);
      const { answered, faults } = await stopAsking();
      assert.deepEqual(faults.slice(0, 5), []);
      assert.ok(answered > CLIENTS);
      for (const file of await readdir(path.join(dataDir, "acme"))) {
        assert.equal((await stat(path.join(dataDir, "acme", file))).mode & 0o077, 0, file);
      }
      assert.ok(!(await said()).includes("PRIVATE KEY"));
      // What is kept is used at once by the next start.
      await daemon.stop();
      const kept = await readFile(path.join(dataDir, "acme/certificate.pem"), "utf8");
      assert.ok(kept.startsWith(authority.directory));
      await start();
      await patiently(isTrusted);
    });
  }

  for (const [challenge, workers] of [
    ["http-01", 1],
    ["tls-alpn-01", 2],
  ] as const) {
    test(`each name has its own by ${challenge}, and one that leads elsewhere keeps no other from it; ${workers} workers`, async (t) => {
      const [first, lost, last] = ["first.acme.test", "lost.acme.test", "last.acme.test"] as const;
      await authority.mislead(lost);
      const tls = { challenge, one_each: true, names: [first, lost, last] };
      const name = `one-each-${challenge}`;
      const { dataDir, daemon, start, trusted, isTrusted, said } = await startCache(t, name, workers, tls);
      await patiently(async () => (await isTrusted(first)) && (await isTrusted(last)));
      const had = [await trusted(first), await trusted(last)];
      assert.notEqual(had[0], had[1]);
      // Its own is missing, so that the first one's is shown.
      await assert.rejects(trusted(lost), /altname|ERR_TLS_CERT/i);
      await patiently(async () => /"names":\["lost\.acme\.test"\].*no certificate; until then/.test(await said()));
      assert.ok(!/"names":\["(?:first|last)\.acme\.test"\].*no certificate;/.test(await said()));
      await patiently(async () => (await trusted(first)) !== had[0] && (await trusted(last)) !== had[1]);
      await daemon.stop();
      const files = (await readdir(path.join(dataDir, "acme"))).filter((file) => file.startsWith("certificate"));
      assert.deepEqual(files.toSorted(), ["certificate-first.acme.test.pem", "certificate-last.acme.test.pem"]);
      await authority.clear(lost);
      await start();
      await patiently(async () => await isTrusted(lost));
    });
  }

  test("a revocation is in force at once, and stays so when the certificate is renewed", async (t) => {
    const clients = testAuthority();
    const [good, bad] = [clients.issue("good"), clients.issue("bad")];
    const folder = path.join(runner.folder, "mtls");
    await mkdir(folder);
    const write = async (name: string, text: string) => {
      await writeFile(path.join(folder, `${name}.new`), text);
      await rename(path.join(folder, `${name}.new`), path.join(folder, name));
    };
    await write("ca.pem", clients.cert);
    await write("crl.pem", clients.revocations([]));
    const access = { anonymous: false, mtls: { ca: "ca.pem", crl: "crl.pem" } };
    const { port, trusted, isTrusted } = await startCache(t, "mtls", 2, {}, { access });
    await patiently(isTrusted);
    const first = await trusted();
    const statusFor = async (client: TestCertificate) => {
      const options = { host: "127.0.0.1", port, servername: NAMES[0], ca: await authority.root() };
      const sent = requestTls({ ...options, ...client, path: "/v2/", agent: false });
      const [response] = (await once(sent.end(), "response")) as [IncomingMessage];
      response.resume();
      return response.statusCode;
    };
    assert.deepEqual([await statusFor(good), await statusFor(bad)], [200, 200]);
    await write("crl.pem", clients.revocations([bad.serial]));
    await patiently(async () => (await statusFor(bad)) === 403);
    assert.equal(await statusFor(good), 200);
    await patiently(async () => (await trusted()) !== first);
    assert.deepEqual([await statusFor(good), await statusFor(bad)], [200, 403]);
  });

  test("plain HTTP leads to https, and a challenge that nobody waits for is 404", async (t) => {
    const { port } = await startCache(t, "cache-http", 1, {});
    const get = async (target: string) => {
      const sent = request({
        host: "127.0.0.1",
        port: authority.httpPort,
        path: target,
        headers: { Host: "cache.acme.test" },
      });
      const [response] = (await once(sent.end(), "response")) as [IncomingMessage];
      response.resume();
      return [response.statusCode, response.headers.location];
    };
    assert.deepEqual(await get("/v2/?x=1"), [308, `https://cache.acme.test:${port}/v2/?x=1`]);
    assert.deepEqual(await get("/.well-known/acme-challenge/nothing"), [404, undefined]);
  });
});

async function listens(port: number): Promise<boolean> {
  const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false });
  try {
    await once(socket, "secureConnect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
