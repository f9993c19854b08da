import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { readAll } from "../../test/contracts/store.ts";
import { seededBytes, sha256 } from "../../test/support/bytes.ts";
import { tempDir } from "../../test/support/temp.ts";
import { openFilesystemStore } from "../store/filesystem.ts";
import type { StoredBlob } from "../store/store.ts";
import { HOT_BLOB_BYTES_MAX, HotBlobs } from "./hot-blobs.ts";

const UNNAMED = async () => undefined;

async function setUp(t: TestContext) {
  const store = await openFilesystemStore({ dataDir: await tempDir(t), minFreeDiskBytes: 0 });
  const errors: unknown[] = [];
  return { store, errors, hot: new HotBlobs(store, { error: (about: unknown) => void errors.push(about) }) };
}

async function bytesOf(blob: StoredBlob | undefined): Promise<Buffer | undefined> {
  return blob && (await readAll({ openBlob: async () => blob }, sha256(Buffer.alloc(0))));
}

test("a small blob is read from disk once and served from memory from then on", async (t) => {
  const { store, hot } = await setUp(t);
  const bytes = seededBytes(HOT_BLOB_BYTES_MAX, "small");
  const digest = sha256(bytes);
  assert.equal(await hot.open(digest, UNNAMED), undefined);
  assert.equal(await hot.size(digest, UNNAMED), undefined);
  await store.putBlob(digest, bytes);
  const answers = await Promise.all([hot.open(digest, UNNAMED), hot.open(digest, UNNAMED)]);
  for (const answer of answers) assert.ok((await bytesOf(answer))?.equals(bytes));
  await store.removeBlob(digest);
  const blob = await hot.open(digest, UNNAMED);
  const part = Buffer.alloc(10);
  assert.equal(await blob?.read(part, HOT_BLOB_BYTES_MAX - 4), 4);
  assert.ok(part.subarray(0, 4).equals(bytes.subarray(-4)));
  assert.equal(await blob?.read(part, HOT_BLOB_BYTES_MAX), 0);
  assert.equal(await hot.size(digest, UNNAMED), HOT_BLOB_BYTES_MAX);
});

test("an empty blob is held too", async (t) => {
  const { store, hot } = await setUp(t);
  const digest = sha256(Buffer.alloc(0));
  await store.putBlob(digest, Buffer.alloc(0));
  await hot.open(digest, UNNAMED);
  assert.equal((await hot.open(digest, UNNAMED))?.size, 0);
});

test("a large blob stays on disk", async (t) => {
  const { store, hot } = await setUp(t);
  const bytes = seededBytes(HOT_BLOB_BYTES_MAX + 1, "large");
  const digest = sha256(bytes);
  await store.putBlob(digest, bytes);
  assert.ok((await bytesOf(await hot.open(digest, UNNAMED)))?.equals(bytes));
  await store.removeBlob(digest);
  assert.equal(await hot.open(digest, UNNAMED), undefined);
});

test("many small blobs do not take more memory than allowed: the oldest are read from disk again", async (t) => {
  const { store, hot } = await setUp(t);
  const blobs = Array.from({ length: 40 }, (_, index) => seededBytes(HOT_BLOB_BYTES_MAX, index));
  for (const bytes of blobs) {
    await store.putBlob(sha256(bytes), bytes);
    await hot.open(sha256(bytes), UNNAMED);
  }
  for (const bytes of blobs) await store.removeBlob(sha256(bytes));
  const still = await Promise.all(blobs.map(async (bytes) => (await hot.open(sha256(bytes), UNNAMED)) !== undefined));
  assert.equal(still.filter(Boolean).length, 31, "32 MiB, a byte a blob for its place");
  assert.equal(still[0], false);
});

test("a blob in which a bit has flipped is taken away and reported, and never served", async (t) => {
  const { store, hot, errors } = await setUp(t);
  const bytes = seededBytes(1000, "flipped");
  const digest = sha256(bytes);
  await store.putBlob(digest, Buffer.from(bytes.map((byte, at) => (at === 500 ? byte ^ 1 : byte))));
  assert.deepEqual(await Promise.all([hot.open(digest, UNNAMED), hot.open(digest, UNNAMED)]), [undefined, undefined]);
  assert.equal(await store.statBlob(digest), undefined);
  assert.deepEqual(errors, [{ digest }]);
  await store.putBlob(digest, bytes);
  assert.ok((await bytesOf(await hot.open(digest, UNNAMED)))?.equals(bytes));
});

test("a large blob that lost its end is found by the size that a manifest gives, taken away and reported", async (t) => {
  const { store, hot, errors } = await setUp(t);
  const bytes = seededBytes(HOT_BLOB_BYTES_MAX * 3, "cut");
  const digest = sha256(bytes);
  await store.putBlob(digest, bytes.subarray(0, HOT_BLOB_BYTES_MAX * 2));
  const named = async () => bytes.length;
  const looks = [hot.open(digest, named), hot.open(digest, named), hot.size(digest, named)];
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
  assert.ok((await bytesOf(await hot.open(digest, lying)))?.equals(bytes));
  assert.equal(await hot.size(digest, lying), bytes.length);
  assert.deepEqual([asked, errors], [1, []]);
});
