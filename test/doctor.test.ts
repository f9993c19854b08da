import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import type { Level } from "../src/doctor/finding.ts";
import { selfSignedCertificate, testAuthority } from "./support/certificate.ts";
import { MAIN, runCommand, startCommand } from "./support/command.ts";
import { documented, normal } from "./support/doctor-page.ts";
import { type FakeUpstreamOptions, startFakeUpstream } from "./support/fake-upstream.ts";
import { tempDir } from "./support/temp.ts";

interface Found {
  readonly area: string;
  readonly level: Level;
  readonly message: string;
  readonly fix?: string;
}

interface Report {
  readonly exitCode: number;
  readonly problems: number;
  readonly findings: readonly Found[];
}

type Settings = Readonly<Record<string, unknown>>;

/** Temporary folders lie on whatever the machine has for them. */
const OF_THE_MACHINE = /^it lies (?:in|on) |of memory for |connections open/;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

interface DoctorCall {
  readonly flags?: readonly string[];
  readonly environment?: Record<string, string>;
  /** Commands of sh in a namespace of mounts, in which it then runs. */
  readonly before?: string;
}

async function setUp(t: TestContext, upstreamOptions: FakeUpstreamOptions = {}) {
  const upstream = await startFakeUpstream(upstreamOptions);
  t.after(async () => await upstream.stop());
  const folder = await tempDir(t);
  const port = await freePort();
  const config = join(folder, "registry-cache.yaml");
  return {
    upstream,
    folder,
    port,
    /** Writes the configuration, with what differs. */
    configure: async (settings: Settings = {}) => {
      // One registry, so that none of the others is asked.
      const others = ["ghcr", "quay", "gcr", "k8s", "gitlab", "ecr", "lscr", "codeberg"];
      const off = Object.fromEntries(others.map((id) => [id, { enabled: false }]));
      const { registry = {}, registries = {}, ...rest } = settings as { registry?: Settings; registries?: Settings };
      const dockerhub = { upstream: upstream.url, allow_private_addresses: true, realms: ["127.0.0.1"], ...registry };
      const whole = { listen: `127.0.0.1:${port}`, data_dir: join(folder, "data"), min_free_disk: "1B", ...rest };
      await writeFile(config, JSON.stringify({ ...whole, registries: { ...off, dockerhub, ...registries } }));
    },
    start: async () => {
      const cache = startCommand(t, ["serve", "--config", config], { cwd: folder });
      await cache.said(/"serving"/);
    },
    doctor: async ({ flags = [], environment = {}, before }: DoctorCall = {}) => {
      const command = [process.execPath, MAIN, "doctor", "--json", "--config", config, ...flags];
      const env = { PATH: process.env["PATH"], ...environment };
      const wrapped =
        before === undefined ? command : ["unshare", "--mount", "sh", "-c", `${before} && exec "$@"`, "sh", ...command];
      const [file = "", ...args] = wrapped;
      return await new Promise<Report>((resolve, reject) => {
        execFile(file, args, { env, cwd: folder }, (error, out, err) => {
          const exitCode = error === null ? 0 : Number(error.code);
          if (exitCode > 1) reject(new Error(err));
          else resolve({ exitCode, ...(JSON.parse(out) as Omit<Report, "exitCode">) });
        });
      });
    },
  };
}

function inArea({ findings }: Report, area: string): Found[] {
  return findings.filter((one) => one.area === area && !OF_THE_MACHINE.test(one.message));
}

/** Of an area alone, or of all. */
function assertOne(report: Report, level: "warning" | "problem", message: RegExp, fix: RegExp): void {
  const [found, ...more] = report.findings.filter((one) => one.level === level && message.test(one.message));
  assert.ok(found !== undefined && more.length === 0, JSON.stringify(report.findings));
  assert.match(found.fix ?? "", fix);
  if (level === "problem") assert.equal(report.exitCode, 1);
}

function assertNoProblem(report: Report): void {
  assert.deepEqual(
    report.findings.filter(({ level }) => level === "problem"),
    [],
  );
  assert.equal(report.exitCode, 0);
}

const NO_MOUNTS =
  spawnSync("unshare", ["--mount", "true"]).status === 0 ? false : "mount namespaces are not allowed here";

