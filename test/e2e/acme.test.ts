import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { connect, type TLSSocket } from "node:tls";

import { selfSignedCertificate } from "../support/certificate.ts";
import { ask } from "../support/client.ts";
import { eventually } from "../support/open-files.ts";
import { answers, type Daemon, freePort, Runner } from "./support/processes.ts";
import { skipReason, toolPath } from "./support/tools.ts";

const CHECKOUT = path.resolve(import.meta.dirname, "../..");
const NAMES = ["cache.acme.test", "hub.acme.test"];
/** Seconds: renewed when two thirds of it have passed. */
const LIFE_S = 12;

/** An authority that asks DNS and plain HTTP on loopback, and whose certificates live for seconds. */
interface Authority {
  readonly directory: string;
  /** PEM that its own HTTPS is trusted by. */
  readonly ca: string;
  readonly httpPort: number;
  /** PEM of what signs its certificates. */
  root(): Promise<string>;
}

async function startAuthority(runner: Runner, stops: (() => Promise<void>)[], lifeS: number): Promise<Authority> {
  const own = selfSignedCertificate();
  const [port, management, dns, control, httpPort] = [
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
    tlsPort: httpPort,
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
  return {
    directory: `https://127.0.0.1:${port}/dir`,
    ca: own.cert,
    httpPort,
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

/** What the server shows for a name; rejects where it is not trusted. */
async function shown(port: number, name: string, ca: string): Promise<string> {
  const socket: TLSSocket = connect({ host: "127.0.0.1", port, servername: name, ca });
  try {
    await once(socket, "secureConnect");
    return socket.getPeerX509Certificate()?.serialNumber ?? "";
  } finally {
    socket.destroy();
  }
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

  async function startCache(name: string, workers: number) {
    const folder = path.join(runner.folder, name);
    await mkdir(folder);
    const [port, dataDir] = [await freePort(), path.join(folder, "data")];
    await writeFile(path.join(folder, "directory-ca.pem"), authority.ca);
    const tls = {
      mode: "acme",
      directory: authority.directory,
      directory_ca: "directory-ca.pem",
      email: "ops@acme.test",
      names: NAMES,
      http_listen: `127.0.0.1:${authority.httpPort}`,
    };
    const config = path.join(folder, "registry-cache.yaml");
    await writeFile(config, JSON.stringify({ listen: `127.0.0.1:${port}`, data_dir: dataDir, workers, tls }));
    const command = [path.join(CHECKOUT, "bin/registry-cache"), "serve", "--config", config];
    const env = { PATH: `${path.dirname(process.execPath)}:${process.env["PATH"] ?? ""}`, NO_PROXY: "127.0.0.1" };
    const start = () => runner.start(name, command, { ready: () => listens(port), env });
    const daemon = await start();
    stops.push(() => daemon.stop());
    return { port, dataDir, daemon, start };
  }

  for (const workers of [1, 2]) {
    test(`a certificate is had, used for every name, kept for its owner alone, and renewed; ${workers} workers`, async () => {
      const { port, dataDir, daemon, start } = await startCache(`cache${workers}`, workers);
      const trusted = async () => await shown(port, NAMES[0] ?? "", await authority.root());
      await eventually(async () => await trusted().then(Boolean, () => false));
      const first = await trusted();
      for (const name of NAMES) assert.equal(await shown(port, name, await authority.root()), first);
      await assert.rejects(shown(port, "other.acme.test", await authority.root()), /altname|ERR_TLS_CERT/i);
      for (const file of await readdir(path.join(dataDir, "acme"))) {
        assert.equal((await stat(path.join(dataDir, "acme", file))).mode & 0o077, 0, file);
      }
      const log = await readFile(daemon.log, "utf8");
      for (const said of [
        "asking for a certificate",
        "looks whether the name is ours",
        "a new certificate is in use",
      ]) {
        assert.ok(log.includes(said), said);
      }
      assert.ok(!log.includes("PRIVATE KEY"));
      await eventually(async () => (await trusted()) !== first);
      // What is kept is used at once by the next start.
      const kept = await readFile(path.join(dataDir, "acme/certificate.pem"), "utf8");
      await daemon.stop();
      const again = await start();
      assert.ok((await readFile(path.join(dataDir, "acme/certificate.pem"), "utf8")).startsWith(kept.slice(0, 60)));
      await eventually(async () => await trusted().then(Boolean, () => false));
      await again.stop();
    });
  }

  test("plain HTTP leads to https, and a challenge that nobody waits for is 404", async () => {
    const { daemon } = await startCache("cache-http", 1);
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
    assert.deepEqual(await get("/v2/?x=1"), [308, "https://cache.acme.test/v2/?x=1"]);
    assert.deepEqual(await get("/.well-known/acme-challenge/nothing"), [404, undefined]);
    await daemon.stop();
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
