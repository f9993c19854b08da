import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { describe, test } from "node:test";
import { testConfig, testRegistry } from "../../test/support/cache.ts";
import { selfSignedCertificate, testAuthority } from "../../test/support/certificate.ts";
import type { Trial } from "../upstream/trial.ts";
import { type AtAddress, judgeAddress } from "./addresses.ts";
import {
  judgeChain,
  judgeClientAuthorities,
  judgeNames,
  judgeRenewal,
  judgeRevocations,
  judgeShown,
  judgeValidity,
} from "./certificates.ts";
import { judgeClock } from "./clock.ts";
import { type Disk, judgeDataFolder, judgeDisk } from "./disk.ts";
import type { Finding } from "./finding.ts";
import { judgeName } from "./host-names.ts";
import { judgeMachine } from "./machine.ts";
import { judgeBypassing } from "./running.ts";
import { judgeUpstream, judgeUpstreams, proxyFor } from "./upstreams.ts";
import { dataMark, whoAnswered, whoWeAre } from "./who.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
const NOW_MS = Date.now();
const OWN = { version: "1.0.0", data: "0123456789ab" };

/** As people read them. */
function told(findings: Finding | readonly Finding[]): string[] {
  const all = Array.isArray(findings) ? (findings as readonly Finding[]) : [findings as Finding];
  for (const { level, fix } of all) assert.equal(fix !== undefined, level === "warning" || level === "problem");
  return all.map(({ level, message }) => `${level}: ${message}`);
}

function read(pem: { readonly cert: string }): X509Certificate {
  return new X509Certificate(pem.cert);
}

describe("addresses", () => {
  const at = (answered: AtAddress["answered"], obstacle?: string) =>
    told(judgeAddress({ address: "10.0.0.1:443", answered, obstacle }, OWN));

  for (const [title, found, expected] of [
    ["this cache", at({ kind: "cache", who: OWN, certificate: undefined }), ["ok: 10.0.0.1:443: this cache answers"]],
    [
      "an older one",
      at({ kind: "cache", who: { ...OWN, version: "0.9.0" }, certificate: undefined }),
      [
        "ok: 10.0.0.1:443: this cache answers",
        "warning: version 0.9.0 runs at 10.0.0.1:443, and this program is 1.0.0",
      ],
    ],
    [
      "another one",
      at({ kind: "cache", who: { ...OWN, data: "ba9876543210" }, certificate: undefined }),
      ["problem: a Registry Cache with another data folder answers at 10.0.0.1:443"],
    ],
    [
      "another program",
      at({ kind: "other", what: "HTTP 404 from nginx" }),
      ["problem: another program answers at 10.0.0.1:443: HTTP 404 from nginx"],
    ],
    [
      "one that does not say which it is",
      at({ kind: "older" }),
      ["warning: what answers at 10.0.0.1:443 is like a cache of another version"],
    ],
    ["nobody", at({ kind: "nobody", code: "ECONNREFUSED" }), ["problem: nothing listens on 10.0.0.1:443"]],
    [
      "somebody mute",
      at({ kind: "nobody", code: "ETIMEDOUT" }, "EADDRINUSE"),
      ["problem: something listens on 10.0.0.1:443 and does not answer (ETIMEDOUT)"],
    ],
    [
      "a port that is not ours to have",
      at({ kind: "nobody", code: "ECONNREFUSED" }, "EACCES"),
      ["problem: this user may not listen on 10.0.0.1:443"],
    ],
    [
      "no address of ours",
      at({ kind: "nobody", code: "ECONNREFUSED" }, "EADDRNOTAVAIL"),
      ["problem: 10.0.0.1:443 is no address of this machine"],
    ],
    [
      "a name that leads nowhere",
      at({ kind: "nobody", code: "ENOTFOUND" }, "ENOTFOUND"),
      ["problem: nothing can listen on 10.0.0.1:443 (ENOTFOUND)"],
    ],
  ] as const) {
    test(title, () => assert.deepEqual(found, expected));
  }

  test("what says who answers is read back, and nothing else is taken for it", () => {
    const header = whoWeAre("/data")["Registry-Cache"] ?? "";
    assert.equal(whoAnswered({ "registry-cache": header })?.data, dataMark("/data"));
    assert.notEqual(dataMark("/data"), dataMark("/data2"));
    for (const other of [undefined, "", "version=1", "version=1; data=xyz", `${header}; more`]) {
      assert.equal(whoAnswered(other === undefined ? {} : { "registry-cache": other }), undefined);
    }
  });
});

