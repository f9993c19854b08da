import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { sql } from "kysely";
import { prove } from "../../support/property.ts";
import type { Catalog, Leaving } from "../../../src/catalog/catalog.ts";
import type { CatalogDb } from "../../../src/catalog/schema.ts";
import type { Digest } from "../../../src/oci/digest.ts";
import type { Manifest } from "../../../src/oci/manifest.ts";
import * as types from "../../../src/oci/media-types.ts";
import type { Repository } from "../../../src/oci/reference.ts";
import {
  asTag,
  digest,
  image,
  latest,
  nginx,
  once,
  record,
  redis,
  repository,
  type SetUp,
  snapshot,
} from "./samples.ts";

/** The same sums by going through everything. */
async function recounted(db: CatalogDb): Promise<Record<string, { bytes: number; contents: number }>> {
  const { rows } = await sql<{ registry_id: string; bytes: number; contents: number }>`
    with links (registry_id, digest, size) as (
      select r.registry_id, l.digest, l.size from repositories r join (
        select repository_id, digest, size from blobs union all select repository_id, digest, size from manifests
      ) l on l.repository_id = r.id
    ), held (registry_id, digest, size) as (
      select distinct registry_id, digest, size from links union select '', digest, size from links
    )
    select registry_id, sum(size) as bytes, count(*) as contents from held group by registry_id`.execute(db);
  return Object.fromEntries(rows.map(({ registry_id, ...sums }) => [registry_id, { ...sums }]));
}

async function told(catalog: Catalog): Promise<Record<string, { bytes: number; contents: number }>> {
  const { byRegistry, ...all } = await catalog.heldBytes();
  const sums = [["", all] as const, ...byRegistry].filter(([, { contents }]) => contents > 0);
  return Object.fromEntries(sums);
}

/** Roots by the rule itself. */
async function rootsByRule(db: CatalogDb): Promise<string[]> {
  const { rows } = await sql<{ digest: string }>`
    select m.repository_id || ' ' || m.digest as digest from manifests m where not exists (
      select 1 from manifest_references n join manifests o on o.id = n.manifest_id
      where o.repository_id = m.repository_id and n.digest = m.digest and n.kind = 'manifest'
    ) and not exists (
      select 1 from manifests s where s.repository_id = m.repository_id and s.digest = m.subject
    ) order by 1`.execute(db);
  return rows.map((row) => row.digest);
}

async function rootsMarked(db: CatalogDb): Promise<string[]> {
  const { rows } = await sql<{ digest: string }>`
    select repository_id || ' ' || digest as digest from manifests where is_root = 1 order by 1`.execute(db);
  return rows.map((row) => row.digest);
}

export function indexOf(...children: string[]): Manifest {
  const manifests = children.map((child) => ({ mediaType: types.OCI_MANIFEST, digest: digest(child), size: 100 }));
  return { mediaType: types.OCI_INDEX, manifests, blobs: [] };
}

const digests = (sized: readonly { readonly digest: Digest }[]) => sized.map((one) => one.digest).toSorted();
const named = (...names: string[]) => names.map(digest).toSorted();

