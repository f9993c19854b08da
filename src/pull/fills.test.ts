import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { repo } from "../../test/contracts/store.ts";
import { testRegistry } from "../../test/support/cache.ts";
import { seededBytes, sha256 } from "../../test/support/bytes.ts";
import { type Behaviour, gate, type ScriptedBlob, scriptedBlob, SILENT } from "../../test/support/scripted-blob.ts";
import { readingOf } from "../../test/support/damage.ts";
import { tempDir } from "../../test/support/temp.ts";
import { openSqliteCatalog, IN_MEMORY } from "../catalog/sqlite.ts";
import { openFilesystemStore } from "../store/filesystem.ts";
import { NoRoomError } from "../store/store.ts";
import { type Upstream, UpstreamError } from "../upstream/upstream.ts";
import { ChunkCache } from "./chunks.ts";
import { Fills } from "./fills.ts";
import { Held } from "./held.ts";
import { pullRegistries } from "./registries.ts";
import { Room } from "./room.ts";
import { StoredBlobs } from "./stored-blobs.ts";

const A = { ...repo("library/a"), registryId: "dockerhub" };
const B = { ...repo("library/b"), registryId: "dockerhub" };
const HAS_IT = async () => undefined;
const PATIENT = new AbortController().signal;

interface Blob {
  readonly bytes: Buffer;
  readonly digest: ReturnType<typeof sha256>;
  readonly upstream: ScriptedBlob;
}

function blob(seed: string, ...script: Behaviour[]): Blob {
  const bytes = seededBytes(300_000, seed);
  return { bytes, digest: sha256(bytes), upstream: scriptedBlob(bytes, ...script) };
}

/** One that stops at its first byte until the gate opens. */
function held(seed: string): Blob & { rest: ReturnType<typeof gate> } {
  const rest = gate();
  return { rest, ...blob(seed, { before: async (at) => (at > 0 ? await rest.promise : undefined) }, {}) };
}

async function setUp(
  t: TestContext,
  places: number | { fillsMax: number; transfersMax: number },
  ...blobs: readonly Blob[]
) {
  const { fillsMax, transfersMax } = typeof places === "number" ? { fillsMax: places, transfersMax: 16 } : places;
  const dataDir = await tempDir(t);
  const store = await openFilesystemStore({ dataDir, minFreeDiskBytes: 0 });
  const catalog = await openSqliteCatalog(IN_MEMORY);
  t.after(async () => await catalog.close());
  const upstream: Pick<Upstream, "openBlob" | "credentialIdFor" | "forTransfer"> = {
    credentialIdFor: () => undefined,
    forTransfer: () => upstream,
    openBlob: async (_, digest, range, signal) => {
      const found = blobs.find((one) => one.digest === digest);
      if (found === undefined) throw new UpstreamError("not-found", "no such blob");
      return await found.upstream.open(range, signal);
    },
  };
  const registries = pullRegistries(
    [testRegistry("http://fake.test", { transfersMax })],
    new Map([["dockerhub", upstream as Upstream]]),
    () => () => true,
  );
  const chunks = new ChunkCache();
  const room = new Room({ store, catalog, budgets: { all: undefined, byRegistry: new Map() } });
  const heard: string[] = [];
  const fills = new Fills({
    store,
    chunks,
    room,
    blobs: new StoredBlobs({ store: readingOf(store), chunks, log: SILENT }),
    held: new Held({ store, catalog, room, shares: () => true, log: SILENT }),
    onStored: () => undefined,
    onUnlinked: async () => assert.fail("it could be linked"),
    registries,
    fillsMax,
    log: SILENT,
    onFill: (registryId, how) => void heard.push(`${registryId} ${how}`),
  });
  const spooled = async () => (await readdir(join(dataDir, "spool"))).filter((name) => !name.endsWith(".json"));
  return { fills, store, spooled, heard };
}

async function begun(fill: { writtenBytes: number; changed(signal: AbortSignal): Promise<void> }): Promise<void> {
  while (fill.writtenBytes === 0) await fill.changed(PATIENT);
}

