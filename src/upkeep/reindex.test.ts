import assert from "node:assert/strict";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { digest, repository } from "../../test/contracts/catalog/samples.ts";
import { tempDir } from "../../test/support/temp.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { IN_MEMORY, openSqliteCatalog } from "../catalog/sqlite.ts";
import { type Digest, digestHex, digestOf } from "../oci/digest.ts";
import { MANIFEST_BYTES_MAX } from "../oci/manifest.ts";
import * as types from "../oci/media-types.ts";
import type { Repository, Tag } from "../oci/reference.ts";
import { openFilesystemStore } from "../store/filesystem.ts";
import type { Store } from "../store/store.ts";
import { PROBLEMS_MAX } from "./reindex-report.ts";
import { reindex, type ReindexReport } from "./reindex.ts";

const registries = [
  { id: "dockerhub", serves: "docker.io" },
  { id: "corp", serves: "registry.corp.example:5000" },
];
const nginx = repository("library/nginx");
const redis = repository("library/redis");
const log = { info: () => undefined, warn: () => undefined };

class Site {
  readonly dataDir: string;
  readonly store: Store;
  readonly catalog: Catalog;

  constructor(dataDir: string, store: Store, catalog: Catalog) {
    this.dataDir = dataDir;
    this.store = store;
    this.catalog = catalog;
  }

  async reindex(signal?: AbortSignal): Promise<ReindexReport> {
    return await reindex(this.store, this.catalog, registries, log, signal);
  }

  /** Stores a layer and an image manifest of it, links both, points the tags there. */
  async hold(where: Repository, layer: string, tags: string[] = [], fetchedWith?: string): Promise<Digest> {
    const body = Buffer.from(layer);
    await this.store.putBlob(digestOf(body), body);
    await this.store.link("layer", where, digestOf(body), fetchedWith);
    return await this.manifest(where, imageOf(layer), tags, fetchedWith);
  }

  async manifest(where: Repository, bytes: Buffer, tags: string[] = [], fetchedWith?: string): Promise<Digest> {
    const name = digestOf(bytes);
    await this.store.putBlob(name, bytes);
    await this.store.link("manifest", where, name, fetchedWith);
    for (const tag of tags) await this.store.setTag(where, tag as Tag, name);
    return name;
  }

  blobPath(name: Digest): string {
    const hex = digestHex(name);
    return join(this.dataDir, "docker/registry/v2/blobs/sha256", hex.slice(0, 2), hex, "data");
  }

  repositoryPath(...parts: string[]): string {
    return join(this.dataDir, "docker/registry/v2/repositories", ...parts);
  }
}

async function site(t: TestContext): Promise<Site> {
  const dataDir = await tempDir(t);
  const catalog = await openSqliteCatalog(IN_MEMORY);
  t.after(() => catalog.close());
  return new Site(dataDir, await openFilesystemStore({ dataDir, minFreeDiskBytes: 0 }), catalog);
}

function imageOf(layer: string): Buffer {
  const bytes = Buffer.from(layer);
  const layers = [{ mediaType: "application/octet-stream", digest: digestOf(bytes), size: bytes.length }];
  return Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: types.OCI_MANIFEST, layers }));
}

/** The reading side of a store, for tests that replace a part of it. */
function readingOf(store: Store) {
  return {
    repositories: () => store.repositories(),
    contents: async (where: Repository) => await store.contents(where),
    readBlob: async (name: Digest, bytesMax: number) => await store.readBlob(name, bytesMax),
    statBlob: async (name: Digest) => await store.statBlob(name),
  };
}

/** Of several findings, what does not depend on the order of folders. */
function kinds(report: ReindexReport): string[] {
  return report.problems.map((problem) => problem.kind).toSorted();
}

