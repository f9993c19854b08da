import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { StatusAnswer } from "../admin/api/answers.ts";
import { statusLine, statusLines } from "./status-text.ts";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const NONE = {
  hit: 0,
  revalidated: 0,
  stale: 0,
  miss: 0,
  joined: 0,
  quarantined: 0,
  unkept: 0,
  refused: 0,
  failed: 0,
  other: 0,
};

function counts(hit: number, miss: number, pulls = 0, pullsSaved = 0): StatusAnswer["counts"] {
  return {
    requests: NONE,
    bytesServed: { ...NONE, hit, miss },
    bytesSaved: hit,
    bytesFetched: miss,
    pulls,
    pullsSaved,
    fills: { begun: 0, done: 0, failed: 0, unkept: 0, paused: 0 },
    evictions: 0,
    bytesEvicted: 0,
  };
}

type Registry = StatusAnswer["registries"][number];
const IDLE = { running: 0, waiting: 0 };
const AVAILABLE: Registry["upstream"] = { state: "available", questions: IDLE, transfers: IDLE, bytesPerSecond: 0 };

function registry(id: string, differs: Partial<Registry> = {}): Registry {
  return { id, serves: `${id}.example`, heldBytes: 0, upstream: AVAILABLE, counts: counts(0, 0), ...differs };
}

type Fill = StatusAnswer["activity"]["fills"][number];

function fill(repository: string, differs: Partial<Fill> = {}): Fill {
  return {
    digest: `sha256:${"0123456789abcdef".repeat(4)}`,
    repository,
    registry: "dockerhub",
    state: "filling",
    bytes: 12 * MIB,
    size: 48 * MIB,
    bytesPerSecond: 3 * MIB,
    readers: 2,
    since: "2026-11-26T12:00:00.000Z",
    ...differs,
  };
}

const BUSY: StatusAnswer = {
  version: "1.2.3",
  startedAt: "2026-11-26T08:40:00.000Z",
  now: "2026-11-26T12:00:00.000Z",
  uptimeSeconds: 12_000,
  held: { bytes: 12 * GIB, partialBytes: 3 * MIB, maxBytes: 24 * GIB },
  disk: { freeBytes: 88 * GIB, totalBytes: 200 * GIB, minFreeBytes: 5 * GIB },
  registries: [
    registry("dockerhub", {
      heldBytes: 10 * GIB,
      maxBytes: 20 * GIB,
      counts: counts(94 * GIB, 6 * GIB, 1_234, 1_100),
      upstream: {
        ...AVAILABLE,
        bytesPerSecond: 3 * MIB,
        quota: {
          limit: 200,
          remaining: 184,
          windowSeconds: 21_600,
          seenAt: "2026-11-26T12:00:00.000Z",
          verdict: "plenty",
        },
      },
    }),
    registry("ghcr", { heldBytes: 2 * GIB, upstream: { ...AVAILABLE, state: "broken", askedAgainInSeconds: 12 } }),
    registry("quay"),
  ],
  counts: counts(94 * GIB, 6 * GIB, 1_234, 1_100),
  activity: {
    fills: [
      fill("docker.io/library/nginx"),
      fill("docker.io/library/postgres-with-a-long-name", { size: undefined, state: "waiting" }),
    ],
    fillCount: 2,
    stored: [],
    storedReaders: 10,
    openRequests: 20,
    connections: 33,
  },
};