test("a running fill is found by its digest, and forgotten when it has ended", async (t) => {
  const one = held("found");
  const { fills } = await setUp(t, 2, one);
  assert.equal(fills.find(one.digest), undefined);
  const fill = fills.start(A, one.digest, undefined, HAS_IT);
  assert.equal(fills.find(one.digest), fill);
  assert.deepEqual([fills.isFrom(fill, A), fills.isFor(fill, A)], [true, true]);
  assert.deepEqual([fills.isFrom(fill, B), fills.isFor(fill, B)], [false, false]);
  fills.alsoFor(fill, B);
  assert.deepEqual([fills.isFrom(fill, B), fills.isFor(fill, B)], [false, true]);
  one.rest.open();
  await fills.idle();
  assert.equal(fills.find(one.digest), undefined);
});

test("a fill that has ended is found no more while its spool is being closed", async (t) => {
  const one = blob("closing");
  const { fills, store } = await setUp(t, 2, one);
  const [closing, closed] = [gate(), gate()];
  const openSpool = store.openSpool.bind(store);
  t.mock.method(store, "openSpool", async (...its: Parameters<typeof openSpool>) => {
    const spool = await openSpool(...its);
    const close = spool.close.bind(spool);
    t.mock.method(spool, "close", async () => {
      closing.open();
      await closed.promise;
      await close();
    });
    return spool;
  });
  fills.start(A, one.digest, undefined, HAS_IT);
  await closing.promise;
  assert.equal(fills.find(one.digest), undefined);
  assert.equal(await store.statBlob(one.digest), one.bytes.length);
  closed.open();
  await fills.idle();
});

test("all who asked are linked when it is committed", async (t) => {
  const one = held("linked");
  const { fills, store } = await setUp(t, 2, one);
  fills.alsoFor(fills.start(A, one.digest, undefined, HAS_IT), B);
  one.rest.open();
  await fills.idle();
  for (const repository of [A, B]) assert.equal(await store.hasLink("layer", repository, one.digest), true);
});

test("the oldest idle fill is paused for one that somebody waits for; one that is read never is", async (t) => {
  const [read, oldest, newest, wanted] = [held("read"), held("oldest"), held("newest"), blob("wanted")];
  const { fills, spooled } = await setUp(t, 3, read, oldest, newest, wanted);
  const now = t.mock.method(Date, "now", () => 1);
  const running = [read, oldest, newest].map(({ digest }) => fills.start(A, digest, undefined, HAS_IT));
  for (const [index, fill] of running.entries()) {
    fill.join();
    await begun(fill);
    now.mock.mockImplementation(() => 2 + index);
    if (index > 0) await fill.leave();
  }
  await fills.start(A, wanted.digest, undefined, HAS_IT).ended;
  assert.deepEqual(
    running.map((fill) => fill.state.kind),
    ["filling", "failed", "filling"],
  );
  assert.deepEqual(fills.find(oldest.digest), undefined);
  assert.ok((await spooled()).includes(oldest.digest.replace(":", "-")), "it is a partial");
  read.rest.open();
  newest.rest.open();
  await fills.idle();
  await running[0]?.leave();
});

test("with every place read, the next one waits until one ends", async (t) => {
  const [first, second] = [held("first"), blob("second")];
  const { fills } = await setUp(t, 1, first, second);
  const running = fills.start(A, first.digest, undefined, HAS_IT);
  running.join();
  await begun(running);
  const waiting = fills.start(A, second.digest, undefined, HAS_IT);
  assert.equal(fills.find(second.digest), waiting, "others join it while it waits");
  await new Promise(setImmediate);
  assert.equal(second.upstream.asked.length, 0);
  first.rest.open();
  await waiting.ended;
  assert.equal(waiting.state.kind, "verified");
  await running.leave();
});

test("whoever comes while a fill is being paused gets a new one, which goes on where the old one stood", async (t) => {
  const one = held("pausing");
  const { fills, store } = await setUp(t, 2, one);
  const old = fills.start(A, one.digest, one.bytes.length, HAS_IT);
  await begun(old);
  const pausing = old.pause("for the test");
  assert.equal(fills.find(one.digest), undefined);
  const next = fills.start(A, one.digest, one.bytes.length, HAS_IT);
  one.rest.open();
  await Promise.all([pausing, next.ended]);
  assert.equal(next.state.kind, "verified");
  assert.deepEqual(one.upstream.asked, [undefined, { start: old.writtenBytes }]);
  assert.equal(await store.statBlob(one.digest), one.bytes.length);
});