describe("reindex", () => {
  it("finds nothing in an empty store", async (t) => {
    const here = await site(t);
    assert.deepEqual(await here.reindex(), {
      repositories: 0,
      manifests: 0,
      tags: 0,
      blobs: 0,
      bytes: 0,
      problems: [],
      problemCount: 0,
    });
    assert.equal(await here.catalog.isEmpty(), true);
  });

  it("brings back manifests, what they name, blobs, tags and who fetched them", async (t) => {
    const here = await site(t);
    const beforeMs = Date.now();
    const manifest = await here.hold(nginx, "layer", ["latest", "1.27"], "me");
    const report = await here.reindex();
    assert.deepEqual(report, {
      repositories: 1,
      manifests: 1,
      tags: 2,
      blobs: 1,
      bytes: imageOf("layer").length + 5,
      problems: [],
      problemCount: 0,
    });
    assert.deepEqual(await here.catalog.manifest(nginx, manifest), {
      mediaType: types.OCI_MANIFEST,
      size: imageOf("layer").length,
      fetchedWith: "me",
    });
    assert.deepEqual(await here.catalog.namedBy(nginx, digest("layer")), { size: 5 });
    const tag = await here.catalog.tag(nginx, "latest" as Tag);
    assert.equal(tag?.digest, manifest);
    // A file system's clock may be a little behind.
    assert.equal(tag !== undefined && tag.confirmedAtMs >= beforeMs - 2_000, true);
    assert.deepEqual(Object.fromEntries(await here.catalog.countImages()), { dockerhub: 2 });
  });

  it("brings back a store of several registries, counting what they share once", async (t) => {
    const here = await site(t);
    const corp = repository("team/deep/app", "corp", "registry.corp.example:5000");
    await here.hold(nginx, "shared", ["latest"]);
    await here.hold(corp, "shared", ["latest", "v1"]);
    await here.hold(corp, "other");
    const report = await here.reindex();
    assert.deepEqual(await here.catalog.repositories({ limit: 9 }), [nginx, corp]);
    assert.deepEqual(Object.fromEntries(await here.catalog.countImages()), { dockerhub: 1, corp: 2 });
    assert.equal(report.repositories, 2);
    assert.equal(report.manifests, 3);
    assert.equal(report.blobs, 2);
    assert.equal(report.bytes, imageOf("shared").length + 6 + imageOf("other").length + 5);
  });

  it("forgets what was removed from the store", async (t) => {
    const here = await site(t);
    await here.hold(nginx, "a", ["latest"]);
    await here.hold(redis, "b", ["latest"]);
    await here.reindex();
    await rm(here.repositoryPath("docker.io/library/redis"), { recursive: true });
    // Rows recorded within the same millisecond as the walk begins count as recorded meanwhile.
    for (const startMs = Date.now(); Date.now() === startMs;);
    await here.reindex();
    assert.deepEqual(await here.catalog.repositories({ limit: 9 }), [nginx]);
  });

  it("keeps repositories of a registry that is not configured, under its name", async (t) => {
    const here = await site(t);
    const lost = repository("app", "gone.example", "gone.example");
    await here.hold(lost, "layer", ["latest"]);
    const report = await here.reindex();
    assert.deepEqual(report.problems, [{ kind: "unknown-registry", repository: "gone.example/app" }]);
    assert.deepEqual(await here.catalog.repositories({ limit: 9 }), [lost]);
  });

  it("reports links without their blobs, and passes over them", async (t) => {
    const here = await site(t);
    const manifest = await here.hold(nginx, "layer", ["latest"]);
    await rm(here.blobPath(manifest));
    await rm(here.blobPath(digest("layer")));
    const report = await here.reindex();
    assert.deepEqual(kinds(report), ["missing-blob", "missing-blob", "tag-without-manifest"]);
    assert.deepEqual([report.manifests, report.blobs, report.tags, report.bytes], [0, 0, 0, 0]);
    assert.equal(await here.catalog.manifest(nginx, manifest), undefined);
    assert.equal(await here.catalog.tag(nginx, "latest" as Tag), undefined);
  });

  it("reports a tag to a manifest that the repository does not have", async (t) => {
    const here = await site(t);
    await here.hold(nginx, "a", ["good"]);
    await here.store.setTag(nginx, "bad" as Tag, digest("elsewhere"));
    const report = await here.reindex();
    assert.deepEqual(report.problems, [
      {
        kind: "tag-without-manifest",
        repository: "docker.io/library/nginx",
        tag: "bad",
        digest: digest("elsewhere"),
      },
    ]);
    assert.deepEqual(Object.fromEntries(await here.catalog.countImages()), { dockerhub: 1 });
  });

  it("reports manifests that are none, that are too long, and that cannot be read", async (t) => {
    const here = await site(t);
    await here.hold(nginx, "good");
    const page = await here.manifest(nginx, Buffer.from("<html>"));
    const long = await here.manifest(nginx, Buffer.alloc(MANIFEST_BYTES_MAX + 1, " "));
    const unlucky = await here.manifest(nginx, imageOf("on a bad sector"));
    const readBlob = async (name: Digest, bytesMax: number) => {
      if (name === unlucky) throw Object.assign(new Error("EIO: i/o error, read"), { code: "EIO" });
      return await here.store.readBlob(name, bytesMax);
    };
    const report = await reindex({ ...readingOf(here.store), readBlob }, here.catalog, registries, log);
    assert.deepEqual(kinds(report), ["unreadable-manifest", "unreadable-manifest", "unreadable-manifest"]);
    assert.deepEqual(report.problems.map((one) => String(one.digest)).toSorted(), [page, long, unlucky].toSorted());
    assert.equal(
      report.problems.every((one) => one.reason !== undefined),
      true,
    );
    assert.equal(report.manifests, 1);
  });

  it("reports a manifest whose bytes are not those of its digest", async (t) => {
    const here = await site(t);
    const manifest = await here.manifest(nginx, imageOf("layer"), ["latest"]);
    await writeFile(here.blobPath(manifest), imageOf("forged"));
    const report = await here.reindex();
    assert.deepEqual(kinds(report), ["digest-mismatch", "tag-without-manifest"]);
    assert.equal(await here.catalog.namedBy(nginx, digest("forged")), undefined);
  });

  it("reports folders whose names no repository can have", async (t) => {
    const here = await site(t);
    for (const name of ["docker.io/UPPER", "toplevel"]) {
      const link = here.repositoryPath(name, "_manifests", "revisions", "link");
      await mkdir(dirname(link), { recursive: true });
      await writeFile(link, "");
    }
    const report = await here.reindex();
    assert.deepEqual(report.problems.map((one) => `${one.kind} ${one.repository}`).toSorted(), [
      "bad-name docker.io/UPPER",
      "bad-name toplevel",
    ]);
    assert.equal(report.repositories, 0);
  });

  it("tells of links that do not say what they must, and passes over what they belong to", async (t) => {
    const here = await site(t);
    const manifest = await here.hold(nginx, "a", ["latest", "1"]);
    const folder = here.repositoryPath("docker.io/library/nginx");
    await writeFile(join(folder, "_manifests/tags/1/current/link"), "garbage");
    await writeFile(join(folder, "_layers", ...digest("a").split(":"), "link"), digest("b"));
    const report = await here.reindex();
    assert.deepEqual(
      report.problems.map(({ kind, name }) => `${kind} ${name}`),
      ["damaged-link 1", `damaged-link ${digest("a")}`],
    );
    assert.equal(report.tags, 1);
    await writeFile(join(folder, "_manifests/revisions", ...manifest.split(":"), "link"), "");
    assert.deepEqual(kinds(await here.reindex()), [
      "damaged-link",
      "damaged-link",
      "damaged-link",
      "tag-without-manifest",
    ]);
  });

  it("tells the first problems of very many, and counts them all", async (t) => {
    const here = await site(t);
    const many = PROBLEMS_MAX + 5;
    const links = Array.from({ length: many }, (_, index) => ({
      digest: digest(`missing ${index}`),
      fetchedWith: undefined,
      atMs: 1,
    }));
    const store = {
      ...readingOf(here.store),
      contents: async () => ({
        manifests: [],
        layers: links,
        tags: [],
        damaged: [],
        damagedLinks: [],
        damagedTags: [],
      }),
    };
    await here.hold(nginx, "a");
    const report = await reindex(store, here.catalog, registries, log);
    assert.equal(report.problems.length, PROBLEMS_MAX);
    assert.equal(report.problemCount, many);
  });

  it("ends when it is told to, forgets nothing, and leaves the catalog to be rebuilt", async (t) => {
    const here = await site(t);
    await here.hold(nginx, "a", ["latest"]);
    await here.hold(redis, "b", ["latest"]);
    await here.reindex();
    const stop = new AbortController();
    const contents = async (where: Repository) => {
      stop.abort();
      return await here.store.contents(where);
    };
    const store = { ...readingOf(here.store), contents };
    await assert.rejects(reindex(store, here.catalog, registries, log, stop.signal), { name: "AbortError" });
    assert.deepEqual(await here.catalog.repositories({ limit: 9 }), [nginx, redis]);
    assert.equal(await here.catalog.isEmpty(), true);
  });
});