suite("how the cache is", () => {
  test("on a terminal of 80 columns", () => {
    assert.equal(
      statusLines(BUSY, { width: 79 }).join("\n"),
      `\
Registry Cache 1.2.3, up 3 h 20 min
held    12 GiB of 24 GiB  [==========          ], and 3.0 MiB unfinished
disk    88 GiB of 200 GiB free, of which 5.0 GiB stay free
served  100 GiB, of which 94% from the cache
pulls   1234, of which 1100 without upstream
now     2 fills at 6.0 MiB/s, 14 readers, 20 requests, 33 connections

REGISTRY               HELD   SERVED  SAVED  PULLS        LEFT  UPSTREAM
dockerhub  10 GiB of 20 GiB  100 GiB    94%   1234  184 of 200  available
ghcr                2.0 GiB      0 B      -      0           -  broken (12 s)
quay                    0 B      0 B      -      0           -  available

FILL                    PROGRESS                      BYTES       RATE  READERS
.../nginx@0123456789ab  [==        ]  25%  12 MiB of 48 MiB  3.0 MiB/s        2
...g-name@0123456789ab  waiting                      12 MiB  3.0 MiB/s        2`,
    );
  });

  test("on a terminal of few lines, lists are cut and say so", () => {
    const many = Array.from({ length: 30 }, (_, at) => registry(`registry-${at}`));
    const fills = Array.from({ length: 30 }, () => fill("docker.io/library/nginx"));
    const activity = { ...BUSY.activity, fills, fillCount: 30 };
    for (const height of [10, 16, 23, 40]) {
      const lines = statusLines({ ...BUSY, registries: many, activity }, { width: 79, height });
      assert.ok(lines.length <= height, `${lines.length} lines for ${height}`);
      assert.ok(lines.every((line) => line.length <= 79));
      if (height < 16) continue;
      assert.ok(
        lines.some((line) => /^\.\.\. \d+ more registries$/.test(line)),
        lines.join("\n"),
      );
      assert.ok(
        lines.some((line) => /^\.\.\. \d+ more fills$/.test(line)),
        lines.join("\n"),
      );
    }
  });

  test("registries that hold nothing and were asked for nothing share a line", () => {
    const broken = registry("gcr", { upstream: { ...AVAILABLE, state: "broken" } });
    const registries = [...BUSY.registries, registry("nvcr"), broken];
    const lines = statusLines({ ...BUSY, registries }, { width: 79 });
    const at = lines.findIndex((line) => line.startsWith("REGISTRY"));
    assert.deepEqual(
      lines.slice(at + 1, at + 5).map((line) => line.split("  ")[0]),
      ["dockerhub", "ghcr", "gcr", "unused: quay, nvcr"],
    );
    const one = statusLines({ ...BUSY, registries: BUSY.registries }, { width: 79 });
    assert.ok(one.some((line) => line.startsWith("quay ")));
  });

  test("before anything has happened", () => {
    const activity = { fills: [], fillCount: 0, stored: [], storedReaders: 0, openRequests: 1, connections: 1 };
    const { disk: _, ...rest } = BUSY;
    const quiet = { ...rest, uptimeSeconds: 0, held: { bytes: 0, partialBytes: 0 }, registries: [registry("quay")] };
    assert.equal(
      statusLines({ ...quiet, counts: counts(0, 0), activity }, { width: undefined }).join("\n"),
      `\
Registry Cache 1.2.3, up 0 ms
held    0 B
served  0 B, of which - from the cache
pulls   0, of which 0 without upstream
now     0 fills at 0 B/s, 0 readers, 1 request, 1 connection

REGISTRY  HELD  SERVED  SAVED  PULLS  LEFT  UPSTREAM
quay       0 B     0 B      -      0     -  available`,
    );
  });

  test("what cannot be kept says so, and how far it is", () => {
    const activity = { ...BUSY.activity, fills: [fill("docker.io/library/big", { state: "unkept" })], fillCount: 1 };
    assert.match(
      statusLines({ ...BUSY, activity }, { width: undefined }).at(-1) ?? "",
      /library\/big@0123456789ab  not kept      25%  12 MiB of 48 MiB /,
    );
  });

  test("what no image has is told where there is any", () => {
    const held = { bytes: 2 * GIB, partialBytes: 0, imagelessBytes: 300 * MIB };
    assert.equal(
      statusLines({ ...BUSY, held }, { width: undefined })[1],
      "held    2.0 GiB; 300 MiB belong to no image",
    );
  });

  test("in one line, where there is no terminal", () => {
    assert.equal(
      statusLine(BUSY),
      "2026-11-26T12:00:00.000Z  held 12 GiB  served 100 GiB  saved 94%  fills 2 at 6.0 MiB/s  requests 20  unavailable ghcr",
    );
  });
});
