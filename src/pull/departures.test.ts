import assert from "node:assert/strict";
import { utimes } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { repository } from "../../test/contracts/catalog/samples.ts";
import { assertCatalogAgrees, assertWhole, readStore } from "../../test/faults/support/agreement.ts";
import { keptBytes } from "../../test/faults/support/folder-size.ts";
import { seededBytes } from "../../test/support/bytes.ts";
import { EvictingSite, evictingSite, REGISTRIES } from "../../test/support/evicting.ts";
import { tempDir } from "../../test/support/temp.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { openSqliteCatalog } from "../catalog/sqlite.ts";
import { digestOf } from "../oci/digest.ts";
import { repositoryPath } from "../oci/reference.ts";
import { openFilesystemStore } from "../store/filesystem.ts";
import { layoutOf } from "../store/layout.ts";
import type { Store } from "../store/store.ts";
import { reindex } from "../upkeep/reindex.ts";

const APP = repository("library/app");
const OTHER = repository("library/other");
const QUIET = { info: () => undefined, warn: () => undefined };
const [SHARED, OWN, NOTE] = ["shared", "own", "note"].map((seed) => seededBytes(5_000, seed)) as [
  Buffer,
  Buffer,
  Buffer,
];

/** An index with a signed child, of which another repository has a layer. */
async function held(site: EvictingSite) {
  const child = await site.image(APP, [SHARED, OWN], "amd64");
  const index = await site.index(APP, [child], "1");
  await site.image(APP, [NOTE], undefined, child);
  const other = await site.image(OTHER, [SHARED], "1");
  await site.held.idle();
  return { child, index, other };
}

class Killed extends Error {}

/** From its `at`th writing call on nothing happens any more, as after a kill. */
function dyingAt(at: number): {
  store: (store: Store) => Store;
  catalog: (catalog: Catalog) => Catalog;
  calls: () => number;
} {
  let calls = 0;
  const dying = <T extends object>(target: T, writing: ReadonlySet<string>): T =>
    new Proxy(target, {
      get: (of, name) => {
        const value: unknown = Reflect.get(of, name);
        if (typeof value !== "function") return value;
        return (...given: unknown[]): unknown => {
          if (!writing.has(String(name))) return Reflect.apply(value, of, given);
          if (calls++ >= at) throw new Killed();
          return Reflect.apply(value, of, given);
        };
      },
    });
  return {
    store: (store) => dying(store, new Set(["removeTag", "unlink", "removeBlob", "removeIfBare"])),
    catalog: (catalog) => dying(catalog, new Set(["forget"])),
    calls: () => calls,
  };
}

test("killed anywhere, an eviction leaves bytes without a link at the most", async (t) => {
  let isOver = false;
  for (let at = 0; !isOver; at += 1) {
    assert.ok(at < 50);
    const dataDir = await tempDir(t);
    const store = await openFilesystemStore({ dataDir, minFreeDiskBytes: 0 });
    const catalog = await openSqliteCatalog(join(dataDir, "catalog.sqlite"));
    const { index } = await held(new EvictingSite(dataDir, store, catalog, {}));
    const death = dyingAt(at);
    const doomed = new EvictingSite(dataDir, death.store(store), death.catalog(catalog), {});
    const find = async () => await catalog.leaving(APP, index);
    await doomed.departures.remove(APP, find).catch((error: unknown) => assert.ok(error instanceof Killed));
    isOver = death.calls() <= at;

    const again = await openFilesystemStore({ dataDir, minFreeDiskBytes: 0 });
    const left = await readStore(dataDir);
    const links = new Set([...left.manifests, ...left.layers].map((link) => link.slice(link.indexOf("@") + 1)));
    for (const digest of links) assert.ok(left.blobs.has(digest), `after ${at} calls: ${digest} is stored`);
    for (const [tag, digest] of left.tags) {
      const path = tag.slice(0, tag.lastIndexOf(":"));
      assert.ok(left.manifests.has(`${path}@${digest}`), `after ${at} calls: ${tag} leads to what is held`);
    }
    // The next start rebuilds the catalog, and what nobody has is removed when it is old.
    await reindex(again, catalog, REGISTRIES, QUIET);
    for await (const { digest } of again.blobs()) {
      const long = new Date(Date.now() - 2 * 60 * 60_000);
      await utimes(layoutOf(dataDir).blob(digest), long, long);
    }
    const mended = new EvictingSite(dataDir, again, catalog, {});
    await mended.evictor.prune();
    const facts = await readStore(dataDir);
    assertWhole(facts);
    assertCatalogAgrees(dataDir, facts);
    assert.equal((await catalog.heldBytes()).bytes, await keptBytes(dataDir));
    assert.ok(facts.layers.has(`${repositoryPath(OTHER)}@${digestOf(SHARED)}`));
    await catalog.close();
  }
});

test("what is damaged goes with every link to it, and counts no more", async (t) => {
  const site = await evictingSite(t);
  await held(site);
  const digest = digestOf(SHARED);
  const before = (await site.catalog.heldBytes()).bytes;
  await site.departures.removeDamaged(digest, async () => false);
  assert.equal((await site.catalog.heldBytes()).bytes, before);
  await site.departures.removeDamaged(digest, async () => true);
  assert.equal((await site.catalog.heldBytes()).bytes, before - SHARED.length);
  const facts = await readStore(site.dataDir);
  assertWhole(facts);
  assertCatalogAgrees(site.dataDir, facts);
  assert.equal(await site.held.hasLink("layer", OTHER, digest), false);
  assert.equal(await site.held.linkBlob(OTHER, digest, SHARED.length), false, "no link to bytes that are not there");
});

test("nothing is evicted from where somebody keeps something, and nothing kept where something goes", async (t) => {
  const site = await evictingSite(t);
  const { index, child } = await held(site);
  const find = async () => await site.catalog.leaving(APP, index);
  const keeping = await site.held.locks.shared(repositoryPath(APP));
  assert.equal(await site.departures.remove(APP, find), "busy");
  keeping();
  let isTagged: Promise<void> | undefined;
  const departed = await site.departures.remove(APP, async () => {
    // It comes while the eviction is under way, and must not point into nothing afterwards.
    isTagged = site.held.setTag(APP, "new" as never, child, Date.now());
    return await find();
  });
  assert.ok(departed !== "busy" && departed !== undefined);
  await isTagged;
  assert.equal(await site.held.tag(APP, "new" as never), undefined);
  assert.equal(await site.held.manifest(APP, index), undefined);
  assert.equal(await site.departures.remove(APP, find), undefined);
  assert.deepEqual(site.gone[0]?.repositories[0]?.tags.toSorted(), ["1", "amd64"]);
  assertWhole(await readStore(site.dataDir));
});
