import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { digestOf } from "../../oci/digest.ts";
import type { Manifest } from "../../oci/manifest.ts";
import { chosen, parsePlatform, platformsOf } from "./platforms.ts";

function indexOf(...platforms: readonly (string | undefined)[]): Manifest {
  const manifests = platforms.map((platform, at) => ({
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    digest: digestOf(Buffer.from(String(at))),
    size: 1,
    ...(platform === undefined ? {} : { platform }),
  }));
  return { mediaType: "application/vnd.oci.image.index.v1+json", manifests, blobs: [] };
}

function picked(manifest: Manifest, wanted: "all" | readonly string[]): (string | undefined)[] {
  return chosen(manifest, wanted).children.map(({ platform }) => platform);
}

suite("platforms", () => {
  const index = indexOf(
    "linux/amd64",
    "linux/arm64",
    "linux/arm/v6",
    "linux/arm/v7",
    "windows/amd64",
    "unknown/unknown",
  );

  test("of an index are those that are wanted, attestations with all of them alone", () => {
    assert.deepEqual(picked(index, ["linux/amd64"]), ["linux/amd64"]);
    assert.deepEqual(picked(index, ["linux/arm"]), ["linux/arm/v6", "linux/arm/v7"]);
    assert.deepEqual(picked(index, ["linux/arm/v7", "linux/amd64"]), ["linux/amd64", "linux/arm/v7"]);
    assert.equal(picked(index, "all").length, 6);
    assert.deepEqual(chosen(index, ["linux/s390x", "linux/amd64"]).lacking, ["linux/s390x"]);
    assert.deepEqual(chosen(index, ["unknown/unknown"]).lacking, ["unknown/unknown"]);
    assert.ok(!platformsOf(index).includes("unknown/unknown"));
  });

  test("are the same in both ways to write arm64", () => {
    assert.deepEqual(picked(indexOf("linux/arm64"), ["linux/arm64/v8"]), ["linux/arm64"]);
    assert.deepEqual(picked(indexOf("linux/arm64/v8"), ["linux/arm64"]), ["linux/arm64/v8"]);
    assert.deepEqual(picked(indexOf("linux/arm"), ["linux/arm/v8"]), []);
  });

  test("do not matter where nothing says for which it is", () => {
    assert.equal(picked(indexOf(undefined, undefined), ["linux/amd64"]).length, 2);
    assert.deepEqual(picked(indexOf(undefined, "linux/arm64", "linux/amd64"), ["linux/amd64"]), [
      undefined,
      "linux/amd64",
    ]);
  });

  test("are written with a slash", () => {
    assert.equal(parsePlatform("Linux/ARM64/v8"), "linux/arm64/v8");
    for (const text of ["", "amd64", "linux/", "linux/a/b/c", "linux/amd 64", "../x"])
      assert.equal(parsePlatform(text), undefined);
  });
});
