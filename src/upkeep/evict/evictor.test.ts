import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { repository } from "../../../test/contracts/catalog/samples.ts";
import {
  assertCatalogAgrees,
  assertWhole,
  readStore,
  type StoreFacts,
} from "../../../test/faults/support/agreement.ts";
import { keptBytes } from "../../../test/faults/support/folder-size.ts";
import { seededBytes } from "../../../test/support/bytes.ts";
import { evictingSite, type EvictingSite } from "../../../test/support/evicting.ts";
import { prove } from "../../../test/support/property.ts";
import { type Digest, digestOf } from "../../oci/digest.ts";
import { type Repository, repositoryPath, type Tag } from "../../oci/reference.ts";

const APP = repository("library/app");
const OTHER = repository("library/other");
const CORP = repository("team/app", "corp", "registry.corp.example");
const WHERE = [APP, OTHER, CORP];

function layer(seed: string, bytes = 10_000): Buffer {
  return seededBytes(bytes, seed);
}

/** The bytes that `heldBytes` says are the ones that lie on the disk. */
async function assertAgrees({ dataDir, catalog, held }: EvictingSite): Promise<StoreFacts> {
  await held.idle();
  const facts = await readStore(dataDir);
  assertWhole(facts);
  assertCatalogAgrees(dataDir, facts);
  assert.equal((await catalog.heldBytes()).bytes, await keptBytes(dataDir));
  return facts;
}

/** The digests of images that are held, the longest unused first. */
async function heldRoots(site: EvictingSite): Promise<Digest[]> {
  return (await site.roots()).map(({ digest }) => digest);
}

async function prunedTo(site: EvictingSite, bytes: number) {
  site.budgets.all = bytes;
  return await site.evictor.prune();
}

test("the longest unused image goes first, and no more than has to", async (t) => {
  const site = await evictingSite(t);
  const images: Digest[] = [];
  for (const name of ["a", "b", "c", "d"]) images.push(await site.image(APP, [layer(name)], name));
  await site.use(APP, images[0] as Digest);
  const report = await prunedTo(site, 25_000);
  assert.deepEqual(await heldRoots(site), [images[3], images[0]]);
  assert.deepEqual(
    report.evicted.map(({ digest, why, tags }) => [digest, why, ...tags]),
    [
      [images[1], "budget", "b"],
      [images[2], "budget", "c"],
    ],
  );
  assert.equal(report.lacking, undefined);
  assert.deepEqual(site.evicted, report.evicted);
  const facts = await assertAgrees(site);
  assert.deepEqual([...facts.tags.keys()].toSorted(), ["docker.io/library/app:a", "docker.io/library/app:d"]);
});

test("an index goes with its children, layers and signatures; what another image has stays", async (t) => {
  const site = await evictingSite(t);
  const [shared, own, note] = [layer("shared"), layer("own"), layer("note", 50)];
  const child = await site.image(APP, [shared, own]);
  const index = await site.index(APP, [child], "1");
  const signature = await site.image(APP, [note], undefined, child);
  await site.image(OTHER, [own], "1");
  const young = await site.image(APP, [shared], "2");
  const plan = await site.evictor.evict({
    kind: "image",
    repository: APP,
    reference: { kind: "tag", tag: "1" as Tag },
    isDryRun: true,
  });
  assert.deepEqual(site.evicted, []);
  const report = await site.evictor.evict({
    kind: "image",
    repository: APP,
    reference: { kind: "digest", digest: signature },
  });
  assert.deepEqual({ ...report, evicted: [] }, { ...plan, evicted: [] });
  assert.deepEqual(
    report.evicted.map(({ digest, why }) => [digest, why]),
    [[index, "asked"]],
  );
  const facts = await assertAgrees(site);
  const layers = [...facts.layers].toSorted();
  assert.deepEqual(layers, [`docker.io/library/app@${digestOf(shared)}`, `docker.io/library/other@${digestOf(own)}`]);
  assert.ok(facts.manifests.has(`docker.io/library/app@${young}`));
  assert.equal(facts.manifests.size, 2);
});

