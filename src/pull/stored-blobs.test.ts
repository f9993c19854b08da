import assert from "node:assert/strict";
import { truncate, writeFile } from "node:fs/promises";
import { test, type TestContext } from "node:test";
import { seededBytes, sha256 } from "../../test/support/bytes.ts";
import { eventually, openFiles } from "../../test/support/open-files.ts";
import { drain } from "../../test/support/scripted-blob.ts";
import { readingOf } from "../../test/support/damage.ts";
import { tempDir } from "../../test/support/temp.ts";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { openFilesystemStore } from "../store/filesystem.ts";
import { layoutOf } from "../store/layout.ts";
import { HELD_BACK_BYTES } from "./bytes.ts";
import { ChunkCache } from "./chunks.ts";
import { HOT_BLOB_BYTES_MAX, type OpenBlob, StoredBlobs } from "./stored-blobs.ts";

const MIB = 1024 * 1024;
const UNNAMED = async () => undefined;
const PATIENT = new AbortController().signal;

async function setUp(t: TestContext) {
  const dataDir = await tempDir(t);
  const store = await openFilesystemStore({ dataDir, minFreeDiskBytes: 0 });
  const errors: unknown[] = [];
  const log = { error: (about: unknown) => void errors.push(about) };
  const pathOf = (digest: Digest) => layoutOf(dataDir).blob(digest);
  return { store, errors, pathOf, hot: new StoredBlobs({ store: readingOf(store), chunks: new ChunkCache(), log }) };
}

async function bytesOf(blob: OpenBlob | undefined): Promise<Buffer | undefined> {
  return blob && (await readWhole(blob)).bytes;
}

async function readWhole(blob: OpenBlob, span = { start: 0, end: blob.size }) {
  try {
    return await drain(blob.reader(span, PATIENT), blob.size, span);
  } finally {
    await blob.close();
  }
}

function flipped(bytes: Buffer, at: number): Buffer {
  const wrong = Buffer.from(bytes);
  wrong[at] = (wrong[at] ?? 0) ^ 1;
  return wrong;
}

test("a small blob is read from disk once and served from memory from then on", async (t) => {
  const { store, hot } = await setUp(t);
  const bytes = seededBytes(HOT_BLOB_BYTES_MAX, "small");
  const digest = sha256(bytes);
  assert.equal(await hot.open(digest, UNNAMED, PATIENT), undefined);
  assert.equal(await hot.size(digest, UNNAMED, PATIENT), undefined);
  await store.putBlob(digest, bytes);
  const answers = await Promise.all([hot.open(digest, UNNAMED, PATIENT), hot.open(digest, UNNAMED, PATIENT)]);
  for (const answer of answers) assert.ok((await bytesOf(answer))?.equals(bytes));
  await store.removeBlob(digest);
  const blob = await hot.open(digest, UNNAMED, PATIENT);
  assert.ok(blob !== undefined);
  const span = { start: HOT_BLOB_BYTES_MAX - 4, end: HOT_BLOB_BYTES_MAX };
  assert.ok((await readWhole(blob, span)).bytes.equals(bytes.subarray(-4)));
  assert.equal(await hot.size(digest, UNNAMED, PATIENT), HOT_BLOB_BYTES_MAX);
});

test("an empty blob is held too", async (t) => {
  const { store, hot } = await setUp(t);
  const digest = sha256(Buffer.alloc(0));
  await store.putBlob(digest, Buffer.alloc(0));
  await hot.open(digest, UNNAMED, PATIENT);
  assert.equal((await hot.open(digest, UNNAMED, PATIENT))?.size, 0);
});

test("a large blob stays on disk", async (t) => {
  const { store, hot } = await setUp(t);
  const bytes = seededBytes(HOT_BLOB_BYTES_MAX + 1, "large");
  const digest = sha256(bytes);
  await store.putBlob(digest, bytes);
  assert.ok((await bytesOf(await hot.open(digest, UNNAMED, PATIENT)))?.equals(bytes));
  await store.removeBlob(digest);
  assert.equal(await hot.open(digest, UNNAMED, PATIENT), undefined);
});

test("many small blobs do not take more memory than allowed: the oldest are read from disk again", async (t) => {
  const { store, hot } = await setUp(t);
  const blobs = Array.from({ length: 40 }, (_, index) => seededBytes(HOT_BLOB_BYTES_MAX, index));
  for (const bytes of blobs) {
    await store.putBlob(sha256(bytes), bytes);
    await hot.open(sha256(bytes), UNNAMED, PATIENT);
  }
  for (const bytes of blobs) await store.removeBlob(sha256(bytes));
  const still = await Promise.all(
    blobs.map(async (bytes) => (await hot.open(sha256(bytes), UNNAMED, PATIENT)) !== undefined),
  );
  assert.equal(still.filter(Boolean).length, 31, "32 MiB, a byte a blob for its place");
  assert.equal(still[0], false);
});

