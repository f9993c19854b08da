import assert from "node:assert/strict";
import { it } from "node:test";
import * as types from "../../../src/oci/media-types.ts";
import { asTag, digest, image, latest, nginx, record, redis, type SetUp } from "./samples.ts";

function index(...children: string[]) {
  const manifests = children.map((name) => ({ mediaType: types.OCI_MANIFEST, digest: digest(name), size: 100 }));
  return { mediaType: types.OCI_INDEX, manifests, blobs: [] };
}

export function tagsOf(setUp: SetUp): void {
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
}