test("several dry runs count what only they have together as coming back, and nothing twice", async (t) => {
  const site = await evictingSite(t);
  const shared = layer("shared");
  await site.image(APP, [shared, layer("one")], "1");
  await site.image(APP, [shared, layer("two")], "2");
  const asked = (tag: string, isDryRun: boolean) => {
    const reference = { kind: "tag", tag: tag as Tag } as const;
    return { kind: "image", repository: APP, reference, isDryRun } as const;
  };
  const reckoned = site.evictor.reckoning();
  const dry = [];
  for (const tag of ["1", "2", "1"]) dry.push((await site.evictor.evict(asked(tag, true), reckoned)).bytes);
  const wet = [];
  for (const tag of ["1", "2", "1"]) wet.push((await site.evictor.evict(asked(tag, false))).bytes);
  assert.deepEqual(dry, wet);
  assert.equal(wet[2], 0);
  assert.deepEqual((await site.catalog.heldBytes()).bytes, 0);
});

test("what only frees bytes together goes together, and a plan knows", async (t) => {
  const site = await evictingSite(t);
  const big = layer("big", 50_000);
  for (const where of WHERE) await site.image(where, [big], "same");
  const small = await site.image(APP, [layer("small", 100)], "small");
  site.budgets.all = 20_000;
  const plan = await site.evictor.plan();
  assert.equal(plan.lacking, undefined);
  const report = await site.evictor.prune();
  assert.deepEqual(report.evicted, plan.evicted);
  assert.equal(report.bytes, plan.bytes);
  assert.deepEqual(
    report.evicted.map(({ bytes, tags }) => [bytes > 50_000, ...tags]),
    [
      [false, "same"],
      [false, "same"],
      [true, "same"],
    ],
  );
  assert.deepEqual(await heldRoots(site), [small]);
  await assertAgrees(site);
});

test("a registry's own budget takes from that registry alone", async (t) => {
  const site = await evictingSite(t);
  const old = await site.image(APP, [layer("old")], "1");
  await site.image(CORP, [layer("a")], "1");
  const young = await site.image(CORP, [layer("b")], "2");
  site.budgets.byRegistry.set("corp", 15_000);
  const report = await site.evictor.prune();
  assert.deepEqual(
    report.evicted.map(({ why, tags }) => [why, ...tags]),
    [["registry budget", "1"]],
  );
  assert.deepEqual(await heldRoots(site), [old, young]);
});

test("what cannot be had again, or is being read, goes after all others", async (t) => {
  const refetch = ({ name }: Repository) => (name === OTHER.name ? "gone" : "easy");
  const site = await evictingSite(t, { refetch });
  const gone = await site.image(OTHER, [layer("gone")], "1");
  const read = await site.image(APP, [layer("read")], "1");
  site.underWay.add(digestOf(layer("read")));
  await site.image(APP, [layer("plain")], "2");
  await prunedTo(site, 25_000);
  assert.deepEqual(await heldRoots(site), [gone, read]);
  await prunedTo(site, 12_000);
  assert.deepEqual(await heldRoots(site), [read]);
  await prunedTo(site, 1_000);
  assert.deepEqual(await heldRoots(site), []);
});

test("a round begins above the high mark only, of each budget by itself, and a plan foretells it", async (t) => {
  const site = await evictingSite(t);
  const [old, corp] = [await site.image(APP, [layer("old")], "1"), await site.image(CORP, [layer("corp")], "1")];
  for (const tag of ["2", "3"]) await site.image(APP, [layer(tag)], tag);
  const round = async () => {
    const { evicted, lacking } = await site.evictor.plan();
    assert.equal(lacking, undefined);
    site.evicted.length = 0;
    site.evictor.tend();
    await site.evictor.idle();
    assert.deepEqual(site.evicted, evicted);
    return site.evicted.map(({ digest }) => digest);
  };
  const { bytes: used, byRegistry } = await site.catalog.heldBytes();
  const usedByCorp = byRegistry.get("corp")?.bytes ?? 0;
  site.budgets.all = Math.ceil(used / 0.93);
  site.budgets.byRegistry.set("corp", Math.ceil(usedByCorp / 0.93));
  assert.deepEqual(await round(), []);
  site.budgets.byRegistry.set("corp", Math.floor(usedByCorp / 0.97));
  assert.deepEqual(await round(), [corp], "the budget over all is between the marks, and begins nothing");
  site.budgets.all = Math.floor((await site.room.used()) / 0.97);
  assert.deepEqual(await round(), [old]);
  assert.ok((await site.room.used()) <= 0.9 * site.budgets.all);
});