test("a blob in which a bit has flipped is taken away and reported, and never served", async (t) => {
  const { store, hot, errors } = await setUp(t);
  const bytes = seededBytes(1000, "flipped");
  const digest = sha256(bytes);
  await store.putBlob(digest, flipped(bytes, 500));
  assert.deepEqual(await Promise.all([hot.open(digest, UNNAMED, PATIENT), hot.open(digest, UNNAMED, PATIENT)]), [
    undefined,
    undefined,
  ]);
  assert.equal(await store.statBlob(digest), undefined);
  assert.deepEqual(errors, [{ digest }]);
  await store.putBlob(digest, bytes);
  assert.ok((await bytesOf(await hot.open(digest, UNNAMED, PATIENT)))?.equals(bytes));
});

test("a large blob that lost its end is found by the size that a manifest gives, taken away and reported", async (t) => {
  const { store, hot, errors } = await setUp(t);
  const bytes = seededBytes(HOT_BLOB_BYTES_MAX * 3, "cut");
  const digest = sha256(bytes);
  await store.putBlob(digest, bytes.subarray(0, HOT_BLOB_BYTES_MAX * 2));
  const named = async () => bytes.length;
  const looks = [hot.open(digest, named, PATIENT), hot.open(digest, named, PATIENT), hot.size(digest, named, PATIENT)];
  assert.deepEqual(await Promise.all(looks), [undefined, undefined, undefined]);
  assert.equal(await store.statBlob(digest), undefined);
  assert.deepEqual(errors, [{ digest }]);
});

test("a manifest that gives a wrong size does not cost a right blob, and is asked only once", async (t) => {
  const { store, hot, errors } = await setUp(t);
  const bytes = seededBytes(HOT_BLOB_BYTES_MAX + 1, "right");
  const digest = sha256(bytes);
  await store.putBlob(digest, bytes);
  let asked = 0;
  const lying = async () => ((asked += 1), 1);
  assert.ok((await bytesOf(await hot.open(digest, lying, PATIENT)))?.equals(bytes));
  assert.equal(await hot.size(digest, lying, PATIENT), bytes.length);
  assert.deepEqual([asked, errors], [1, []]);
});

/** Large enough to be hashed beside its readers, not before them. */
const LARGE = seededBytes(9 * MIB, "beside");
const LARGE_DIGEST = sha256(LARGE);

for (const [where, at] of [
  ["first", 0],
  ["middle", 4 * MIB],
  ["last", LARGE.length - 1],
] as const) {
  test(`a large blob whose ${where} byte has flipped never completes, is taken away and reported`, async (t) => {
    const { store, hot, errors } = await setUp(t);
    await store.putBlob(LARGE_DIGEST, flipped(LARGE, at));
    const blob = await hot.open(LARGE_DIGEST, UNNAMED, PATIENT);
    assert.ok(blob !== undefined);
    const got = await readWhole(blob);
    assert.ok(got.error instanceof RegistryError);
    assert.ok(got.bytes.length <= LARGE.length - HELD_BACK_BYTES);
    assert.equal(await store.statBlob(LARGE_DIGEST), undefined);
    assert.deepEqual(errors, [{ digest: LARGE_DIGEST }]);
    await store.putBlob(LARGE_DIGEST, LARGE);
    assert.ok((await bytesOf(await hot.open(LARGE_DIGEST, UNNAMED, PATIENT)))?.equals(LARGE));
  });
}

test("a blob of a few megabytes is hashed first: a damaged one is not given out at all", async (t) => {
  const { store, hot } = await setUp(t);
  const bytes = seededBytes(2 * MIB, "first");
  await store.putBlob(sha256(bytes), flipped(bytes, MIB));
  assert.equal(await hot.open(sha256(bytes), UNNAMED, PATIENT), undefined);
  assert.equal(await store.statBlob(sha256(bytes)), undefined);
});

test("a file that changes after it was found right is hashed again, for those who come and those who read it already", async (t) => {
  const { store, hot, pathOf } = await setUp(t);
  await store.putBlob(LARGE_DIGEST, LARGE);
  assert.ok((await bytesOf(await hot.open(LARGE_DIGEST, UNNAMED, PATIENT)))?.equals(LARGE));
  await writeFile(pathOf(LARGE_DIGEST), flipped(LARGE, 5 * MIB));
  const blob = await hot.open(LARGE_DIGEST, UNNAMED, PATIENT);
  assert.ok(blob !== undefined);
  assert.ok((await readWhole(blob)).error instanceof RegistryError);
});