export function heldContents(setUp: SetUp): void {
  const blob = async (catalog: Catalog, where: Repository, name: string, size = 7, atMs = 10) =>
    await catalog.recordBlob({ repository: where, digest: digest(name), size, fetchedWith: undefined, atMs });
  const roots = async (catalog: Catalog) => (await catalog.leastUsed({ limit: 99 })).map((root) => root.digest);

  it("counts each content once in all and once for each registry", async (t) => {
    const { catalog, db } = await setUp(t);
    const app = repository("app", "ghcr", "ghcr.io");
    await catalog.recordManifest(record(nginx, "m"));
    await catalog.recordManifest(record(redis, "m"));
    await catalog.recordManifest(record(app, "m"));
    await blob(catalog, nginx, "b");
    await blob(catalog, nginx, "b");
    await blob(catalog, app, "c", 1);
    const { byRegistry, ...all } = await catalog.heldBytes();
    assert.deepEqual(all, { bytes: 108, contents: 3 });
    assert.deepEqual(Object.fromEntries(byRegistry), {
      dockerhub: { bytes: 107, contents: 2 },
      ghcr: { bytes: 101, contents: 2 },
    });
    assert.equal(await catalog.linksTo(digest("m")), 3);
    assert.equal(await catalog.linksTo(digest("m"), "ghcr"), 1);
    assert.equal(await catalog.linksTo(digest("none")), 0);
    assert.deepEqual(await told(catalog), await recounted(db));
  });

  it("counts a content as large as it was last found to be, wherever it is", async (t) => {
    const { catalog } = await setUp(t);
    await blob(catalog, nginx, "b", 10);
    await blob(catalog, repository("app", "ghcr", "ghcr.io"), "b", 4);
    const { bytes, byRegistry } = await catalog.heldBytes();
    assert.deepEqual([bytes, byRegistry.get("dockerhub")?.bytes, byRegistry.get("ghcr")?.bytes], [4, 4, 4]);
  });

  it("counts a repository where it belongs when its registry gets another id", async (t) => {
    const { catalog } = await setUp(t);
    await catalog.recordManifest(record(nginx, "m"));
    await blob(catalog, nginx, "b");
    await catalog.recordManifest(record({ ...nginx, registryId: "hub" }, "other"));
    const { byRegistry, ...all } = await catalog.heldBytes();
    assert.deepEqual(all, { bytes: 207, contents: 3 });
    assert.deepEqual(byRegistry.get("hub"), all);
    assert.deepEqual(byRegistry.get("dockerhub"), { bytes: 0, contents: 0 });
  });

  it("knows what leaves with an image: not what another image, or another repository, has as well", async (t) => {
    const { catalog } = await setUp(t);
    await catalog.recordManifest(record(nginx, "amd64", { manifest: image("base", "own") }));
    await catalog.recordManifest(record(nginx, "old", { manifest: indexOf("amd64", "arm64", "shared") }));
    await catalog.recordManifest(record(nginx, "shared", { manifest: image("base") }));
    await catalog.recordManifest(record(nginx, "new", { manifest: indexOf("shared") }));
    const signature = { ...image("note"), subject: digest("amd64") };
    await catalog.recordManifest(record(nginx, "signature", { manifest: signature }));
    for (const name of ["base", "own", "note", "loose"]) await blob(catalog, nginx, name);
    await blob(catalog, redis, "note");
    await catalog.recordTag(nginx, latest, digest("old"), 10);
    assert.deepEqual((await roots(catalog)).toSorted(), named("old", "new"));
    const leaving = await catalog.leaving(nginx, digest("old"));
    assert.deepEqual(digests(leaving?.manifests ?? []), named("old", "amd64", "signature"));
    assert.equal(leaving?.manifests[0]?.digest, digest("old"));
    assert.deepEqual(digests(leaving?.blobs ?? []), named("own", "note"));
    const comingBack = leaving?.contents.filter(({ leaves, links }) => leaves === links);
    assert.deepEqual(digests(comingBack ?? []), named("old", "amd64", "signature", "own"));
    assert.deepEqual(leaving?.contents.find((one) => one.digest === digest("note"))?.registryLinks, 2);
    assert.deepEqual(leaving?.tags, [latest]);
    assert.deepEqual(await catalog.rootsOf(nginx, digest("signature")), [digest("old")]);
    assert.deepEqual((await catalog.rootsOf(nginx, digest("shared"))).toSorted(), named("old", "new"));
    assert.equal(await catalog.leaving(redis, digest("old")), undefined);
    const afterOld = await catalog.leaving(
      nginx,
      digest("new"),
      leaving?.manifests.map((one) => one.digest),
    );
    assert.deepEqual(digests(afterOld?.manifests ?? []), named("new", "shared"));
    assert.deepEqual(digests(afterOld?.blobs ?? []), named("base"));
    const { blobs } = await catalog.looseBlobs({ limit: 99 });
    assert.deepEqual(
      blobs.map((one) => [one.repository, one.digest]),
      [
        [nginx, digest("loose")],
        [redis, digest("note")],
      ],
    );
  });

  it("forgets an image, its tags into their history", async (t) => {
    const { catalog } = await setUp(t);
    await catalog.recordManifest(record(nginx, "child", { manifest: image("own") }));
    await catalog.recordManifest(record(nginx, "index", { manifest: indexOf("child") }));
    await blob(catalog, nginx, "own");
    await catalog.recordTag(nginx, latest, digest("index"), 10);
    await catalog.forget((await catalog.leaving(nginx, digest("index"))) as Leaving);
    assert.equal(await catalog.manifest(nginx, digest("child")), undefined);
    assert.equal(await catalog.tag(nginx, latest), undefined);
    assert.deepEqual(await told(catalog), {});
    await catalog.recordTag(nginx, latest, digest("other"), 50);
    assert.deepEqual(
      (await catalog.tagHistory(nginx, latest)).map((seen) => seen.digest),
      [digest("other"), digest("index")],
    );
  });

  it("forgets a blob wherever it is, and nothing else", async (t) => {
    const { catalog, db } = await setUp(t);
    const all = Array.from({ length: 205 }, (_, at) => repository(`r${at}`));
    for (const one of all) await blob(catalog, one, "b");
    await blob(catalog, nginx, "c");
    const had = await catalog.forgetBlob(digest("b"));
    assert.deepEqual(had.map(({ name }) => name).toSorted(), all.map(({ name }) => name).toSorted());
    assert.deepEqual(await told(catalog), await recounted(db));
    assert.deepEqual((await catalog.heldBytes()).contents, 1);
  });

  it("takes what leads to a used child, layer or signature for used; not for a layer that others share", async (t) => {
    const { catalog } = await setUp(t);
    await catalog.recordManifest(record(nginx, "child", { manifest: image("base", "own") }));
    await catalog.recordManifest(record(nginx, "index", { manifest: indexOf("child") }));
    await catalog.recordManifest(record(nginx, "other", { manifest: image("base") }));
    await catalog.recordManifest(
      record(nginx, "signature", { manifest: { ...image("note"), subject: digest("child") } }),
    );
    for (const name of ["base", "own", "note"]) await blob(catalog, nginx, name);
    const lastUse = async () =>
      Object.fromEntries((await catalog.leastUsed({ limit: 9 })).map((root) => [root.digest, root.lastUsedAtMs]));
    const use = async (name: string, atMs: number) =>
      await catalog.touch([{ repository: nginx, digest: digest(name), atMs }]);
    await use("base", 20);
    assert.deepEqual(await lastUse(), { [digest("index")]: 10, [digest("other")]: 10 });
    for (const [at, name] of ["child", "own", "signature", "note"].entries()) {
      await use(name, 30 + at);
      assert.deepEqual(await lastUse(), { [digest("index")]: 30 + at, [digest("other")]: 10 }, name);
    }
  });

  it("gives roots by last use, in pages", async (t) => {
    const { catalog } = await setUp(t);
    const names = Array.from({ length: 7 }, (_, at) => `m${at}`);
    for (const name of names) await catalog.recordManifest(record(nginx, name));
    await catalog.touch([{ repository: nginx, digest: digest("m0"), atMs: 99 }]);
    const found: Digest[] = [];
    for (let after: Parameters<Catalog["leastUsed"]>[0]["after"]; ;) {
      const page = await catalog.leastUsed({ after, limit: 2 });
      if (page.length === 0) break;
      found.push(...page.map((root) => root.digest));
      after = page.at(-1);
    }
    assert.deepEqual(found, [...names.slice(1), "m0"].map(digest));
  });

  it("agrees with a recount after any history of records, evictions and rebuilds", async (t) => {
    const names = ["a", "b", "c", "d"];
    const step = fc.record({
      kind: fc.constantFrom("blob", "image", "index", "tag", "evict", "lost", "rebuild", "other id"),
      where: fc.nat(2),
      name: fc.constantFrom(...names),
      names: fc.subarray(names),
    });
    await prove(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const { catalog, db, clock } = await setUp(t);
        let hubId = "dockerhub";
        for (const { kind, where, name, names: some } of steps) {
          clock.ms += 10;
          const of = where === 2 ? repository("app", "ghcr", "ghcr.io") : repository(`r${where}`, hubId);
          const sizeOf = (one: string) => digest(one).charCodeAt(10);
          // A name stands for what it is made of, as a digest does.
          const imageName = `image of ${some.join()}`;
          const indexName = `index of ${some.join()}`;
          const atMs = clock.ms;
          switch (kind) {
            case "blob":
              await blob(catalog, of, name, sizeOf(name), atMs);
              break;
            case "image": {
              const manifest = { ...image(...some), ...(where === 0 ? { subject: digest(`image of ${name}`) } : {}) };
              await catalog.recordManifest(record(of, `${imageName}${where}`, { manifest, atMs }));
              await catalog.recordManifest(record(of, imageName, { manifest: image(...some), atMs }));
              break;
            }
            case "index": {
              const manifest = indexOf(...some.map((one) => `image of ${one}`));
              await catalog.recordManifest(record(of, indexName, { manifest, atMs }));
              break;
            }
            case "tag":
              await catalog.recordTag(of, asTag(name), digest(imageName), atMs);
              break;
            case "evict": {
              const [root] = await catalog.leastUsed({ limit: 1 });
              const leaving = root && (await catalog.leaving(root.repository, root.digest));
              if (leaving !== undefined) await catalog.forget(leaving);
              break;
            }
            case "lost":
              await catalog.forgetBlob(digest(name));
              break;
            case "rebuild":
              await catalog.replaceHeld(
                once({
                  ...snapshot(
                    of,
                    some.map((one) => `other ${one}`),
                  ),
                  blobs: some.map((one) => sizedBlob(one, sizeOf(one), atMs)),
                }),
              );
              break;
            case "other id":
              hubId = hubId === "dockerhub" ? "hub" : "dockerhub";
          }
          assert.deepEqual(await told(catalog), await recounted(db), kind);
          assert.deepEqual(await rootsMarked(db), await rootsByRule(db), kind);
        }
      }),
      20,
    );
  });
}

function sizedBlob(name: string, size: number, atMs: number) {
  return { digest: digest(name), size, fetchedWith: undefined, atMs };
}