test("pins stay, and what a budget lacks for them is told", async (t) => {
  const site = await evictingSite(t, { configuredPins: ["registry.corp.example/**:v*"] });
  const child = await site.image(APP, [layer("child")]);
  const index = await site.index(APP, [child], "1");
  const tagged = await site.image(CORP, [layer("tagged")], "v1");
  await site.image(CORP, [layer("plain")], "main");
  await site.pins.add(`docker.io/library/app@${child}`, "by its child");
  site.budgets.all = 5_000;
  const plan = await site.evictor.plan();
  assert.ok((plan.lacking?.all ?? 0) > 15_000);
  assert.equal(plan.pinned, 2);
  const report = await site.evictor.prune();
  assert.deepEqual([report.lacking === undefined, report.pinned, report.evicted.length], [false, 2, 1]);
  assert.deepEqual(await heldRoots(site), [index, tagged]);
  const asked = await site.evictor.evict({ kind: "glob", glob: "docker.io/library/*" });
  assert.deepEqual([asked.images, asked.pinned], [0, [`docker.io/library/app@${index}`]]);
  await site.pins.remove([`docker.io/library/app@${child}`]);
  assert.equal((await site.evictor.evict({ kind: "registry", registryId: "dockerhub" })).images, 1);
  await assertAgrees(site);
});

test("a pin of one tag among very many keeps the image", async (t) => {
  const site = await evictingSite(t);
  const image = await site.image(APP, [layer("a")]);
  for (let at = 0; at < 1_200; at += 1) await site.catalog.recordTag(APP, `v${at}` as Tag, image, 1_000);
  for (const tag of ["v0", "v1199"]) {
    await site.pins.add(`docker.io/library/app:${tag}`);
    const { images, pinned } = await site.evictor.evict({ kind: "registry", registryId: "dockerhub" });
    assert.deepEqual([images, pinned], [0, [`docker.io/library/app@${image}`]], tag);
    await site.pins.remove([`docker.io/library/app:${tag}`]);
  }
});

test("where pins keep all, fills do not have every image looked at anew each time", async (t) => {
  const site = await evictingSite(t, { configuredPins: ["docker.io/**"] });
  for (const seed of ["a", "b", "c"]) await site.image(APP, [layer(seed)], seed);
  site.budgets.all = 1;
  let looks = 0;
  const shortage = async () => {
    looks += 1;
    return await site.room.shortage([]);
  };
  assert.equal(await site.evictor.makeRoom(shortage), false);
  const first = looks;
  const more = await Promise.all(Array.from({ length: 10 }, async () => await site.evictor.makeRoom(shortage)));
  assert.ok(more.every((made) => !made));
  assert.ok(looks - first < 10 * first, "some of them were not looked for");
});

test("images that nobody has pulled for long go, but for pinned ones", async (t) => {
  const site = await evictingSite(t, { maxAgeMs: 60_000, configuredPins: ["docker.io/library/other"] });
  const old = Date.now() - 120_000;
  for (const where of [APP, OTHER]) {
    const digest = digestOf(Buffer.from(`manifest ${where.name}`));
    await site.store.putBlob(digest, Buffer.from(`manifest ${where.name}`));
    await site.store.link("manifest", where, digest, undefined);
    const manifest = { mediaType: "x", manifests: [], blobs: [] };
    await site.catalog.recordManifest({
      repository: where,
      digest,
      size: 20,
      manifest,
      fetchedWith: undefined,
      atMs: old,
    });
  }
  const young = await site.image(APP, [layer("young")], "1");
  const plan = await site.evictor.plan();
  const report = await site.evictor.prune();
  assert.deepEqual(report.evicted, plan.evicted);
  assert.deepEqual(
    report.evicted.map(({ why, repository: { name } }) => [why, name]),
    [["age", "library/app"]],
  );
  assert.equal((await heldRoots(site)).at(-1), young);
});

test("bytes that nothing leads to are counted at once, and removed when they are old", async (t) => {
  const site = await evictingSite(t);
  await site.image(APP, [layer("held")], "1");
  const orphan = layer("orphan");
  await site.store.putBlob(digestOf(orphan), orphan);
  const plan = await site.evictor.plan();
  assert.deepEqual([plan.orphans, plan.orphanBytes], [1, orphan.length]);
  site.budgets.all = 25_000;
  assert.equal(await site.room.used(), await keptBytes(site.dataDir));
  const { orphansRemoved } = await site.evictor.prune();
  assert.equal(orphansRemoved, 0);
  assert.ok(await site.store.statBlob(digestOf(orphan)));
});

