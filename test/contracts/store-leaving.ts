import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import type { Store } from "../../src/store/store.ts";
import { seededBytes } from "../support/bytes.ts";
import { ORIGIN, repo, tagOf } from "./store-samples.ts";

const APP = repo("library/app");
const BYTES = seededBytes(300_000, "store");
const DIGEST = digestOf(BYTES);
const OTHER_BYTES = Buffer.from("other");
const OTHER = digestOf(OTHER_BYTES);

async function listed(paths: AsyncIterable<string>): Promise<string[]> {
  const all: string[] = [];
  for await (const path of paths) all.push(path);
  return all;
}

/** What a store does for those who count what is there and take it away. */
export function leavingTests(prepare: (t: TestContext) => Promise<() => Promise<Store>>): void {
  test("partials are counted while they are written, when they are left, and after a restart", async (t) => {
    const open = await prepare(t);
    const store = await open();
    const counts = async (of: Store) => {
      const { partials, bytes, byRegistry } = of.partials();
      return [partials, bytes, byRegistry.get("dockerhub") ?? 0, await of.partialBytes(DIGEST)];
    };
    assert.deepEqual(await counts(store), [0, 0, 0, 0]);
    const spool = await store.openSpool(DIGEST, ORIGIN);
    await spool.append(BYTES.subarray(0, 1000));
    assert.deepEqual(await counts(store), [1, 1000, 1000, 1000]);
    await spool.keep();
    await spool.close();
    assert.deepEqual(await counts(await open()), [1, 1000, 1000, 1000]);
    const again = await store.openSpool(DIGEST, ORIGIN);
    await again.append(BYTES.subarray(1000));
    let duringCommit: Promise<unknown[]> | undefined;
    await again.commit(() => void (duringCommit = counts(store)));
    await again.close();
    assert.deepEqual(await duringCommit, [0, 0, 0, 0]);
    const other = await store.openSpool(OTHER, ORIGIN);
    await other.append(OTHER_BYTES);
    await other.discard();
    await other.close();
    assert.deepEqual(await counts(store), [0, 0, 0, 0]);
    const left = await store.openSpool(OTHER, ORIGIN);
    await left.append(OTHER_BYTES);
    await left.keep();
    await left.close();
    await store.reapPartials(-60_000);
    assert.deepEqual(await counts(store), [0, 0, 0, 0]);
  });

  test("every stored blob is found, linked or not", async (t) => {
    const store = await (await prepare(t))();
    await store.putBlob(DIGEST, BYTES);
    await store.putBlob(OTHER, OTHER_BYTES);
    const found = new Map<Digest, number>();
    for await (const { digest, size, atMs } of store.blobs()) {
      found.set(digest, size);
      assert.ok(Math.abs(atMs - Date.now()) < 60_000);
    }
    assert.deepEqual(Object.fromEntries(found), { [DIGEST]: BYTES.length, [OTHER]: OTHER_BYTES.length });
    await store.removeBlob(DIGEST);
    await store.removeBlob(DIGEST);
    for await (const { digest } of store.blobs()) assert.equal(digest, OTHER);
    await store.putBlob(DIGEST, BYTES);
    assert.equal(await store.statBlob(DIGEST), BYTES.length);
  });

  test("blobs come in the order of their digests, from behind any of them", async (t) => {
    const store = await (await prepare(t))();
    const bytes = Array.from({ length: 40 }, (_, index) => Buffer.from(`blob ${index}`));
    const digests = bytes.map((one, index) => digestOf(one, index % 4 === 0 ? "sha512" : "sha256"));
    for (const [index, digest] of digests.entries()) await store.putBlob(digest, bytes[index] as Buffer);
    const ordered = digests.toSorted();
    for (const after of [undefined, ...ordered]) {
      const found: Digest[] = [];
      for await (const { digest } of store.blobs(after)) found.push(digest);
      assert.deepEqual(found, after === undefined ? ordered : ordered.slice(ordered.indexOf(after) + 1));
    }
  });

  test("links and tags are taken away, and with the last of them the repository", async (t) => {
    const store = await (await prepare(t))();
    const below = repo("library/app/below");
    await store.link("manifest", APP, DIGEST, "me");
    await store.link("layer", APP, OTHER, undefined);
    await store.link("layer", below, OTHER, undefined);
    await store.setTag(APP, tagOf("1"), OTHER);
    await store.setTag(APP, tagOf("1"), DIGEST);
    await store.removeTag(APP, tagOf("1"));
    await store.removeTag(APP, tagOf("none"));
    assert.equal(await store.tag(APP, tagOf("1")), undefined);
    await store.unlink("manifest", APP, DIGEST);
    await store.unlink("manifest", APP, DIGEST);
    assert.equal(await store.hasLink("manifest", APP, DIGEST), false);
    assert.equal(await store.fetchedWith("manifest", APP, DIGEST), undefined);
    await store.removeIfBare(APP);
    assert.equal(await store.hasLink("layer", APP, OTHER), true);
    await store.unlink("layer", APP, OTHER);
    await store.removeIfBare(APP);
    assert.deepEqual(await listed(store.repositories()), ["docker.io/library/app/below"]);
    await store.removeIfBare(below);
    assert.equal(await store.hasLink("layer", below, OTHER), true);
    await store.unlink("layer", below, OTHER);
    await store.removeIfBare(below);
    assert.deepEqual(await listed(store.repositories()), []);
    await store.link("layer", APP, OTHER, undefined);
    assert.equal(await store.hasLink("layer", APP, OTHER), true);
  });
}
