import assert from "node:assert/strict";
import { it } from "node:test";
import * as types from "../../../src/oci/media-types.ts";
import { LEADING_MAX, TAGS_OF_MAX } from "../../../src/catalog/leading.ts";
import { asTag, digest, image, latest, nginx, once, record, redis, type SetUp, snapshot } from "./samples.ts";

function index(...children: string[]) {
  const manifests = children.map((name) => ({ mediaType: types.OCI_MANIFEST, digest: digest(name), size: 100 }));
  return { mediaType: types.OCI_INDEX, manifests, blobs: [] };
}

export function leading(setUp: SetUp): void {
  it("knows the tags that lead to a manifest, a child of an index, and a blob", async (t) => {
    const { catalog } = await setUp(t);
    await catalog.recordManifest(record(nginx, "amd64", { manifest: image("layer", "other") }));
    await catalog.recordManifest(record(nginx, "index", { manifest: index("amd64", "arm64") }));
    await catalog.recordManifest(record(nginx, "plain", { manifest: image("layer") }));
    await catalog.recordTag(nginx, latest, digest("index"), 10);
    await catalog.recordTag(nginx, asTag("1"), digest("plain"), 10);
    const of = async (kind: "manifest" | "blob", what: string) =>
      (await catalog.tagsOf(nginx, digest(what), kind)).toSorted();
    for (const name of ["index", "amd64", "arm64"]) assert.deepEqual(await of("manifest", name), ["latest"]);
    assert.deepEqual(await of("blob", "other"), ["latest"]);
    assert.deepEqual(await of("blob", "layer"), ["1", "latest"]);
    assert.deepEqual(await of("blob", "unknown"), []);
    // What has a digest for a layer does not lead to the manifest of that digest, nor the other way round.
    assert.deepEqual(await of("manifest", "layer"), []);
    assert.deepEqual(await of("blob", "amd64"), []);
  });

  it("counts where a tag pointed before, and nothing of other repositories", async (t) => {
    const { catalog } = await setUp(t);
    await catalog.recordManifest(record(nginx, "old", { manifest: image("layer") }));
    await catalog.recordManifest(record(redis, "new", { manifest: image("layer") }));
    await catalog.recordTag(nginx, latest, digest("old"), 10);
    await catalog.recordTag(nginx, latest, digest("new"), 20);
    await catalog.recordTag(redis, asTag("7"), digest("new"), 20);
    assert.deepEqual(await catalog.tagsOf(nginx, digest("layer"), "blob"), ["latest"]);
    assert.deepEqual(await catalog.tagsOf(redis, digest("layer"), "blob"), ["7"]);
    assert.deepEqual(await catalog.tagsOf(redis, digest("old"), "manifest"), []);
  });

  it("comes to an end where manifests name each other", async (t) => {
    const { catalog } = await setUp(t);
    await catalog.recordManifest(record(nginx, "a", { manifest: index("b") }));
    await catalog.recordManifest(record(nginx, "b", { manifest: index("a") }));
    await catalog.recordTag(nginx, latest, digest("a"), 10);
    assert.deepEqual(await catalog.tagsOf(nginx, digest("b"), "manifest"), ["latest"]);
  });

  it("knows when a digest was first seen, by whatever leads to it", async (t) => {
    const { catalog } = await setUp(t);
    const seen = async (what: string) =>
      await catalog.firstSeen(nginx, digest(what), what === "layer" ? "blob" : "manifest");
    assert.equal(await seen("amd64"), undefined);
    await catalog.recordManifest(record(nginx, "amd64", { manifest: image("layer"), atMs: 50 }));
    assert.deepEqual([await seen("amd64"), await seen("layer")], [50, 50]);
    await catalog.recordManifest(record(nginx, "index", { manifest: index("amd64", "arm64"), atMs: 40 }));
    assert.deepEqual([await seen("amd64"), await seen("layer"), await seen("arm64")], [40, 40, 40]);
    // Where a tag points is known before what it points to is held.
    await catalog.recordTag(nginx, latest, digest("index"), 30);
    assert.deepEqual([await seen("index"), await seen("layer")], [30, 30]);
    await catalog.recordTag(nginx, latest, digest("other"), 60);
    assert.deepEqual([await seen("index"), await seen("other")], [30, 60]);
    assert.equal(await catalog.firstSeen(redis, digest("layer"), "blob"), undefined);
    // Held once more is not seen for the first time.
    await catalog.recordManifest(record(nginx, "amd64", { manifest: image("layer"), atMs: 70 }));
    assert.equal(await seen("amd64"), 30);
  });

  it("does not take a manifest for as old as what names its digest as a blob", async (t) => {
    const { catalog } = await setUp(t);
    await catalog.recordManifest(record(nginx, "note", { manifest: image("evil"), atMs: 10 }));
    await catalog.recordTag(nginx, asTag("note"), digest("note"), 10);
    assert.equal(await catalog.firstSeen(nginx, digest("evil"), "manifest"), undefined);
    await catalog.recordManifest(record(nginx, "evil", { manifest: image("layer of evil"), atMs: 90 }));
    assert.equal(await catalog.firstSeen(nginx, digest("evil"), "manifest"), 90);
    assert.equal(await catalog.firstSeen(nginx, digest("layer of evil"), "blob"), 90);
    assert.equal(await catalog.firstSeen(nginx, digest("evil"), "blob"), 10);
  });

  it("answers for a layer that more images share than are looked at", async (t) => {
    const { catalog } = await setUp(t);
    const names = Array.from({ length: 3 * LEADING_MAX }, (_, at) => `image ${at}`);
    const manifests = names.map((name, at) => record(nginx, name, { manifest: image("base"), atMs: 10 + at }));
    const pointed = Object.fromEntries(names.map((name, at) => [`1.${at}`, name]));
    await catalog.replaceHeld(once({ ...snapshot(nginx, [], pointed), manifests }));
    const tags = await catalog.tagsOf(nginx, digest("base"), "blob");
    assert.equal(tags.length, TAGS_OF_MAX);
    assert.equal(new Set(tags).size, TAGS_OF_MAX);
    assert.equal(typeof (await catalog.firstSeen(nginx, digest("base"), "blob")), "number");
    assert.deepEqual(await catalog.tagsOf(nginx, digest("image 2999"), "manifest"), ["1.2999"]);
  });

  it("tells where a tag points and has pointed, the latest first", async (t) => {
    const { catalog } = await setUp(t);
    assert.deepEqual(await catalog.tagHistory(nginx, latest), []);
    for (const [name, atMs] of [
      ["a", 10],
      ["b", 20],
      ["c", 30],
    ] as const) {
      await catalog.recordTag(nginx, latest, digest(name), atMs);
    }
    await catalog.confirmTags([{ repository: nginx, tag: latest, digest: digest("c"), atMs: 35 }]);
    await catalog.recordTag(nginx, latest, digest("d"), 40);
    assert.deepEqual(await catalog.tagHistory(nginx, latest), [
      { digest: digest("d"), firstSeenAtMs: 40, confirmedAtMs: 40 },
      { digest: digest("c"), firstSeenAtMs: 30, confirmedAtMs: 35 },
      { digest: digest("b"), firstSeenAtMs: 20, confirmedAtMs: 20 },
      { digest: digest("a"), firstSeenAtMs: 10, confirmedAtMs: 10 },
    ]);
    assert.deepEqual(await catalog.tagHistory(nginx, asTag("1")), []);
  });
}