describe("certificates", () => {
  const validity = (...validDays: [number, number]) => {
    const [finding] = told(judgeValidity(read(selfSignedCertificate(["a.test"], { validDays })), "it", NOW_MS, "fix"));
    return finding?.replace(/\d{4}-\d\d-\d\d/, "DAY") ?? "";
  };

  test("how long one is valid", () => {
    assert.match(validity(-1, 90), /^ok: it is valid until DAY, for (?:89|90) days$/);
    assert.match(validity(-80, 10), /^warning: it expires on DAY, in (?:9|10) days$/);
    // Step-CA's live for a day, of which a third is left in the end.
    assert.match(validity(-0.1, 0.9), /^ok: it is valid until DAY, for 21 h/);
    assert.match(validity(-0.9, 0.1), /^warning: it expires on DAY, in 2 h/);
    assert.match(validity(-90, -1), /^problem: it has expired on DAY$/);
    assert.match(validity(3.5, 90), /^problem: it is not valid before DAY, in 3 days$/);
  });

  const root = testAuthority("root");
  const server = root.issue("a.test", ["a.test", "b.test"], { use: "server", validDays: [-60, 1] });

  test("chains", () => {
    assert.deepEqual(judgeChain([selfSignedCertificate().cert], []), []);
    assert.deepEqual(judgeChain([server.cert, root.cert], []), []);
    assert.deepEqual(told(judgeChain([server.cert], [root.cert])), ["ok: its chain is whole"]);
    assert.match(
      told(judgeChain([server.cert], []))[0] ?? "",
      /^problem: its chain ends with CN=a\.test, whose authority/,
    );
    assert.deepEqual(told(judgeChain([server.cert, selfSignedCertificate().cert], [])), [
      "problem: certificate 2 in its file has not signed the one before it",
    ]);
  });

  test("names", () => {
    assert.deepEqual(judgeNames(read(server), []), []);
    assert.deepEqual(told(judgeNames(read(server), ["a.test"])), ["ok: it is for a.test that clients use"]);
    assert.deepEqual(told(judgeNames(read(server), ["a.test", "b.test"])), [
      "ok: it is for all 2 names that clients use",
    ]);
    assert.deepEqual(told(judgeNames(read(server), ["a.test", "c.test", "10.0.0.1"])), [
      "problem: it is not for c.test, 10.0.0.1; it is for a.test, b.test",
    ]);
    assert.deepEqual(told(judgeNames(read(selfSignedCertificate(["10.0.0.1"])), ["10.0.0.1"])), [
      "ok: it is for 10.0.0.1 that clients use",
    ]);
  });

  test("a renewal that is late", () => {
    assert.deepEqual(judgeRenewal(selfSignedCertificate([], { validDays: [-30, 60] }).cert, NOW_MS), []);
    // Due, and perhaps under way.
    assert.deepEqual(judgeRenewal(selfSignedCertificate([], { validDays: [-60.5, 29.5] }).cert, NOW_MS), []);
    assert.match(
      told(judgeRenewal(selfSignedCertificate([], { validDays: [-70, 20] }).cert, NOW_MS))[0] ?? "",
      /^warning: it should have been renewed/,
    );
  });

  test("what the running cache shows", () => {
    const cert = read(server);
    assert.deepEqual(judgeShown([], cert), []);
    assert.deepEqual(judgeShown([cert.fingerprint256], cert), []);
    assert.match(told(judgeShown(["AB:CD"], cert))[0] ?? "", /^warning: the running cache shows another/);
  });

  test("what clients are judged by", async () => {
    const found = told(await judgeClientAuthorities(root.cert, root.revocations([]), NOW_MS));
    assert.match(found[0] ?? "", /^ok: the authority of clients \(CN=root\) is valid until/);
    assert.match(found[1] ?? "", /^warning: the list of revoked certificates is good for/);
    assert.match(told(judgeRevocations(NOW_MS + 30 * DAY_MS, NOW_MS))[0] ?? "", /^ok: /);
    assert.match(
      told(judgeRevocations(NOW_MS - 1, NOW_MS))[0] ?? "",
      /^problem: .* no client certificate is accepted$/,
    );
  });
});

