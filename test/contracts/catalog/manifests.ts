import assert from "node:assert/strict";
import { it } from "node:test";
import { type Manifest, UNKNOWN_SIZE } from "../../../src/oci/manifest.ts";
import { REFERENCES_MAX } from "../../../src/catalog/manifests.ts";
import * as types from "../../../src/oci/media-types.ts";
import { digest, image, latest, nginx, plain, record, redis, repository, type SetUp } from "./samples.ts";

export function manifestsAndBlobs(setUp: SetUp): void {
  it("knows a manifest once it is recorded, in its own repository only", async (t) => {
    const { catalog } = await setUp(t);
    assert.equal(await catalog.manifest(nginx, digest("m")), undefined);
    await catalog.recordManifest(record(nginx, "m", { fetchedWith: "me" }));
    assert.deepEqual(await catalog.manifest(nginx, digest("m")), {
      mediaType: types.OCI_MANIFEST,
      size: 100,
      fetchedWith: "me",
    });
    assert.equal(await catalog.manifest(redis, digest("m")), undefined);
  });

  it("takes over who fetched a manifest last, and what its type was said to be", async (t) => {
    const { catalog } = await setUp(t);
    await catalog.recordManifest(record(nginx, "m", { fetchedWith: "me" }));
    const again = { manifest: { ...image("config of m"), mediaType: types.DOCKER_MANIFEST } };
    await catalog.recordManifest(record(nginx, "m", again));
    assert.deepEqual(await catalog.manifest(nginx, digest("m")), {
      mediaType: types.DOCKER_MANIFEST,
      size: 100,
      fetchedWith: undefined,
    });
  });

  it("knows at which registries some content was fetched without credentials", async (t) => {
    const { catalog } = await setUp(t);
    const ghcr = repository("owner/app", "ghcr", "ghcr.io");
    const blob = { digest: digest("b"), size: 1, atMs: 1 };
    await catalog.recordBlob({ ...blob, repository: nginx, fetchedWith: "me" });
    await catalog.recordManifest(record(nginx, "m"));
    assert.equal(await catalog.isOpenAt(["dockerhub"], digest("b")), false);
    assert.equal(await catalog.isOpenAt(["ghcr", "dockerhub"], digest("m")), true);
    assert.equal(await catalog.isOpenAt(["ghcr"], digest("m")), false);
    await catalog.recordBlob({ ...blob, repository: ghcr, fetchedWith: undefined });
    assert.equal(await catalog.isOpenAt(["dockerhub"], digest("b")), false);
    assert.equal(await catalog.isOpenAt(["ghcr"], digest("b")), true);
    assert.equal(await catalog.isOpenAt(["ghcr"], digest("elsewhere")), false);
  });

  it("remembers only so many of the things that a manifest names", async (t) => {
    const { catalog } = await setUp(t);
    const names = Array.from({ length: REFERENCES_MAX + 1 }, (_, index) => `${index}`);
    await catalog.recordManifest(record(nginx, "monster", { manifest: image(...names) }));
    assert.deepEqual(await catalog.namedBy(nginx, digest(`${REFERENCES_MAX - 1}`)), { size: 7 });
    assert.equal(await catalog.namedBy(nginx, digest(`${REFERENCES_MAX}`)), undefined);
  });

  it("gives the size of blobs and child manifests that a repository's manifest names", async (t) => {
    const { catalog } = await setUp(t);
    const child = { mediaType: types.OCI_MANIFEST, digest: digest("child"), size: 321 };
    await catalog.recordManifest(record(nginx, "image", { manifest: image("layer") }));
    await catalog.recordManifest(
      record(nginx, "index", { manifest: { mediaType: types.OCI_INDEX, manifests: [child], blobs: [] } }),
    );
    assert.deepEqual(await catalog.namedBy(nginx, digest("layer")), { size: 7 });
    assert.deepEqual(await catalog.namedBy(nginx, digest("child")), { size: 321 });
    assert.equal(await catalog.namedBy(redis, digest("layer")), undefined);
    assert.equal(await catalog.namedBy(nginx, digest("image")), undefined);
  });

  it("does not take a subject for proof that the repository has it", async (t) => {
    const { catalog } = await setUp(t);
    await catalog.recordManifest(
      record(nginx, "signature", { manifest: { ...image("payload"), subject: digest("signed") } }),
    );
    assert.equal(await catalog.namedBy(nginx, digest("signed")), undefined);
  });

  it("counts a blob of unknown size as named, and prefers a size that is known", async (t) => {
    const { catalog } = await setUp(t);
    const sizeless = { mediaType: "", digest: digest("layer"), size: UNKNOWN_SIZE };
    const schema1: Manifest = { mediaType: types.DOCKER_SCHEMA1, manifests: [], blobs: [sizeless] };
    await catalog.recordManifest(record(nginx, "old", { manifest: schema1 }));
    assert.deepEqual(await catalog.namedBy(nginx, digest("layer")), { size: UNKNOWN_SIZE });
    await catalog.recordManifest(record(nginx, "new", { manifest: image("layer") }));
    assert.deepEqual(await catalog.namedBy(nginx, digest("layer")), { size: 7 });
    const both = { ...schema1, blobs: [sizeless, { ...sizeless, size: 9 }, sizeless] };
    await catalog.recordManifest(record(redis, "both", { manifest: both }));
    assert.deepEqual(await catalog.namedBy(redis, digest("layer")), { size: 9 });
  });

  it("records a blob that a manifest names many times once", async (t) => {
    const { catalog, db } = await setUp(t);
    const names = Array.from({ length: 500 }, (_, index) => `layer ${index}`);
    await catalog.recordManifest(record(nginx, "huge", { manifest: image(...names, ...names) }));
    assert.deepEqual(await catalog.namedBy(nginx, digest("layer 499")), { size: 7 });
    const rows = await db.selectFrom("manifest_references").select("digest").execute();
    assert.equal(rows.length, names.length);
  });

  it("keeps a blob's age when it is recorded again, and takes over size and fetcher", async (t) => {
    const { catalog, db } = await setUp(t);
    const blob = { repository: nginx, digest: digest("b"), size: 5, fetchedWith: "me", atMs: 10 };
    await catalog.recordBlob(blob);
    await catalog.recordBlob({ ...blob, size: 6, fetchedWith: undefined, atMs: 20 });
    const rows = await db.selectFrom("blobs").select(["size", "fetched_with", "held_at_ms"]).execute();
    assert.deepEqual(plain(rows), [{ size: 6, fetched_with: null, held_at_ms: 10 }]);
  });

  it("follows a registry that got another id in the configuration", async (t) => {
    const { catalog } = await setUp(t);
    await catalog.recordManifest(record(nginx, "m"));
    const renamed = { ...nginx, registryId: "hub" };
    await catalog.recordTag(renamed, latest, digest("m"), 10);
    assert.deepEqual(await catalog.repositories({ limit: 9 }), [renamed]);
    assert.deepEqual([...(await catalog.countImages())], [["hub", 1]]);
  });
}