test("what was hashed while it was written is not hashed again, until its file changes", async (t) => {
  const { store, hot, pathOf } = await setUp(t);
  const wrong = flipped(LARGE, 1);
  await store.putBlob(LARGE_DIGEST, wrong);
  await hot.trust(LARGE_DIGEST);
  assert.ok((await bytesOf(await hot.open(LARGE_DIGEST, UNNAMED, PATIENT)))?.equals(wrong), "nobody looked");
  await truncate(pathOf(LARGE_DIGEST), LARGE.length - 1);
  const blob = await hot.open(LARGE_DIGEST, UNNAMED, PATIENT);
  assert.ok(blob !== undefined);
  assert.ok((await readWhole(blob)).error instanceof RegistryError);
});

test("a reader that waits for the verdict at the end is told when its client leaves", async (t) => {
  const { store, hot } = await setUp(t);
  await store.putBlob(LARGE_DIGEST, LARGE);
  const blob = await hot.open(LARGE_DIGEST, UNNAMED, PATIENT);
  assert.ok(blob !== undefined);
  const client = new AbortController();
  const waiting = blob.reader({ start: 0, end: LARGE.length }, client.signal).next(LARGE.length - 10);
  client.abort(new Error("the client is gone"));
  await assert.rejects(waiting, /the client is gone/);
  await blob.close();
});

test("many readers of one blob share one descriptor, which is closed after the last of them", async (t) => {
  const { store, hot, pathOf } = await setUp(t);
  await store.putBlob(LARGE_DIGEST, LARGE);
  const descriptors = async () => (await openFiles()).filter((path) => path === pathOf(LARGE_DIGEST)).length;
  const first = await hot.open(LARGE_DIGEST, UNNAMED, PATIENT);
  assert.ok(first !== undefined);
  const readers = await Promise.all(
    Array.from({ length: 20 }, async () => await bytesOf(await hot.open(LARGE_DIGEST, UNNAMED, PATIENT))),
  );
  assert.ok(readers.every((bytes) => bytes?.equals(LARGE)));
  assert.equal(await descriptors(), 1);
  await first.close();
  await eventually(async () => (await descriptors()) === 0);
});

test("a client that leaves while its blob is hashed first is told at once, and leaves nothing open", async (t) => {
  const { store, hot, pathOf } = await setUp(t);
  const bytes = seededBytes(2 * MIB, "leaving");
  const digest = sha256(bytes);
  await store.putBlob(digest, bytes);
  const opening = hot.open(digest, UNNAMED, AbortSignal.abort(new Error("the client is gone")));
  await assert.rejects(opening, /the client is gone/);
  await eventually(async () => !(await openFiles()).includes(pathOf(digest)));
});

test("a small blob is not hashed behind large ones", async (t) => {
  const { store, hot } = await setUp(t);
  const large = Array.from({ length: 8 }, (_, index) => seededBytes(20 * MIB, `large ${index}`));
  for (const bytes of large) await store.putBlob(sha256(bytes), bytes);
  const small = seededBytes(2 * MIB, "small among large");
  await store.putBlob(sha256(small), small);
  const opened = await Promise.all(large.map(async (bytes) => await hot.open(sha256(bytes), UNNAMED, PATIENT)));
  const ends = opened.map(
    async (blob) => await blob?.reader({ start: 0, end: blob.size }, PATIENT).next(blob.size - 1),
  );
  let isLast = false;
  void Promise.all(ends).then(() => (isLast = true));
  const blob = await hot.open(sha256(small), UNNAMED, PATIENT);
  assert.equal(isLast, false);
  await blob?.close();
  for (const piece of await Promise.all(ends)) piece?.release();
  for (const one of opened) await one?.close();
});

test("who reads from files is told of, while it reads; whoever hashes a file is no reader", async (t) => {
  const { store, hot } = await setUp(t);
  const bytes = seededBytes(HOT_BLOB_BYTES_MAX + 1, "read");
  const digest = sha256(bytes);
  await store.putBlob(digest, bytes);
  assert.deepEqual(hot.activity(), []);
  const open = await Promise.all([1, 2].map(async () => await hot.open(digest, UNNAMED, PATIENT)));
  assert.deepEqual(hot.activity(), [{ digest, readers: 2 }]);
  await open[0]?.close();
  assert.deepEqual(hot.activity(), [{ digest, readers: 1 }]);
  await open[1]?.close();
  assert.deepEqual(hot.activity(), []);
});