describe("names", () => {
  const leads = { name: "c.test", addresses: ["192.0.2.1"], own: [], answered: undefined };
  const cache = (data: string) => ({ kind: "cache", who: { ...OWN, data }, certificate: undefined }) as const;

  for (const [found, expected] of [
    [{ ...leads, addresses: [] }, "problem: c.test is a name that DNS does not know"],
    [{ ...leads, own: ["192.0.2.1"] }, "ok: c.test leads here (192.0.2.1)"],
    [{ ...leads, answered: cache(OWN.data) }, "ok: c.test leads to 192.0.2.1, where this cache answers"],
    [
      { ...leads, answered: cache("ba9876543210") },
      "problem: c.test leads to 192.0.2.1, where another Registry Cache answers",
    ],
    [
      { ...leads, answered: { kind: "other", what: "HTTP 404" } as const },
      "problem: c.test leads to 192.0.2.1, where another program answers",
    ],
    [
      { ...leads, answered: { kind: "nobody", code: "ETIMEDOUT" } as const },
      "warning: c.test leads to 192.0.2.1, which is not this machine and does not answer (ETIMEDOUT)",
    ],
  ] as const) {
    test(expected, () => assert.deepEqual(told(judgeName(found, OWN)), [expected]));
  }
});

describe("the data folder", () => {
  const GIB = 1024 ** 3;
  const disk: Disk = { freeBytes: 50 * GIB, sizeBytes: 100 * GIB, freeFiles: 1e6, files: 2e6, type: 0xef53 };
  const folder = { path: "/data", obstacle: undefined, disk, strangers: [], owner: 1000 };
  const room = "ok: 50 GiB of 100 GiB are free, of which 1.0 GiB are left free (min_free_disk)";

  test("all well", () => {
    assert.deepEqual(told(judgeDataFolder(folder, GIB)), ["ok: /data can be written", room]);
    // Btrfs has no limit of files.
    assert.deepEqual(told(judgeDisk({ ...disk, files: 0, freeFiles: 0 }, GIB)), [room]);
  });

  for (const [code, expected] of [
    ["ENOENT", "/data is not there"],
    ["EACCES", "this user may not write /data"],
    ["EPERM", "this user may not write /data"],
    ["EROFS", "the file system of /data is read-only"],
    ["ENOSPC", "no room is left for /data"],
    ["EIO", "/data cannot be written (EIO)"],
  ] as const) {
    test(code, () =>
      assert.deepEqual(told(judgeDataFolder({ ...folder, disk: undefined, obstacle: code }, GIB)), [
        `problem: ${expected}`,
      ]),
    );
  }

  test("files of somebody else", () => {
    const found = told(judgeDataFolder({ ...folder, strangers: ["catalog.sqlite", "docker"] }, GIB));
    assert.equal(found[1], "problem: catalog.sqlite, docker in it belong to another user than the folder does");
  });

  test("little room", () => {
    const at = (freeBytes: number) => told(judgeDisk({ ...disk, freeBytes }, GIB))[0] ?? "";
    assert.match(at(GIB), /^problem: nothing more is kept: 1\.0 GiB of 100 GiB/);
    assert.match(at(1.5 * GIB), /^warning: soon nothing more is kept/);
    const files = (freeFiles: number) => told(judgeDisk({ ...disk, freeFiles }, GIB))[1];
    assert.equal(files(0), "problem: its file system has no room for another file (inodes)");
    assert.equal(files(5), "warning: its file system has room for 5 files (inodes)");
  });

  for (const [type, expected] of [
    [0x6969, /^warning: it lies on NFS/],
    [0xfe534d42, /^warning: it lies on SMB/],
    [0x01021994, /^warning: it lies in memory \(tmpfs\): all is lost/],
    [0x794c7630, /^warning: it lies in a container's own layer/],
  ] as const) {
    test(String(expected), () => assert.match(told(judgeDisk({ ...disk, type }, GIB))[1] ?? "", expected));
  }
});

describe("upstreams", () => {
  const registry = testRegistry("https://registry.test");
  const trial: Trial = { verdict: "reached", message: "docker.io answers", quota: undefined, clock: undefined };
  const tried = (differs: Partial<Trial>, proxy?: string) => ({
    registry,
    trial: { ...trial, ...differs },
    tookMs: 42,
    proxy,
  });
  const quota = (remaining: number) => ({ limit: 100, remaining, windowS: 21_600 });

  for (const [found, expected] of [
    [tried({}), "ok: docker.io answers, in 42 ms"],
    [tried({}, "http://proxy.test:3128"), "ok: docker.io answers, in 42 ms through the proxy http://proxy.test:3128"],
    [tried({ quota: quota(80) }), "ok: docker.io answers, in 42 ms; 80 of 100 pulls in 6 h are left"],
    [tried({ quota: quota(9) }), "warning: docker.io answers, in 42 ms; 9 of 100 pulls in 6 h are left"],
    [tried({ quota: quota(0) }), "problem: docker.io answers, in 42 ms; 0 of 100 pulls in 6 h are left"],
    [
      tried({ verdict: "refused", message: "docker.io refuses user or password" }),
      "problem: docker.io refuses user or password",
    ],
    [
      tried({ verdict: "unreachable", message: "docker.io cannot be reached (ENOTFOUND)" }),
      "problem: docker.io cannot be reached (ENOTFOUND)",
    ],
    [
      tried({
        verdict: "distrusted",
        message: "the TLS certificate of docker.io is not trusted (CODE); `ca:` names a file",
      }),
      "problem: the TLS certificate of docker.io is not trusted (CODE)",
    ],
    [
      tried({ verdict: "failed", message: "docker.io could not be asked: it answers with 503" }),
      "problem: docker.io could not be asked: it answers with 503",
    ],
  ] as const) {
    test(expected, () => assert.deepEqual(told(judgeUpstream(found)), [expected]));
  }

  test("what all have in common is said once", () => {
    const away = ["docker.io", "ghcr.io", "quay.io"].map((serves) => ({
      ...tried({ verdict: "unreachable", message: `${serves} cannot be reached (ENOTFOUND)` }),
      registry: testRegistry("https://registry.test", { id: serves, serves }),
    }));
    assert.deepEqual(told(judgeUpstreams(away)), [
      "problem: docker.io, ghcr.io, quay.io: each cannot be reached (ENOTFOUND)",
    ]);
    assert.equal(judgeUpstreams(away.slice(1)).length, 2);
  });

  for (const [upstream, noProxy, expected] of [
    ["https://registry.test", "", "http://proxy.test:3128"],
    ["https://registry.test", "other.test", "http://proxy.test:3128"],
    ["https://registry.test", "registry.test", undefined],
    ["https://a.registry.test", ".registry.test", undefined],
    ["https://registry.test", "*", undefined],
    ["https://127.0.0.1:5000", "", undefined],
    ["http://registry.test", "", undefined],
  ] as const) {
    test(`${upstream} goes ${expected === undefined ? "directly" : "by the proxy"} with NO_PROXY=${noProxy}`, () => {
      const proxy = { httpProxy: "", httpsProxy: "http://me:secret@proxy.test:3128", noProxy };
      assert.equal(proxyFor({ upstream }, testConfig("/data", [], { proxy })), expected);
    });
  }
});

describe("clock, machine and clients", () => {
  const clocks = (...aheadS: number[]) => aheadS.map((s) => ({ oursMs: NOW_MS + s * 1000, theirsMs: NOW_MS }));

  test("the clock, by the middle of what upstreams say", () => {
    assert.deepEqual(told(judgeClock([])), ["skipped: no upstream has told the time"]);
    assert.deepEqual(told(judgeClock([undefined, ...clocks(1, 2, 7200)])), [
      "ok: this machine's clock agrees with that of upstreams",
    ]);
    assert.deepEqual(told(judgeClock(clocks(-60))), [
      "warning: this machine's clock is 1 min behind that of upstreams",
    ]);
    assert.match(
      told(judgeClock(clocks(7200, 7200, 0)))[0] ?? "",
      /^problem: this machine's clock is 2 h ahead of that of upstreams/,
    );
  });

  test("the machine", () => {
    const machine = { openFilesMax: 65_536, isOfCache: true, cores: 4, workers: 1, memoryBytes: 2 * 1024 ** 3 };
    assert.deepEqual(told(judgeMachine(machine)), [
      "ok: the running cache may have 65536 files and connections open",
      "ok: 2.0 GiB of memory for one process, on 4 cores",
    ]);
    assert.deepEqual(told(judgeMachine({ ...machine, openFilesMax: 1024, isOfCache: false, workers: 16, cores: 1 })), [
      "warning: this shell may have 1024 files and connections open at once",
      "warning: 2.0 GiB of memory for 16 workers, on 1 core",
    ]);
    assert.equal(judgeMachine({ ...machine, openFilesMax: undefined }).length, 1);
    assert.match(told(judgeMachine({ ...machine, openFilesMax: Infinity }))[0] ?? "", /any number of files/);
  });

  test("hosts that pass the cache by", () => {
    const host = (n: number) => ({ client: `10.0.0.${n}`, userAgent: "docker/28", challenges: 3, lastAt: "" });
    assert.deepEqual(told(judgeBypassing([])), ["ok: no host that was asked who it is has stayed away"]);
    assert.match(told(judgeBypassing([host(1)]))[0] ?? "", /^warning: 10\.0\.0\.1 was asked 3 times .*\(docker\/28\)$/);
    assert.equal(
      told(judgeBypassing(Array.from({ length: 9 }, (_, n) => host(n)))).at(-1),
      "warning: 4 more hosts as well",
    );
  });
});
