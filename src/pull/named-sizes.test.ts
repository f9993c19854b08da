import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256 } from "../../test/support/bytes.ts";
import { parseManifest, UNKNOWN_SIZE } from "../oci/manifest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { NamedSizes } from "./named-sizes.ts";

const REPOSITORY = { registryId: "dockerhub", serves: "docker.io", name: "library/app" as RepositoryName };
const OTHER = { ...REPOSITORY, name: "library/other" as RepositoryName };

function imageOf(layers: readonly { digest: string; size: number }[]) {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, config: layers[0], layers: layers.slice(1) }));
  const manifest = parseManifest(bytes, "application/vnd.oci.image.manifest.v1+json");
  assert.ok(manifest !== undefined);
  return manifest;
}

function layer(index: number, size = index) {
  return { mediaType: "application/vnd.oci.image.layer.v1.tar", digest: sha256(Buffer.from(`${index}`)), size };
}

test("what a kept manifest names is known with its size, in that repository only", () => {
  const named = new NamedSizes();
  named.remember(REPOSITORY, imageOf([layer(1), layer(2)]));
  assert.equal(named.get(REPOSITORY, layer(1).digest), 1);
  assert.equal(named.get(REPOSITORY, layer(2).digest), 2);
  assert.equal(named.get(OTHER, layer(2).digest), undefined);
  assert.equal(named.get(REPOSITORY, layer(3).digest), undefined);
});

test("a size that the manifest does not give is remembered as such", () => {
  const named = new NamedSizes();
  const { digest, mediaType } = layer(1);
  const manifest = { mediaType: "", manifests: [], blobs: [{ mediaType, digest, size: UNKNOWN_SIZE }] };
  named.remember(REPOSITORY, manifest);
  assert.equal(named.get(REPOSITORY, digest), UNKNOWN_SIZE);
});

test("a monster of a manifest is left to the catalog", () => {
  const named = new NamedSizes();
  named.remember(REPOSITORY, imageOf(Array.from({ length: 1_001 }, (_, index) => layer(index))));
  assert.equal(named.get(REPOSITORY, layer(1).digest), undefined);
});
