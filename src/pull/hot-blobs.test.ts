import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { readAll } from "../../test/contracts/store.ts";
import { seededBytes, sha256 } from "../../test/support/bytes.ts";
import { tempDir } from "../../test/support/temp.ts";
import { openFilesystemStore } from "../store/filesystem.ts";
import type { StoredBlob } from "../store/store.ts";
import { HOT_BLOB_BYTES_MAX, HotBlobs } from "./hot-blobs.ts";

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
  assert.equal(await hot.open(digest), undefined);
  assert.equal(await hot.size(digest), undefined);
  await store.putBlob(digest, bytes);
  const answers = await Promise.all([hot.open(digest), hot.open(digest)]);
  for (const answer of answers) assert.ok((await bytesOf(answer))?.equals(bytes));
  await store.removeBlob(digest);
  const blob = await hot.open(digest);
  const part = Buffer.alloc(10);
  assert.equal(await blob?.read(part, HOT_BLOB_BYTES_MAX - 4), 4);
  assert.ok(part.subarray(0, 4).equals(bytes.subarray(-4)));
  assert.equal(await blob?.read(part, HOT_BLOB_BYTES_MAX), 0);
  assert.equal(await hot.size(digest), HOT_BLOB_BYTES_MAX);
});

test("an empty blob is held too", async (t) => {
  const { store, hot } = await setUp(t);
  const digest = sha256(Buffer.alloc(0));
  await store.putBlob(digest, Buffer.alloc(0));
  await hot.open(digest);
  assert.equal((await hot.open(digest))?.size, 0);
});

test("a large blob stays on disk", async (t) => {
  const { store, hot } = await setUp(t);
  const bytes = seededBytes(HOT_BLOB_BYTES_MAX + 1, "large");
  const digest = sha256(bytes);
  await store.putBlob(digest, bytes);
  assert.ok((await bytesOf(await hot.open(digest)))?.equals(bytes));
  await store.removeBlob(digest);
  assert.equal(await hot.open(digest), undefined);
});

test("many small blobs do not take more memory than allowed: the oldest are read from disk again", async (t) => {
  const { store, hot } = await setUp(t);
  const blobs = Array.from({ length: 130 }, (_, index) => seededBytes(HOT_BLOB_BYTES_MAX, index));
  for (const bytes of blobs) {
    await store.putBlob(sha256(bytes), bytes);
    await hot.open(sha256(bytes));
  }
  for (const bytes of blobs) await store.removeBlob(sha256(bytes));
  const still = await Promise.all(blobs.map(async (bytes) => (await hot.open(sha256(bytes))) !== undefined));
  assert.equal(still.filter(Boolean).length, 127, "32 MiB, a byte a blob for its place");
  assert.equal(still[0], false);
});

test("a blob in which a bit has flipped is taken away and reported, and never served", async (t) => {
  const { store, hot, errors } = await setUp(t);
  const bytes = seededBytes(1000, "flipped");
  const digest = sha256(bytes);
  await store.putBlob(digest, Buffer.from(bytes.map((byte, at) => (at === 500 ? byte ^ 1 : byte))));
  assert.deepEqual(await Promise.all([hot.open(digest), hot.open(digest)]), [undefined, undefined]);
  assert.equal(await store.statBlob(digest), undefined);
  assert.deepEqual(errors, [{ digest }]);
  await store.putBlob(digest, bytes);
  assert.ok((await bytesOf(await hot.open(digest)))?.equals(bytes));
});
