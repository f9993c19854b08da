import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { seededBytes } from "../../test/support/bytes.ts";
import type { Piece } from "./bytes.ts";
import { CHUNK_BYTES, ChunkCache, type PositionalFile } from "./chunks.ts";

/** A file in memory that counts how it is read. */
function fileOf(bytes: Buffer, readBytesMax = Infinity) {
  const reads = { byPool: 0, now: 0 };
  const copy = (buffer: Uint8Array, position: number) =>
    bytes.copy(buffer, 0, position, position + Math.min(buffer.length, readBytesMax));
  const file: PositionalFile = {
    read: async (buffer, position) => {
      reads.byPool += 1;
      await new Promise(setImmediate);
      return copy(buffer, position);
    },
    readNow: (buffer, position) => {
      reads.now += 1;
      return copy(buffer, position);
    },
  };
  return { file, reads };
}

const FOUR = seededBytes(4 * CHUNK_BYTES, "chunks");

test("any reads at any position give the file's own bytes, however short the system's reads are", async () => {
  const bytes = seededBytes(2 * CHUNK_BYTES + 70_000, "any");
  const places = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: bytes.length })), {
    minLength: 1,
    maxLength: 20,
  });
  await fc.assert(
    fc.asyncProperty(places, fc.integer({ min: 1_000, max: CHUNK_BYTES }), async (asked, readBytesMax) => {
      const chunks = new ChunkCache().open(fileOf(bytes, readBytesMax).file);
      const reading = asked.map(async ([position, length]) => {
        const end = Math.min(bytes.length, position + length);
        const piece = await chunks.piece(position, end);
        assert.ok(piece.bytes.length > 0 && position + piece.bytes.length <= end);
        assert.ok(bytes.subarray(position, position + piece.bytes.length).equals(piece.bytes));
        piece.release();
      });
      await Promise.all(reading);
    }),
    { numRuns: 30 },
  );
});

test("twenty readers at once cost one read a chunk", async () => {
  const { file, reads } = fileOf(FOUR);
  const chunks = new ChunkCache().open(file);
  const all = await Promise.all(Array.from({ length: 20 }, async () => await chunks.piece(CHUNK_BYTES, FOUR.length)));
  assert.ok(all.every((piece) => FOUR.subarray(CHUNK_BYTES, 2 * CHUNK_BYTES).equals(piece.bytes)));
  assert.deepEqual(reads, { byPool: 1, now: 0 });
  for (const piece of all) piece.release();
});

test("a chunk that was read moments ago and has left our memory is read again without the thread pool", async () => {
  const { file, reads } = fileOf(FOUR);
  const cache = new ChunkCache();
  const chunks = cache.open(file);
  (await chunks.piece(0, FOUR.length)).release();
  const others = cache.open(fileOf(seededBytes(80 * CHUNK_BYTES, "others")).file);
  for (let at = 0; at < 80; at++) (await others.piece(at * CHUNK_BYTES, 80 * CHUNK_BYTES)).release();
  const again = await chunks.piece(0, FOUR.length);
  assert.ok(FOUR.subarray(0, CHUNK_BYTES).equals(again.bytes));
  assert.deepEqual(reads, { byPool: 1, now: 1 });
});

test("what a client may still be sent is not overwritten by what others read", async () => {
  const cache = new ChunkCache();
  const chunks = cache.open(fileOf(FOUR).file);
  const kept = await chunks.piece(0, FOUR.length);
  const abandoned = await chunks.piece(CHUNK_BYTES, FOUR.length);
  abandoned.abandon();
  chunks.close();
  const others = cache.open(fileOf(seededBytes(200 * CHUNK_BYTES, "others")).file);
  for (let at = 0; at < 200; at++) (await others.piece(at * CHUNK_BYTES, 200 * CHUNK_BYTES)).release();
  assert.ok(FOUR.subarray(0, CHUNK_BYTES).equals(kept.bytes));
  assert.ok(FOUR.subarray(CHUNK_BYTES, 2 * CHUNK_BYTES).equals(abandoned.bytes));
});

test("with hundreds of slow readers pieces become small, and whole chunks again when these have left", async () => {
  const bytes = seededBytes(300 * CHUNK_BYTES, "slow");
  const chunks = new ChunkCache().open(fileOf(bytes).file);
  const lent: Piece[] = [];
  for (let at = 0; at < 300; at++) lent.push(await chunks.piece(at * CHUNK_BYTES, bytes.length));
  const sizes = lent.map((piece) => piece.bytes.length);
  assert.equal(sizes[0], CHUNK_BYTES);
  assert.ok((sizes.at(-1) ?? 0) < CHUNK_BYTES / 4, "the last ones get less");
  assert.ok(sizes.reduce((sum, size) => sum + size, 0) < 60 * 1024 * 1024);
  for (const piece of lent) piece.release();
  assert.equal((await chunks.piece(299 * CHUNK_BYTES, bytes.length)).bytes.length, CHUNK_BYTES);
});

test("a read that fails is told to all who wait for it, and tried anew by the next", async () => {
  const { file } = fileOf(FOUR);
  let failures = 1;
  const failing: PositionalFile = {
    ...file,
    read: async (buffer, position) => {
      await new Promise(setImmediate);
      if (failures-- > 0) throw new Error("the disk is broken");
      return await file.read(buffer, position);
    },
  };
  const chunks = new ChunkCache().open(failing);
  const both = await Promise.allSettled([chunks.piece(0, FOUR.length), chunks.piece(0, FOUR.length)]);
  assert.deepEqual(
    both.map(({ status }) => status),
    ["rejected", "rejected"],
  );
  assert.ok(FOUR.subarray(0, CHUNK_BYTES).equals((await chunks.piece(0, FOUR.length)).bytes));
});
