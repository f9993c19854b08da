import assert from "node:assert/strict";
import { it } from "node:test";
import * as types from "../../../src/oci/media-types.ts";
import { asTag, digest, image, latest, nginx, record, redis, type SetUp } from "./samples.ts";

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
    const of = async (what: string) => (await catalog.tagsOf(nginx, digest(what))).toSorted();
    assert.deepEqual(await of("index"), ["latest"]);
    assert.deepEqual(await of("amd64"), ["latest"]);
    assert.deepEqual(await of("arm64"), ["latest"]);
    assert.deepEqual(await of("other"), ["latest"]);
    assert.deepEqual(await of("layer"), ["1", "latest"]);
    assert.deepEqual(await of("unknown"), []);
  });

  it("counts where a tag pointed before, and nothing of other repositories", async (t) => {
    const { catalog } = await setUp(t);
    await catalog.recordManifest(record(nginx, "old", { manifest: image("layer") }));
    await catalog.recordManifest(record(redis, "new", { manifest: image("layer") }));
    await catalog.recordTag(nginx, latest, digest("old"), 10);
    await catalog.recordTag(nginx, latest, digest("new"), 20);
    await catalog.recordTag(redis, asTag("7"), digest("new"), 20);
    assert.deepEqual(await catalog.tagsOf(nginx, digest("layer")), ["latest"]);
    assert.deepEqual(await catalog.tagsOf(redis, digest("layer")), ["7"]);
    assert.deepEqual(await catalog.tagsOf(redis, digest("old")), []);
  });

  it("comes to an end where manifests name each other", async (t) => {
    const { catalog } = await setUp(t);
    await catalog.recordManifest(record(nginx, "a", { manifest: index("b") }));
    await catalog.recordManifest(record(nginx, "b", { manifest: index("a") }));
    await catalog.recordTag(nginx, latest, digest("a"), 10);
    assert.deepEqual(await catalog.tagsOf(nginx, digest("b")), ["latest"]);
  });

  it("knows when a digest was first seen, by whatever leads to it", async (t) => {
    const { catalog } = await setUp(t);
    const seen = async (what: string) => await catalog.firstSeen(nginx, digest(what));
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
    assert.equal(await catalog.firstSeen(redis, digest("layer")), undefined);
    // Held once more is not seen for the first time.
    await catalog.recordManifest(record(nginx, "amd64", { manifest: image("layer"), atMs: 70 }));
    assert.equal(await seen("amd64"), 30);
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
    assert.deepEqual(await catalog.tagHistory(nginx, latest), [
      { digest: digest("c"), firstSeenAtMs: 30 },
      { digest: digest("b"), firstSeenAtMs: 20 },
      { digest: digest("a"), firstSeenAtMs: 10 },
    ]);
    assert.deepEqual(await catalog.tagHistory(nginx, asTag("1")), []);
  });
}
