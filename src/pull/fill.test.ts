import assert from "node:assert/strict";
import { readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import { seededBytes, sha256 } from "../../test/support/bytes.ts";
import { drain, fillOf, gate, readerOf, scriptedBlob } from "../../test/support/scripted-blob.ts";
import { tempDir } from "../../test/support/temp.ts";
import { openFilesystemStore } from "../store/filesystem.ts";
import { NoRoomError, type Spool, type Store } from "../store/store.ts";
import { UpstreamError } from "../upstream/upstream.ts";
import { HELD_BACK_BYTES } from "./bytes.ts";
import type { Fill } from "./fill.ts";

const SIZE = 500_000;
const BYTES = seededBytes(SIZE, "fill");
const DIGEST = sha256(BYTES);
const PATIENT = new AbortController().signal;

async function setUp(t: TestContext): Promise<{ store: Store; dataDir: string; spoolFiles: () => Promise<string[]> }> {
  const dataDir = await tempDir(t);
  const store = await openFilesystemStore({ dataDir, minFreeDiskBytes: 0 });
  return { store, dataDir, spoolFiles: async () => await readdir(join(dataDir, "spool")) };
}

/** What a process that was killed left behind. */
async function leavePartial(dataDir: string, bytes: Uint8Array): Promise<void> {
  const path = join(dataDir, "spool", DIGEST.replace(":", "-"));
  await writeFile(`${path}.json`, JSON.stringify({ registryId: "test", repository: "docker.io/app" }));
  await writeFile(path, bytes);
}

async function until(fill: Fill, isSo: () => boolean): Promise<void> {
  while (!isSo()) await fill.changed(PATIENT);
}

/** A store whose spools fail in one thing. */
function failing(
  store: Store,
  differs: Partial<Spool>,
  change?: (spool: Spool) => void,
): (size: number | undefined) => Promise<Spool> {
  return async (size) => {
    const spool = await store.openSpool(DIGEST, { registryId: "test", repository: "docker.io/app", size });
    change?.(spool);
    return new Proxy(spool, {
      get: (target, name) => {
        if (name in differs) return differs[name as keyof Spool];
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });
  };
}

for (const [name, size, visible] of [
  [
    "with a manifest's size, readers see all but the last 64 KiB",
    SIZE,
    (written) => Math.min(written, SIZE - HELD_BACK_BYTES),
  ],
  ["without, they see all but the last 64 KiB of what has come", undefined, (written) => written - HELD_BACK_BYTES],
] as const satisfies readonly [string, number | undefined, (written: number) => number][]) {
  test(`writtenBytes only grows; ${name} until the digest is verified`, async (t) => {
    const { store } = await setUp(t);
    const rest = gate();
    const upstream = scriptedBlob(BYTES, { before: async (at) => (at === SIZE ? await rest.promise : undefined) });
    const fill = fillOf(store, DIGEST, upstream.open, { size });
    fill.join();
    let last = 0;
    await until(fill, () => {
      assert.ok(fill.writtenBytes >= last);
      last = fill.writtenBytes;
      assert.equal(fill.visibleBytes, Math.max(0, visible(fill.writtenBytes)));
      return fill.writtenBytes === SIZE;
    });
    assert.equal(fill.state.kind, "filling");
    assert.equal(fill.visibleBytes, SIZE - HELD_BACK_BYTES);
    rest.open();
    await fill.ended;
    assert.equal(fill.state.kind, "verified");
    assert.equal(fill.visibleBytes, SIZE);
    await fill.leave();
  });
}

test("readers have the first bytes before the disk has, and go on from there when it has no room", async (t) => {
  const { store } = await setUp(t);
  const writing = gate();
  const openSpool = async (size: number | undefined) => {
    const spool = await store.openSpool(DIGEST, { registryId: "test", repository: "docker.io/app", size });
    spool.append = async () => {
      await writing.promise;
      throw Object.assign(new Error("EIO"), { code: "EIO" });
    };
    return spool;
  };
  const upstream = scriptedBlob(BYTES);
  const fill = fillOf(store, DIGEST, upstream.open, { openSpool, size: SIZE });
  const reader = readerOf(fill, SIZE, upstream.open);
  const first = await reader.next(0);
  assert.ok(first !== undefined && first.bytes.length > 0);
  assert.ok(BYTES.subarray(0, first.bytes.length).equals(first.bytes));
  writing.open();
  const other = await drain(readerOf(fill, SIZE, upstream.open), SIZE);
  assert.ok(other.bytes.equals(BYTES));
  await reader.close();
  assert.equal(fill.state.kind, "unkept");
});

test("all of a blob smaller than 64 KiB is held back", async (t) => {
  const { store } = await setUp(t);
  const small = BYTES.subarray(0, HELD_BACK_BYTES);
  const rest = gate();
  const upstream = scriptedBlob(small, {
    before: async (at) => (at === small.length ? await rest.promise : undefined),
  });
  const fill = fillOf(store, sha256(small), upstream.open);
  await until(fill, () => fill.writtenBytes === small.length);
  assert.equal(fill.visibleBytes, 0);
  rest.open();
  await fill.ended;
  assert.equal(fill.visibleBytes, small.length);
});

test("readers see all bytes before the commit is through, and in the order spool, link", async (t) => {
  const { store } = await setUp(t);
  const seen: string[] = [];
  const committing = gate();
  const openSpool = async (size: number | undefined) => {
    const spool = await store.openSpool(DIGEST, { registryId: "test", repository: "docker.io/app", size });
    const commit = spool.commit.bind(spool);
    spool.commit = async () => {
      await committing.promise;
      seen.push(`commit ${await store.statBlob(DIGEST)}`);
      await commit();
    };
    return spool;
  };
  const committed = async (size: number) => void seen.push(`link ${size} ${await store.statBlob(DIGEST)}`);
  const upstream = scriptedBlob(BYTES);
  const fill = fillOf(store, DIGEST, upstream.open, { openSpool, committed });
  const got = await drain(readerOf(fill, SIZE, upstream.open), SIZE);
  assert.ok(got.bytes.equals(BYTES));
  committing.open();
  await fill.ended;
  assert.deepEqual(seen, ["commit undefined", `link ${SIZE} ${SIZE}`]);
});

test("readers in flight survive the commit and the removal of the blob", async (t) => {
  const { store, dataDir } = await setUp(t);
  const upstream = scriptedBlob(BYTES);
  const fill = fillOf(store, DIGEST, upstream.open);
  const reader = readerOf(fill, SIZE, upstream.open);
  await fill.ended;
  await rm(join(dataDir, "docker"), { recursive: true });
  assert.ok((await drain(reader, SIZE)).bytes.equals(BYTES));
});

test("nobody reads: the fill goes on to its end", async (t) => {
  const { store } = await setUp(t);
  const fill = fillOf(store, DIGEST, scriptedBlob(BYTES).open);
  await fill.ended;
  assert.equal(await store.statBlob(DIGEST), SIZE);
});

test("a reader that stalls, one that leaves and one that comes late disturb nobody", async (t) => {
  const { store } = await setUp(t);
  const upstream = scriptedBlob(BYTES);
  const fill = fillOf(store, DIGEST, upstream.open);
  const stalled = readerOf(fill, SIZE, upstream.open);
  (await stalled.next(0))?.release();
  const leaving = new AbortController();
  const left = drain(readerOf(fill, SIZE, upstream.open, { signal: leaving.signal }), SIZE, {
    after: (position) => (position > 100_000 ? leaving.abort(new Error("gone")) : undefined),
  });
  assert.ok((await drain(readerOf(fill, SIZE, upstream.open), SIZE)).bytes.equals(BYTES));
  await fill.ended;
  await left;
  const late = readerOf(fill, SIZE, upstream.open);
  assert.ok((await drain(late, SIZE)).bytes.equals(BYTES));
  assert.ok((await drain(stalled, SIZE)).bytes.equals(BYTES));
  assert.equal(upstream.asked.length, 1);
});

test("a reader that is aborted while it waits is told at once, and the fill goes on", async (t) => {
  const { store } = await setUp(t);
  const rest = gate();
  const upstream = scriptedBlob(BYTES, { before: async (at) => (at > 0 ? await rest.promise : undefined) });
  const fill = fillOf(store, DIGEST, upstream.open);
  const client = new AbortController();
  const reader = readerOf(fill, SIZE, upstream.open, { signal: client.signal });
  const waiting = reader.next(0);
  await until(fill, () => fill.writtenBytes > 0);
  client.abort(new Error("the client is gone"));
  await assert.rejects(waiting, /the client is gone/);
  await reader.close();
  rest.open();
  await fill.ended;
  assert.equal(fill.state.kind, "verified");
});

test("wrong bytes fail every reader before the end, and nothing is kept", async (t) => {
  const { store, spoolFiles } = await setUp(t);
  const wrong = Buffer.from(BYTES);
  wrong[10] = (wrong[10] ?? 0) ^ 1;
  const upstream = scriptedBlob(wrong);
  const fill = fillOf(store, DIGEST, upstream.open);
  const got = await drain(readerOf(fill, SIZE, upstream.open), SIZE);
  assert.ok(got.error instanceof UpstreamError);
  assert.equal(got.error.kind, "protocol");
  assert.ok(got.bytes.length <= SIZE - HELD_BACK_BYTES);
  await fill.ended;
  assert.equal(await store.statBlob(DIGEST), undefined);
  assert.deepEqual(await spoolFiles(), []);
});

test("a size other than the manifest's, or another in a later answer, ends the fill", async (t) => {
  const { store } = await setUp(t);
  const manifest = fillOf(store, DIGEST, scriptedBlob(BYTES).open, { size: SIZE + 1 });
  await manifest.ended;
  assert.equal(manifest.state.kind, "failed");
  const later = scriptedBlob(BYTES, { cutAfter: 100_000 }, { saysSize: SIZE + 1 });
  const fill = fillOf(store, DIGEST, later.open);
  await fill.ended;
  assert.equal(fill.state.kind, "failed");
});

test("a paused fill leaves a partial, is known as pausing at once, and another goes on where it stood", async (t) => {
  const { store, spoolFiles } = await setUp(t);
  const never = gate();
  const first = scriptedBlob(BYTES, { before: async (at) => (at >= 200_000 ? await never.promise : undefined) });
  const fill = fillOf(store, DIGEST, first.open);
  await until(fill, () => fill.writtenBytes >= 200_000);
  const paused = fill.pause("for the test");
  assert.equal(fill.isPausing, true);
  never.open();
  await paused;
  assert.equal(fill.state.kind, "failed");
  assert.equal((await spoolFiles()).length, 2);
  const second = scriptedBlob(BYTES);
  const next = fillOf(store, DIGEST, second.open, { size: SIZE });
  await next.ended;
  assert.deepEqual(second.asked, [{ start: fill.writtenBytes }]);
  assert.equal(await store.statBlob(DIGEST), SIZE);
});

test("a pause that comes while all bytes are there does no harm", async (t) => {
  const { store } = await setUp(t);
  const fill = fillOf(store, DIGEST, scriptedBlob(BYTES).open);
  await until(fill, () => fill.state.kind === "verified");
  await fill.pause("too late");
  assert.equal(await store.statBlob(DIGEST), SIZE);
});

test("a partial that is whole already is taken over without a transfer, where its size is known", async (t) => {
  const { store, dataDir } = await setUp(t);
  await leavePartial(dataDir, BYTES);
  const upstream = scriptedBlob(BYTES);
  const fill = fillOf(store, DIGEST, upstream.open, { size: SIZE });
  await fill.ended;
  assert.equal(await store.statBlob(DIGEST), SIZE);
  assert.equal(upstream.asked.length, 0);
});

test("a partial that is whole already but of unknown size: upstream's 416 says so, and the digest decides", async (t) => {
  const { store, dataDir } = await setUp(t);
  const refuses = new UpstreamError("protocol", "416", { status: 416 });
  await leavePartial(dataDir, BYTES);
  const fill = fillOf(store, DIGEST, scriptedBlob(BYTES, { refuses }).open);
  await fill.ended;
  assert.equal(fill.state.kind, "verified");
  await leavePartial(dataDir, seededBytes(SIZE, "wrong"));
  const other = fillOf(store, DIGEST, scriptedBlob(BYTES, { refuses }).open);
  await other.ended;
  assert.equal(other.state.kind, "failed");
});

test("a partial that is longer than the content is thrown away", async (t) => {
  const { store, dataDir, spoolFiles } = await setUp(t);
  await leavePartial(dataDir, seededBytes(SIZE + 1, "long"));
  const fill = fillOf(store, DIGEST, scriptedBlob(BYTES).open, { size: SIZE });
  await fill.ended;
  assert.equal(fill.state.kind, "failed");
  assert.deepEqual(await spoolFiles(), []);
});

test("nothing of a partial is shown before upstream has given the rest, all of what is hashed at once afterwards", async (t) => {
  const { store, dataDir } = await setUp(t);
  await leavePartial(dataDir, BYTES.subarray(0, 400_000));
  const [asked, answer, rest] = [gate(), gate(), gate()];
  const upstream = scriptedBlob(BYTES, { before: async () => await rest.promise });
  const open: typeof upstream.open = async (range, signal) => {
    asked.open();
    await answer.promise;
    return await upstream.open(range, signal);
  };
  const hashed = gate();
  const openSpool = failing(store, {}, (spool) => {
    const rehash = spool.rehash.bind(spool);
    spool.rehash = async (...its) => {
      await rehash(...its);
      hashed.open();
    };
  });
  const fill = fillOf(store, DIGEST, open, { openSpool, size: SIZE });
  await Promise.all([asked.promise, hashed.promise]);
  await new Promise(setImmediate);
  assert.deepEqual([fill.writtenBytes, fill.visibleBytes], [0, 0]);
  answer.open();
  await until(fill, () => fill.writtenBytes === 400_000);
  assert.equal(fill.visibleBytes, 400_000);
  rest.open();
  assert.ok((await drain(readerOf(fill, SIZE, upstream.open), SIZE)).bytes.equals(BYTES));
  assert.deepEqual(upstream.asked, [{ start: 400_000 }]);
});

test("a partial that upstream does not give the rest of stays hidden, and stays", async (t) => {
  const { store, dataDir, spoolFiles } = await setUp(t);
  await leavePartial(dataDir, BYTES.subarray(0, 400_000));
  const refuses = new UpstreamError("not-found", "404");
  const fill = fillOf(store, DIGEST, scriptedBlob(BYTES, { refuses }).open, { size: SIZE });
  await fill.ended;
  assert.deepEqual([fill.state.kind, fill.writtenBytes, fill.visibleBytes], ["failed", 0, 0]);
  assert.equal((await spoolFiles()).length, 2);
});

for (const [what, size, refuses] of [
  ["of a known size", SIZE, new UpstreamError("unreachable", "not to be asked")],
  [
    "of an unknown size, after which upstream has nothing",
    undefined,
    new UpstreamError("protocol", "416", { status: 416 }),
  ],
] as const) {
  test(`a partial that is whole already, ${what}, is neither shown nor committed without proof`, async (t) => {
    const { store, dataDir, spoolFiles } = await setUp(t);
    await leavePartial(dataDir, BYTES);
    const unproven = async () => await Promise.reject(new UpstreamError("not-found", "404"));
    const { open } = scriptedBlob(BYTES, { refuses });
    const fill = fillOf(store, DIGEST, open, { prove: unproven, size });
    await fill.ended;
    assert.deepEqual([fill.state.kind, fill.visibleBytes], ["failed", 0]);
    assert.equal(await store.statBlob(DIGEST), undefined);
    assert.equal((await spoolFiles()).length, 2);
    const proven = fillOf(store, DIGEST, open, { size });
    await proven.ended;
    assert.equal(await store.statBlob(DIGEST), SIZE);
  });
}

test("an answer that is of no use throws a partial away only where the repository has the blob", async (t) => {
  const { store, dataDir, spoolFiles } = await setUp(t);
  const { open } = scriptedBlob(BYTES, { refuses: new UpstreamError("protocol", "400", { status: 400 }) });
  await leavePartial(dataDir, BYTES.subarray(0, 400_000));
  const unproven = async () => await Promise.reject(new UpstreamError("not-found", "404"));
  await fillOf(store, DIGEST, open, { prove: unproven, size: SIZE }).ended;
  assert.equal((await spoolFiles()).length, 2);
  await fillOf(store, DIGEST, open, { size: SIZE }).ended;
  assert.deepEqual(await spoolFiles(), []);
});

test("the disk breaks while a partial is hashed that nobody may see yet: readers get all from upstream", async (t) => {
  const { store, dataDir } = await setUp(t);
  await leavePartial(dataDir, BYTES.subarray(0, 400_000));
  const broken = gate();
  const openSpool = failing(store, {}, (spool) => {
    const rehash = spool.rehash.bind(spool);
    spool.rehash = async (...its) => {
      await rehash(...its);
      broken.open();
      throw new Error("EIO");
    };
  });
  const upstream = scriptedBlob(BYTES);
  const late: typeof upstream.open = async (_, signal) => {
    await broken.promise;
    throw signal.aborted ? signal.reason : new UpstreamError("not-found", "404");
  };
  const fill = fillOf(store, DIGEST, late, { openSpool, size: SIZE });
  const reading = drain(readerOf(fill, SIZE, upstream.open), SIZE);
  await fill.ended;
  assert.deepEqual([fill.state.kind, fill.writtenBytes], ["unkept", 0]);
  assert.ok((await reading).bytes.equals(BYTES));
  assert.deepEqual(upstream.asked, [{ start: 0, end: SIZE - 1 }]);
});

for (const [name, error] of [
  ["the disk is full", new NoRoomError("full")],
  ["the disk is broken", Object.assign(new Error("EIO"), { code: "EIO" })],
] as const) {
  test(`${name}, far from the end: every reader goes on by itself and gets right bytes`, async (t) => {
    const { store, spoolFiles } = await setUp(t);
    const bytes = seededBytes(3 * 1024 * 1024, "far");
    const digest = sha256(bytes);
    let count = 0;
    const openSpool = async (size: number | undefined) => {
      const spool = await store.openSpool(digest, { registryId: "test", repository: "docker.io/app", size });
      const append = spool.append.bind(spool);
      spool.append = async (piece) => {
        if (++count > 5) throw error;
        await append(piece);
      };
      return spool;
    };
    const upstream = scriptedBlob(bytes);
    const fill = fillOf(store, digest, upstream.open, { openSpool });
    const readers = [1, 2].map(async () => await drain(readerOf(fill, bytes.length, upstream.open), bytes.length));
    for (const got of await Promise.all(readers)) assert.ok(got.bytes.equals(bytes));
    assert.equal(fill.state.kind, "unkept");
    await fill.ended;
    assert.deepEqual(await spoolFiles(), []);
  });
}

test("the continuation without room is verified: wrong bytes never complete", async (t) => {
  const { store } = await setUp(t);
  const wrong = Buffer.from(BYTES);
  wrong[SIZE - 1] = (wrong[SIZE - 1] ?? 0) ^ 1;
  const openSpool = async () => await Promise.reject(new NoRoomError("full"));
  const upstream = scriptedBlob(wrong);
  const fill = fillOf(store, DIGEST, upstream.open, { openSpool, size: SIZE });
  const got = await drain(readerOf(fill, SIZE, upstream.open), SIZE);
  assert.ok(got.error instanceof UpstreamError);
  assert.ok(got.bytes.length <= SIZE - HELD_BACK_BYTES);
});

test("the disk fills up near the end: the rest is held in memory, one transfer serves all, nothing is kept", async (t) => {
  const { store, spoolFiles } = await setUp(t);
  let left = 10;
  const spool = failing(store, {});
  const openSpool = async (size: number | undefined) => {
    const real = await spool(size);
    const append = real.append.bind(real);
    real.append = async (piece) => {
      if (left-- <= 0) throw new NoRoomError("full");
      await append(piece);
    };
    return real;
  };
  const upstream = scriptedBlob(BYTES);
  const fill = fillOf(store, DIGEST, upstream.open, { openSpool });
  const readers = [0, 1000, 70_000].map(async (start) =>
    (await drain(readerOf(fill, SIZE, upstream.open, { start }), SIZE, { start })).bytes.equals(BYTES.subarray(start)),
  );
  assert.deepEqual(await Promise.all(readers), [true, true, true]);
  await fill.ended;
  assert.equal(upstream.asked.length, 1);
  assert.equal(await store.statBlob(DIGEST), undefined);
  assert.deepEqual(await spoolFiles(), []);
});

test("a commit that fails costs the keeping, not the pull", async (t) => {
  const { store, spoolFiles } = await setUp(t);
  const openSpool = failing(store, { commit: async () => await Promise.reject(new Error("EIO")) });
  const upstream = scriptedBlob(BYTES);
  const fill = fillOf(store, DIGEST, upstream.open, { openSpool });
  assert.ok((await drain(readerOf(fill, SIZE, upstream.open), SIZE)).bytes.equals(BYTES));
  await fill.ended;
  assert.deepEqual(await spoolFiles(), []);
});

/** What one upstream answer may do; the script ends with a good one, or goes on badly for ever. */
const behaviour = fc.record(
  {
    cutAfter: fc.option(fc.integer({ min: 0, max: 250_000 }), { nil: undefined, freq: 2 }),
    ignoresRange: fc.boolean(),
    hidesSize: fc.boolean(),
    pieceBytes: fc.integer({ min: 1_000, max: 120_000 }),
  },
  { requiredKeys: ["pieceBytes"] },
);
const readerPlan = fc.record({
  joinAt: fc.integer({ min: 0, max: 260_000 }),
  isSlow: fc.boolean(),
  leavesAt: fc.option(fc.integer({ min: 0, max: 200_000 }), { nil: undefined }),
});

test("whatever upstream does and however readers come, read and go: right bytes or an error, never silently short", async (t) => {
  const { store } = await setUp(t);
  let run = 0;
  await prove(
    fc.asyncProperty(
      fc.array(behaviour, { minLength: 1, maxLength: 4 }),
      fc.array(readerPlan, { minLength: 1, maxLength: 5 }),
      fc.boolean(),
      fc.integer({ min: 1, max: 250_000 }),
      async (script, plans, corrupt, size) => {
        const bytes = seededBytes(size, `property ${++run}`);
        const digest = sha256(bytes);
        const sent = Buffer.from(bytes);
        if (corrupt) sent[size >> 1] = (sent[size >> 1] ?? 0) ^ 1;
        const clean = script.map((one) =>
          Object.fromEntries(Object.entries(one).filter(([, value]) => value !== undefined)),
        );
        const upstream = scriptedBlob(sent, ...clean);
        // The real delays between attempts are tested elsewhere: here a script that cuts for ever would only take time.
        const fill = fillOf(store, digest, boundedAttempts(upstream.open, script.length + 1), { size });
        fill.join();
        const readers = plans.map(async ({ joinAt, isSlow, leavesAt }) => {
          while (fill.state.kind === "filling" && fill.writtenBytes < Math.min(joinAt, size))
            await fill.changed(PATIENT);
          const client = new AbortController();
          const reader = readerOf(fill, size, upstream.open, { signal: client.signal });
          const got = await drain(reader, size, {
            after: async (position) => {
              if (leavesAt !== undefined && position > leavesAt) throw new Error("the client left");
              if (isSlow) await new Promise(setImmediate);
            },
          });
          assert.ok(sent.subarray(0, got.bytes.length).equals(got.bytes));
          if (got.error === undefined) assert.ok(got.bytes.equals(bytes));
          else assert.ok(got.error instanceof Error && !got.error.message.startsWith("silently"));
        });
        await Promise.all(readers);
        await fill.ended;
        await fill.leave();
        if (corrupt) assert.notEqual(fill.state.kind, "verified");
        const stored = await store.readBlob(digest, size);
        assert.ok(stored === undefined ? fill.state.kind !== "verified" : stored.equals(bytes));
      },
    ),
    40,
  );
});

/** After so many answers it refuses in a way that is not tried again. */
function boundedAttempts(open: ReturnType<typeof scriptedBlob>["open"], max: number): typeof open {
  let count = 0;
  return async (range, signal) => {
    if (++count > max) throw new UpstreamError("not-found", "gone");
    return await open(range, signal);
  };
}