describe("doctor on the cache's machine", () => {
  test("a cache that runs as it should has no problem; each area is told, in its order", async (t) => {
    const { configure, start, doctor } = await setUp(t);
    await configure();
    await start();
    const report = await doctor();
    assertNoProblem(report);
    const areas = [...new Set(report.findings.map(({ area }) => area))];
    assert.deepEqual(areas, ["Configuration", "Addresses", "Data", "Machine", "Clients", "Upstreams", "Clock"]);
    assert.match(inArea(report, "Addresses")[0]?.message ?? "", /^127\.0\.0\.1:\d+: this cache answers$/);
    assert.match(inArea(report, "Upstreams")[0]?.message ?? "", /^docker\.io answers, in \d+ ms$/);
    assert.deepEqual(
      inArea(report, "Clock").map(({ level }) => level),
      ["ok"],
    );
    for (const { level, fix } of report.findings)
      assert.equal(fix !== undefined, level === "warning" || level === "problem");
  });

  test("it says what docs/doctor.md shows", async (t) => {
    const { configure, start, folder, upstream } = await setUp(t, { auth: "bearer" });
    upstream.addImage("ratelimitpreview/test", "latest");
    const set = { "ratelimit-limit": "100;w=21600", "ratelimit-remaining": "7;w=21600" };
    upstream.script({ path: "ratelimitpreview" }, { kind: "headers", set, times: Infinity });
    const { cert, key } = selfSignedCertificate(["localhost", "127.0.0.1"], { validDays: [-80, 9.5] });
    await writeFile(join(folder, "tls.pem"), cert + key, { mode: 0o600 });
    await configure({
      url: "https://localhost:5000",
      tls: { mode: "files", cert: "tls.pem", key: "tls.pem" },
      registry: { hostnames: ["hub.cache.invalid"] },
      registries: {
        ghcr: { upstream: upstream.url, allow_private_addresses: true, realms: ["127.0.0.1"] },
        quay: { upstream: "http://127.0.0.1:9", allow_private_addresses: true },
      },
    });
    await start();
    const { out, exitCode } = await runCommand(t, ["doctor"], { cwd: folder });
    assert.equal(exitCode, 1);
    assert.equal(normal(out), normal(await documented("registry-cache doctor")));
  });

  test("offline, no upstream is asked", async (t) => {
    const { configure, start, doctor, upstream } = await setUp(t);
    await configure();
    await start();
    const report = await doctor({ flags: ["--offline"] });
    assertNoProblem(report);
    assert.deepEqual(upstream.requests, []);
    assert.deepEqual(
      inArea(report, "Upstreams").map(({ level }) => level),
      ["skipped"],
    );
  });

  test("nothing listens", async (t) => {
    const { configure, doctor } = await setUp(t);
    await configure();
    assertOne(await doctor(), "problem", /^nothing listens on 127/, /systemctl start registry-cache/);
  });

  test("an address that is not this machine's", async (t) => {
    const { configure, doctor } = await setUp(t);
    await configure({ listen: "192.0.2.7:5000" });
    assertOne(await doctor(), "problem", /^192\.0\.2\.7:5000 is no address of this machine$/, /0\.0\.0\.0/);
  });

  test("another program has the port", async (t) => {
    const { configure, doctor, port } = await setUp(t);
    await configure();
    const other = createServer((_, res) => res.setHeader("Server", "other/1").end("hello")).listen(port, "127.0.0.1");
    await once(other, "listening");
    t.after(() => other.close());
    assertOne(await doctor(), "problem", /^another program answers at 127\S+: HTTP 200 from other\/1$/, /another port/);
  });

  test("another cache has the port", async (t) => {
    const { configure, start, doctor, folder } = await setUp(t);
    await configure();
    await start();
    await configure({ data_dir: join(folder, "elsewhere") });
    assertOne(await doctor(), "problem", /^a Registry Cache with another data folder answers/, /--config/);
  });

  test("a certificate that has expired, one for other names, and one without its authority", async (t) => {
    const { configure, start, doctor, folder } = await setUp(t);
    const write = async ({ cert, key }: { cert: string; key: string }) =>
      await writeFile(join(folder, "tls.pem"), cert + key, { mode: 0o600 });
    const tls = { mode: "files", cert: "tls.pem", key: "tls.pem" };
    await write(selfSignedCertificate(["localhost"], { validDays: [-9, -2] }));
    await configure({ tls, url: "https://cache.example.com" });
    const expired = await doctor({ flags: ["--offline"] });
    assertOne(expired, "problem", /^the certificate has expired on \d{4}-\d\d-\d\d$/, /have it renewed/);
    assertOne(expired, "problem", /^it is not for cache\.example\.com; it is for localhost$/, /`url` and `hostnames`/);
    await write(testAuthority().issue("localhost", ["localhost"], { use: "server", validDays: [-1, 90] }));
    assertOne(
      await doctor({ flags: ["--offline"] }),
      "problem",
      /^its chain ends with CN=localhost, whose authority/,
      /append/,
    );
    await write(selfSignedCertificate(["localhost"], { validDays: [-1, 90] }));
    await configure({ tls, url: "https://localhost:1" });
    await start();
    const right = inArea(await doctor({ flags: ["--offline"] }), "Certificates");
    assert.deepEqual(
      right.map(({ level }) => level),
      ["ok", "ok"],
      JSON.stringify(right),
    );
  });

  test("names that DNS does not know", async (t) => {
    const { configure, doctor } = await setUp(t);
    await configure({ url: "http://localhost:5000", registry: { hostnames: ["hub.cache.invalid"] } });
    const report = await doctor({ flags: ["--offline"] });
    assert.match(inArea(report, "Names")[0]?.message ?? "", /^localhost leads here \(/);
    assertOne(report, "problem", /^hub\.cache\.invalid is a name that DNS does not know$/, /add it to DNS/);
  });

  test("a name that leads elsewhere", { skip: NO_MOUNTS }, async (t) => {
    const { configure, doctor, folder } = await setUp(t);
    await writeFile(join(folder, "hosts"), "192.0.2.7 hub.cache.test\n127.0.0.1 localhost\n");
    await configure({ registry: { hostnames: ["hub.cache.test"] } });
    const before = `mount --bind ${folder}/hosts /etc/hosts`;
    const elsewhere = await doctor({ flags: ["--offline"], before });
    assertOne(
      elsewhere,
      "warning",
      /^hub\.cache\.test leads to 192\.0\.2\.7, which is not this machine and does not answer/,
      /trusted_proxies/,
    );
    await configure({ registry: { hostnames: ["hub.cache.test"] }, trusted_proxies: ["192.0.2.0/24"] });
    const trusted = await doctor({ flags: ["--offline"], before });
    assert.deepEqual(inArea(trusted, "Names"), [
      { area: "Names", level: "ok", message: "hub.cache.test leads here (192.0.2.7)" },
    ]);
  });

  test(
    "a data folder that cannot be written, one that is not there, and one without room",
    { skip: NO_MOUNTS },
    async (t) => {
      const { configure, doctor, folder } = await setUp(t);
      const data = join(folder, "data");
      await configure();
      assertOne(
        await doctor({ flags: ["--offline"] }),
        "problem",
        /data is not there$/,
        /start the cache, which makes it/,
      );
      await mkdir(data);
      const before = `mount -t tmpfs -o ro,size=1m none ${data}`;
      assertOne(
        await doctor({ flags: ["--offline"], before }),
        "problem",
        /^the file system of \S+data is read-only$/,
        /mount it for writing/,
      );
      await configure({ min_free_disk: "1000TiB" });
      assertOne(await doctor({ flags: ["--offline"] }), "problem", /^nothing more is kept: /, /make room/);
    },
  );

  test("an upstream that refuses our credentials", async (t) => {
    const { configure, doctor } = await setUp(t, { auth: "bearer", users: { me: "right" } });
    await configure({ registry: { username: "me" } });
    const environment = { REGISTRY_CACHE_DOCKERHUB_PASSWORD: "wrong" };
    assertOne(
      await doctor({ environment }),
      "problem",
      /^docker\.io refuses user or password$/,
      /REGISTRY_CACHE_DOCKERHUB_PASSWORD/,
    );
    const right = await doctor({ environment: { REGISTRY_CACHE_DOCKERHUB_PASSWORD: "right" } });
    assert.match(inArea(right, "Upstreams")[0]?.message ?? "", /^docker\.io takes user and password, in /);
  });

  test("an upstream with little left to pull", async (t) => {
    const { configure, doctor, upstream } = await setUp(t, { auth: "bearer" });
    upstream.addImage("ratelimitpreview/test", "latest");
    const set = { "ratelimit-limit": "100;w=21600", "ratelimit-remaining": "3;w=21600" };
    upstream.script({ path: "ratelimitpreview" }, { kind: "headers", set, times: Infinity });
    await configure();
    assertOne(
      await doctor(),
      "warning",
      /^docker\.io answers, in \d+ ms; 3 of 100 pulls in 6 h are left$/,
      /an account of docker\.io/,
    );
  });

  test("an upstream that is not there", async (t) => {
    const { configure, doctor, upstream } = await setUp(t);
    await configure();
    await upstream.stop();
    assertOne(await doctor(), "problem", /^docker\.io cannot be reached \(ECONNREFUSED\)$/, /firewall/);
  });

  test("a clock that is off by what upstreams say", async (t) => {
    const { configure, doctor, upstream } = await setUp(t);
    await configure();
    const date = new Date(Date.now() - 3_600_000).toUTCString();
    upstream.script({ role: "registry" }, { kind: "headers", set: { date }, times: Infinity });
    assertOne(
      await doctor(),
      "problem",
      /^this machine's clock is (?:59 min 5\d s|1 h|1 h 0 min) ahead of that of upstreams/,
      /timedatectl/,
    );
  });

  test("hosts that pass the cache by are told of to whoever may know", async (t) => {
    const { configure, start, doctor, folder } = await setUp(t);
    await writeFile(join(folder, "users"), "", { mode: 0o600 });
    await configure({ access: { basic: { htpasswd: "users" } } });
    await start();
    const [clients] = inArea(await doctor({ flags: ["--offline"] }), "Clients");
    assert.equal(clients?.level, "skipped");
  });

  test("options of clients are no options of the server, and a configuration that is wrong ends with 2", async (t) => {
    const { configure, doctor } = await setUp(t);
    await configure();
    await assert.rejects(doctor({ flags: ["--image", "alpine"] }), /error: such options belong to a client/);
    await configure({ listen: "nonsense" });
    await assert.rejects(doctor(), /error: .*listen/s);
  });
});