test("blobs that no image leads to go before any image, but for those that are young or read", async (t) => {
  const site = await evictingSite(t);
  const image = await site.image(APP, [layer("held")], "1");
  const keep = async (seed: string, ageMs: number) => {
    const [bytes, digest] = [layer(seed), digestOf(layer(seed))];
    await site.store.putBlob(digest, bytes);
    await site.store.link("layer", OTHER, digest, undefined);
    const atMs = Date.now() - ageMs;
    await site.catalog.recordBlob({ repository: OTHER, digest, size: bytes.length, fetchedWith: undefined, atMs });
    return digest;
  };
  const [old, read, young] = [await keep("old", 600_000), await keep("read", 600_000), await keep("young", 0)];
  site.underWay.add(read);
  site.budgets.all = 35_000;
  const plan = await site.evictor.plan();
  assert.deepEqual([plan.evicted, plan.looseGoing], [[], { count: 1, bytes: 10_000 }]);
  assert.equal(plan.looseBytes, 20_000, "what is read is somebody's");
  assert.equal(await site.evictor.makeRoom(async () => await site.room.shortage([])), true);
  assert.deepEqual(
    site.evicted.map(({ digest, why, bytes }) => [digest, why, bytes]),
    [[undefined, "nobody's", 10_000]],
  );
  assert.deepEqual(await heldRoots(site), [image]);
  const are = async (digest: Digest) => (await site.store.statBlob(digest)) !== undefined;
  assert.deepEqual([await are(old), await are(read), await are(young)], [false, true, true]);
  // What is left of such blobs is young, or read.
  site.budgets.all = 25_000;
  const { evicted, looseGone } = await site.evictor.prune();
  assert.deepEqual([evicted.map(({ digest }) => digest), looseGone.count], [[image], 0]);
});

test("no held image is broken, pins stay and budgets are reached after any history", async (t) => {
  const layers = ["l0", "l1", "l2", "l3", "l4"].map((seed, at) => layer(seed, 1_000 * (at + 1)));
  const step = fc.record({
    kind: fc.constantFrom("image", "image", "index", "use", "pin", "unpin", "budget", "evict"),
    where: fc.nat(2),
    of: fc.subarray(layers, { minLength: 1 }),
    tag: fc.constantFrom("a", "b", "c"),
    share: fc.nat(100),
  });
  await prove(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
      const site = await evictingSite(t);
      const pinned = new Set<string>();
      for (const { kind, where, of, tag, share } of steps) {
        const at = WHERE[where] as Repository;
        const roots = (await site.roots()).filter(({ repository: one }) => one.name === at.name);
        const reference = `${repositoryPath(at)}:${tag}`;
        switch (kind) {
          case "image":
            await site.image(at, of, tag);
            break;
          case "index":
            await site.index(
              at,
              roots.slice(0, 2).map(({ digest }) => digest),
              tag,
            );
            break;
          case "use":
            if (roots[0] !== undefined) await site.use(at, roots[0].digest);
            break;
          case "pin":
            pinned.add((await site.pins.add(reference)).reference);
            break;
          case "unpin":
            for (const one of await site.pins.remove([reference])) pinned.delete(one);
            break;
          case "budget":
          case "evict": {
            await site.held.idle();
            const before = await readStore(site.dataDir);
            const { bytes } = await site.catalog.heldBytes();
            if (kind === "budget") {
              const report = await prunedTo(site, Math.floor((bytes * share) / 100));
              const [used, left] = [await site.room.used(), await site.roots()];
              const isOver = used > (site.budgets.all ?? 0);
              assert.equal(report.lacking === undefined, !isOver);
              if (isOver) assert.equal(report.pinned, left.length, "all that is left is pinned");
              site.budgets.all = undefined;
            } else await site.evictor.evict({ kind: "glob", glob: `${repositoryPath(at)}:${tag}` });
            await assertNothingBroken(site, before, pinned);
          }
        }
      }
      await assertAgrees(site);
    }),
    25,
  );
});

/** What a manifest that is still held names, and was there, is there; pinned tags lead where they led. */
async function assertNothingBroken(site: EvictingSite, before: StoreFacts, pinned: ReadonlySet<string>): Promise<void> {
  const after = await assertAgrees(site);
  for (const held of after.manifests) {
    const [path = "", digest = ""] = held.split("@");
    const body = JSON.parse(String(await site.store.readBlob(digest as Digest, 1_000_000))) as {
      layers?: { digest: string }[];
      manifests?: { digest: string }[];
    };
    for (const { digest: named } of body.layers ?? [])
      assert.equal(after.layers.has(`${path}@${named}`), before.layers.has(`${path}@${named}`), named);
    for (const { digest: named } of body.manifests ?? [])
      assert.equal(after.manifests.has(`${path}@${named}`), before.manifests.has(`${path}@${named}`), named);
  }
  for (const reference of pinned) assert.equal(after.tags.get(reference), before.tags.get(reference), reference);
}
