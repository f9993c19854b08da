import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { seededBytes } from "../support/bytes.ts";
import type { FakeUpstream } from "../support/fake-upstream.ts";
import { type Bench, type BenchOptions, REPOSITORY, startBench } from "./support/bench.ts";
import { type Ending, pull, told } from "./support/ending.ts";
import { fault, inForm } from "./support/fault.ts";
import { ms } from "./support/figures.ts";
import { assertStoreIsRight } from "./support/stored.ts";

const BLOB_BYTES = 1024 * 1024;
const CLIENTS = inForm({ short: 30, long: 500 });
const TRANSFERS = 10;
const USER = "somebody";
const PASSWORD = "a password of the test";

const BEARER: BenchOptions = { fake: { auth: "bearer", token: { expiresInS: 300 } } };

const tokens = (upstream: FakeUpstream) => upstream.count({ role: "token" });

function addBlobs(upstream: FakeUpstream, url: string, count: number, size: number) {
  return Array.from({ length: count }, (_, index) => {
    const bytes = seededBytes(size, `blob ${index}`);
    const digest = upstream.addBlob(REPOSITORY, bytes);
    return { digest, bytes, url: `${url}/blobs/${digest}` };
  });
}

fault("tokens: many requests need one at once", "one token request, right bytes for all", async (t) => {
  const { upstream, url } = await startBench(t, { fake: { ...BEARER.fake, latencyMs: 20 } });
  const blobs = addBlobs(upstream, url, CLIENTS, 1_000);
  upstream.expireTokens();
  const before = tokens(upstream);
  const endings = await Promise.all(blobs.map(async (one) => await pull(one.url, one.bytes)));
  assert.ok(endings.every(({ how }) => how === "right"));
  assert.equal(tokens(upstream) - before, 1);
  t.show(`${CLIENTS} blobs ${told(endings)} with 1 token`);
});

fault(
  "tokens: expired, and the body broke",
  "the rest is fetched with a new token, one for all; right bytes",
  async (t) => {
    const { upstream, url, dataDir } = await startBench(t, BEARER);
    const blobs = addBlobs(upstream, url, TRANSFERS, BLOB_BYTES);
    const before = tokens(upstream);
    const broken = Promise.withResolvers<void>();
    for (const { digest, bytes } of blobs) {
      upstream.script({ path: digest }, { kind: "answer", handler: (_, res) => half(res, bytes, broken.promise) });
    }
    const pulling = Promise.all(blobs.map(async (one) => await pull(one.url, one.bytes)));
    await upstream.until(() => upstream.count({ path: "/blobs/" }) >= TRANSFERS + 3);
    upstream.expireTokens();
    broken.resolve();
    const endings = await pulling;
    assert.ok(
      endings.every(({ how }) => how === "right"),
      told(endings),
    );
    assert.equal(tokens(upstream) - before, 1);
    t.show(`${TRANSFERS} blobs ${told(endings)}, ${upstream.count({ ranged: true })} requests by Range, 1 new token`);
    await assertStoreIsRight(dataDir);
  },
);

fault(
  "tokens: the credentials are revoked mid-way",
  "what runs is finished; then 403 after one try for a new token, also for held tags that are to be asked for; other held content served",
  async (t) => {
    const users: Record<string, string> = { [USER]: PASSWORD };
    const bench = await startBench(t, {
      fake: { auth: "bearer", users, anonymous: false, token: { expiresInS: 300 } },
      registry: { credentials: { kind: "basic", username: USER, password: PASSWORD } },
    });
    const { upstream, url } = bench;
    const gate = Promise.withResolvers<void>();
    const [running, cut] = addBlobs(upstream, url, 2, BLOB_BYTES) as [Blob, Blob];
    upstream.script({ path: running.digest }, { kind: "hold", atByte: BLOB_BYTES / 2, until: gate.promise });
    upstream.script({ path: cut.digest }, { kind: "answer", handler: (_, res) => half(res, cut.bytes, gate.promise) });
    const pulling = Promise.all([pull(running.url, running.bytes), pull(cut.url, cut.bytes)]);
    await upstream.until(() => upstream.count({ path: running.digest }) + upstream.count({ path: cut.digest }) >= 2);
    delete users[USER];
    upstream.expireTokens();
    gate.resolve();
    const [whole, broken] = await pulling;
    assert.deepEqual([whole.how, broken.how], ["right", "broken off"]);
    t.show(`a running blob ${whole.how}, one whose connection broke ${broken.how}`);
    t.show(await denied(bench));
  },
);

type Blob = ReturnType<typeof addBlobs>[number];

/** All at once, then one alone. */
async function denied({ upstream, url, held, moving }: Bench): Promise<string> {
  const before = tokens(upstream);
  const misses = Array.from({ length: CLIENTS }, (_, index) => `${url}/manifests/cold-${index}`);
  const endings = await Promise.all(misses.map(async (one) => await pull(one, Buffer.alloc(0))));
  assertDenied(endings);
  const forAll = tokens(upstream) - before;
  assert.ok(forAll <= CLIENTS, `${forAll} token requests for ${CLIENTS} questions`);
  const alone = await pull(`${url}/manifests/alone`, Buffer.alloc(0));
  assertDenied([alone, await pull(moving.url, moving.bytes)]);
  assert.ok(tokens(upstream) - before - forAll <= 2, "one try for each of the two");
  for (const one of held) assert.equal((await pull(one.url, one.bytes)).how, "right");
  return `${CLIENTS} misses ${told(endings)} with ${forAll} token requests, one alone after ${ms(alone.afterMs)}`;
}

function assertDenied(endings: readonly Ending[]): void {
  for (const { how } of endings) assert.equal(how, "403 DENIED");
}

/** A body that stands at its half until it is told to break off there. */
async function half(res: ServerResponse, bytes: Uint8Array, breaks: Promise<void>): Promise<void> {
  res.writeHead(200, { "content-length": bytes.length });
  res.write(bytes.subarray(0, bytes.length / 2));
  await breaks;
  res.socket?.destroySoon();
}