test("stopping keeps partials, ends those that wait, and nothing begins afterwards", async (t) => {
  const [running, waiting] = [held("running"), blob("waiting")];
  const { fills, spooled } = await setUp(t, 1, running, waiting);
  const fill = fills.start(A, running.digest, undefined, HAS_IT);
  fill.join();
  await begun(fill);
  const queued = fills.start(A, waiting.digest, undefined, HAS_IT);
  const stopped = fills.stop();
  running.rest.open();
  await stopped;
  const late = fills.start(A, blob("late").digest, undefined, HAS_IT);
  await late.ended;
  for (const one of [fill, queued, late]) assert.equal(one.state.kind, "failed");
  assert.equal(waiting.upstream.asked.length, 0);
  await fill.leave();
  assert.deepEqual(await spooled(), [running.digest.replace(":", "-")]);
});

test("the places of its upstream count too: an idle fill there is paused although the cache has room for more", async (t) => {
  const [idle, read, wanted] = [held("idle"), held("read"), blob("wanted")];
  const { fills } = await setUp(t, { fillsMax: 32, transfersMax: 2 }, idle, read, wanted);
  const running = [idle, read].map(({ digest }) => fills.start(A, digest, undefined, HAS_IT));
  for (const fill of running) {
    fill.join();
    await begun(fill);
  }
  await running[0]?.leave();
  const next = fills.start(A, wanted.digest, undefined, HAS_IT);
  await next.ended;
  assert.deepEqual(
    [running[0]?.state.kind, running[1]?.state.kind, next.state.kind],
    ["failed", "filling", "verified"],
  );
  read.rest.open();
  await fills.idle();
  await running[1]?.leave();
});

test("what goes on is told: what runs, how far it is, who reads, and what waits for a place", async (t) => {
  const [first, second] = [held("goes on"), blob("waits")];
  const { fills } = await setUp(t, 1, first, second);
  const running = fills.start(A, first.digest, first.bytes.length, HAS_IT);
  running.join();
  await begun(running);
  const waiting = fills.start(B, second.digest, undefined, HAS_IT);
  const [one, other, ...others] = fills.activity();
  assert.ok(one !== undefined && other !== undefined);
  const { bytes, bytesPerSecond, sinceMs, ...its } = one;
  assert.deepEqual(its, {
    digest: first.digest,
    repository: "docker.io/library/a",
    registryId: "dockerhub",
    state: "filling",
    size: first.bytes.length,
    readers: 1,
  });
  assert.ok(bytes > 0 && bytes < first.bytes.length && bytesPerSecond >= 0 && sinceMs <= Date.now());
  assert.deepEqual([other.state, other.bytes, other.readers, others], ["waiting", 0, 0, []]);
  first.rest.open();
  await running.leave();
  await waiting.ended;
  await fills.idle();
  assert.deepEqual(fills.activity(), []);
});

test("each fill is told of when it begins, and how it has ended", async (t) => {
  const [good, paused] = [blob("good"), held("paused")];
  const bad = { ...blob("bad"), digest: sha256(Buffer.from("nobody has it")) };
  const { fills, store, heard } = await setUp(t, 9, good, paused);
  for (const { digest } of [good, bad]) await fills.start(A, digest, undefined, HAS_IT).ended;
  const pausing = fills.start(A, paused.digest, undefined, HAS_IT);
  await begun(pausing);
  await fills.stop();
  await fills.idle();
  assert.deepEqual(
    heard,
    ["begun", "done", "begun", "failed", "begun", "paused"].map((how) => `dockerhub ${how}`),
  );
  assert.equal(await store.statBlob(good.digest), good.bytes.length);
});

test("a fill that the disk has no room for is told of as not kept", async (t) => {
  const one = blob("no room");
  const { fills, store, heard } = await setUp(t, 2, one);
  const openSpool = store.openSpool.bind(store);
  t.mock.method(store, "openSpool", async (...its: Parameters<typeof openSpool>) => {
    const spool = await openSpool(...its);
    t.mock.method(spool, "append", async () => Promise.reject(new NoRoomError("for the test")));
    return spool;
  });
  await fills.start(A, one.digest, undefined, HAS_IT).ended;
  await fills.idle();
  assert.deepEqual(heard, ["dockerhub begun", "dockerhub unkept"]);
});
