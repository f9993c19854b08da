import assert from "node:assert/strict";
import { chown, mkdir, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite, test } from "node:test";
import { gzipSync } from "node:zlib";
import { pino } from "pino";
import { reindexStore } from "../src/app.ts";
import { openSqliteCatalog } from "../src/catalog/sqlite.ts";
import { planOf } from "../src/import.ts";
import type { RepositoryName, Tag } from "../src/oci/reference.ts";
import { ImportTally } from "../src/upkeep/import/report.ts";
import { OPEN_ACCESS, startCache, testRegistry } from "./support/cache.ts";
import { ask } from "./support/client.ts";
import type { FakeImage } from "./support/fake-upstream/types.ts";
import {
  addToVolume,
  blobFile,
  fingerprint,
  inVolume,
  layoutFiles,
  linkFolder,
  put,
  tarOf,
  writeLayout,
} from "./support/foreign.ts";
import { imported, pullAll, REPOSITORY, requestOf, serving, site } from "./support/import-site.ts";

const log = pino({ level: process.env["TEST_LOG_LEVEL"] ?? "silent" });

suite("import of a registry's volume", () => {
  test("after it a pull asks upstream whether the tag has moved, and nothing else", async (t) => {
    const its = await site(t);
    const before = await fingerprint(its.volume);
    const report = await imported(its);
    assert.deepEqual(
      [report.repositories, report.manifests, report.tags, report.linked.blobs, report.problemCount],
      [1, 1, 1, 4, 0],
    );
    assert.deepEqual(await fingerprint(its.volume), before);
    const { get } = await serving(t, its);
    const asked = its.upstream.requests.length;
    await pullAll(get, its.image);
    assert.deepEqual(
      its.upstream.requests.slice(asked).map(({ method, path }) => `${method} ${path}`),
      [`HEAD /v2/${REPOSITORY}/manifests/1`],
    );
  });

  test("without its upstream it is served as stale, and says that nobody knows how old it is", async (t) => {
    const its = await site(t);
    await imported(its);
    await its.upstream.stop();
    const { get } = await serving(t, its);
    const [first] = await pullAll(get, its.image);
    assert.match(first ?? "", /stale/);
  });

  test("an imported tag that has moved upstream is followed", async (t) => {
    const its = await site(t);
    const newer = its.upstream.addImage(REPOSITORY, "1", { seed: 2 });
    await imported(its);
    const { get } = await serving(t, its);
    assert.equal((await get(`${REPOSITORY}/manifests/1`)).headers["docker-content-digest"], newer.digest);
  });

  test("upstream is asked once about a tag that is said to never move", async (t) => {
    const its = await site(t, {}, { tags: [{ match: "*", revalidate: { kind: "never" } }] });
    await imported(its);
    const { cache, get } = await serving(t, its);
    for (const _ of [1, 2, 3]) assert.equal((await get(`${REPOSITORY}/manifests/1`)).status, 200);
    await cache.stop();
    const again = await serving(t, its);
    assert.equal((await again.get(`${REPOSITORY}/manifests/1`)).status, 200);
    assert.equal(its.upstream.count({ path: "/manifests/1" }), 1);
  });

  test("a tag that the cache has stays where upstream said that it points", async (t) => {
    const its = await site(t);
    const newer = its.upstream.addImage(REPOSITORY, "1", { seed: 2 });
    const { cache, get } = await serving(t, its);
    await get(`${REPOSITORY}/manifests/1`);
    await cache.stop();
    const report = await imported(its);
    assert.deepEqual([report.tags, report.tagsKept], [0, 1]);
    await its.upstream.stop();
    const again = await serving(t, its);
    const answer = await again.get(`${REPOSITORY}/manifests/1`);
    assert.equal(answer.headers["docker-content-digest"], newer.digest);
    assert.equal((await again.get(`${REPOSITORY}/manifests/${its.image.digest}`)).status, 200);
  });

  test("blobs that the volume lacks are fetched when they are pulled", async (t) => {
    const its = await site(t);
    const [gone] = its.image.layers;
    await rm(blobFile(its.volume, gone?.digest ?? ""));
    const report = await imported(its);
    assert.equal(report.missing, 1);
    const { get } = await serving(t, its);
    await pullAll(get, its.image);
    assert.equal(its.upstream.count({ method: "GET", path: "/blobs/" }), 1);
  });

  test("a tag whose manifest is not there is left to upstream", async (t) => {
    const its = await site(t);
    await rm(blobFile(its.volume, its.image.digest));
    const report = await imported(its);
    assert.deepEqual([report.tags, report.manifests, report.missing], [0, 0, 1]);
    const { get } = await serving(t, its);
    await pullAll(get, its.image);
  });

  test("a damaged blob is left out and told, and pulled from upstream", async (t) => {
    const its = await site(t);
    const [layer] = its.image.layers;
    const bytes = Buffer.from(layer?.bytes ?? []);
    bytes[1_000] = (bytes[1_000] ?? 0) ^ 1;
    await writeFile(blobFile(its.volume, layer?.digest ?? ""), bytes);
    const report = await imported(its);
    assert.equal(report.damaged, 1);
    assert.deepEqual(report.problems, [{ kind: "damaged", what: layer?.digest }]);
    const { get } = await serving(t, its);
    await pullAll(get, its.image);
    assert.equal(its.upstream.count({ method: "GET", path: "/blobs/" }), 1);
  });

  test("a dry run says the same and writes nothing, also beside a running cache", async (t) => {
    const its = await site(t);
    const { signal } = new AbortController();
    const plan = await planOf(its.config, requestOf(its.volume, {}), signal);
    assert.deepEqual([plan.repositories, plan.manifests, plan.tags, plan.wanted.blobs], [1, 1, 1, 4]);
    assert.equal(plan.roomNeeded, 0);
    await assert.rejects(stat(its.dataDir), { code: "ENOENT" });
    await imported(its);
    const { cache } = await serving(t, its);
    const before = await fingerprint(join(its.dataDir, "docker"));
    const again = await planOf(its.config, requestOf(its.volume, {}), signal);
    assert.deepEqual([again.wanted.blobs, again.held.blobs], [0, 4]);
    assert.deepEqual(await fingerprint(join(its.dataDir, "docker")), before);
    await cache.stop();
  });

  test("while the cache runs it is refused", async (t) => {
    const its = await site(t);
    await serving(t, its);
    await assert.rejects(imported(its), { name: "DataFolderBusyError" });
  });

  test("interrupted, it leaves nothing half, and goes on the next time without hashing anew", async (t) => {
    const its = await site(t);
    const stopping = new AbortController();
    const tally = new ImportTally();
    const stopped = new Error("stopped");
    // The first piece that was read ends it.
    Object.defineProperty(tally, "bytesUnderWay", {
      get: () => 0,
      set: () => {
        stopping.abort(stopped);
      },
    });
    await assert.rejects(imported(its, { signal: stopping.signal, tally }), stopped);
    assert.deepEqual((await readdir(join(its.dataDir, "unfinished"), { recursive: true })).length, 1);
    const report = await imported(its);
    assert.equal(report.tags, 1);
    const again = new ImportTally();
    assert.equal((await imported(its, { tally: again })).held.blobs, 4);
    assert.equal(again.bytesRead, 0);
    await its.upstream.stop();
    const { get } = await serving(t, its);
    await pullAll(get, its.image);
  });

  test("the same volume twice makes no difference, and upstream is not asked again", async (t) => {
    const its = await site(t);
    await imported(its);
    const before = await fingerprint(join(its.dataDir, "docker"));
    const asked = its.upstream.requests.length;
    await imported(its);
    assert.deepEqual(await fingerprint(join(its.dataDir, "docker")), before);
    assert.equal(its.upstream.requests.length, asked);
  });

  test("a volume of our own says itself which registries its images are of", async (t) => {
    const its = await site(t);
    await rm(its.volume, { recursive: true });
    await addToVolume(its.volume, `docker.io/${REPOSITORY}`, "1", its.image);
    await addToVolume(its.volume, "elsewhere.example/app", "1", its.image);
    const report = await imported(its, { registryId: undefined, path: its.volume });
    assert.equal(report.tags, 1);
    assert.deepEqual(report.problems, [{ kind: "unknown-registry", what: "elsewhere.example/app" }]);
  });

  test("nobody guesses whose images a registry:2 volume has", async (t) => {
    const its = await site(t);
    const asking = imported(its, { registryId: undefined, path: its.volume });
    await assert.rejects(asking, (error: { name: string; hint: string }) => {
      assert.equal(error.name, "ImportError");
      assert.match(error.hint, /--registry dockerhub/);
      return true;
    });
    await assert.rejects(imported(its, { registryId: "nope" }), /no such registry/);
  });

  test("the volume is found from the folders above and below it", async (t) => {
    for (const below of ["docker", "docker/registry", "docker/registry/v2"]) {
      const its = await site(t);
      assert.equal((await imported(its, { path: join(its.volume, below), registryId: "dockerhub" })).tags, 1, below);
    }
    const its = await site(t);
    await assert.rejects(imported(its, { path: its.folder, registryId: "dockerhub" }), /neither a registry's volume/);
    await assert.rejects(imported(its, { path: join(its.folder, "none") }), /no such file or folder/);
  });

  test("its own data folder is nothing to take over", async (t) => {
    const its = await site(t);
    await imported(its);
    await assert.rejects(imported(its, { path: its.dataDir, registryId: undefined }), /own data folder/);
    await assert.rejects(
      imported(its, { path: join(its.dataDir, "docker"), registryId: undefined }),
      /own data folder/,
    );
  });
});

suite("import and the disk", () => {
  test("without room nothing is copied, and the rest of it goes on once there is some", async (t) => {
    const its = await site(t);
    const path = join(its.folder, "image.tar");
    await writeFile(path, tarOf(layoutFiles([{ image: its.image }])));
    const full = { ...its, config: { ...its.config, minFreeDiskBytes: Number.MAX_SAFE_INTEGER } };
    await assert.rejects(imported(full, { path, as: "library/app:1" }), { name: "NoRoomError" });
    assert.equal((await imported(its, { path, as: "library/app:1" })).tags, 1);
    // Links need none.
    await rm(its.dataDir, { recursive: true });
    assert.equal((await imported(full)).linked.blobs, 4);
  });

  test("what root imports belongs to whoever the data folder belongs to", async (t) => {
    if (process.getuid?.() !== 0) return t.skip("needs root");
    const its = await site(t);
    await mkdir(its.dataDir);
    await chown(its.dataDir, 65_534, 65_534);
    const path = join(its.folder, "image.tar");
    await writeFile(path, tarOf(layoutFiles([{ image: its.image }])));
    await imported(its, { path, as: "library/app:1" });
    const entries = await readdir(its.dataDir, { recursive: true, withFileTypes: true });
    for (const { parentPath, name } of entries) assert.equal((await stat(join(parentPath, name))).uid, 65_534, name);
    await rm(its.dataDir, { recursive: true });
    await mkdir(its.dataDir);
    await chown(its.dataDir, 65_534, 65_534);
    await imported(its);
    assert.equal((await stat(blobFile(its.volume, its.image.digest))).uid, 0);
  });
});

suite("import and time", () => {
  const DAY_MS = 86_400_000;

  test("what is imported counts as seen first when it was, also for a catalog that is made anew", async (t) => {
    const its = await site(t);
    const tag = inVolume(its.volume, "repositories", REPOSITORY, "_manifests/tags/1/current/link");
    const long = new Date(Date.now() - 400 * DAY_MS);
    const files = await readdir(its.volume, { recursive: true, withFileTypes: true });
    for (const { parentPath, name } of files) await utimes(join(parentPath, name), long, long);
    assert.ok((await stat(tag)).mtimeMs < Date.now() - 300 * DAY_MS);
    const startMs = Date.now() - 1_000;
    await imported(its);
    for (const isAnew of [false, true]) {
      if (isAnew) await reindexStore(its.config, log);
      const catalog = await openSqliteCatalog(join(its.dataDir, "catalog.sqlite"));
      const where = { registryId: "dockerhub", serves: "docker.io", name: REPOSITORY as RepositoryName };
      const [sighting] = await catalog.tagHistory(where, "1" as Tag);
      assert.equal(sighting?.confirmedAtMs, 0);
      assert.ok((sighting?.firstSeenAtMs ?? 0) > startMs);
      assert.ok(((await catalog.firstSeen(where, its.image.digest, "manifest")) ?? 0) > startMs);
      await catalog.close();
      await rm(join(its.dataDir, "catalog.sqlite"));
    }
  });

  test("a rule that wants age does not take an old file for an old sighting", async (t) => {
    const its = await site(t);
    await imported(its);
    const allowed = {
      who: "*",
      registry: undefined,
      repository: "*",
      tag: "*",
      allow: true,
      minAgeMs: DAY_MS,
    } as const;
    const cache = await startCache(t, its.config.registries, {
      dataDir: its.dataDir,
      config: { access: { ...OPEN_ACCESS, rules: [allowed] } },
    });
    const answer = await ask(`${cache.url}/v2/${REPOSITORY}/manifests/1`);
    assert.equal(answer.status, 403);
    assert.match(answer.body.toString(), /too new/);
  });
});

suite("import keeps back what is private", () => {
  const HIDDEN = { auth: "bearer", users: { me: "secret" }, privateRepositories: [REPOSITORY] } as const;
  const credentials = { kind: "basic", username: "me", password: "secret" } as const;

  test("what the registry does not give to everybody stays back, also when the registry is gone", async (t) => {
    for (const differs of [{}, { credentials }]) {
      const its = await site(t, HIDDEN, differs);
      const report = await imported(its);
      assert.deepEqual([report.privateRepositories, report.unknownRepositories], [1, 0]);
      const { cache, get } = await serving(t, its);
      const layer = its.image.layers[0]?.digest;
      const paths = [`manifests/1`, `manifests/${its.image.digest}`, `blobs/${layer}`];
      for (const path of paths) {
        const answer = await get(`${REPOSITORY}/${path}`);
        assert.ok([403, 404].includes(answer.status), `${path}: ${answer.status}`);
      }
      await its.upstream.stop();
      for (const path of paths) {
        const answer = await get(`${REPOSITORY}/${path}`);
        assert.ok(answer.status >= 400, `${path}: ${answer.status}`);
      }
      const listed = await get("_catalog");
      assert.doesNotMatch(listed.body.toString(), /library\/app/);
      await cache.stop();
    }
  });

  test("once the registry gives it to everybody, it is served without a blob being downloaded", async (t) => {
    const its = await site(t);
    const report = await imported(its, { openness: "private" });
    assert.equal(report.privateRepositories, 1);
    assert.equal(its.upstream.requests.length, 0);
    const { get } = await serving(t, its);
    await pullAll(get, its.image);
    assert.equal(its.upstream.count({ method: "GET", path: "/blobs/" }), 0);
    await its.upstream.stop();
    await pullAll(get, its.image);
  });

  test("where the registry cannot be asked it is kept back, until an import can ask", async (t) => {
    const its = await site(t);
    await its.upstream.stop();
    const report = await imported(its);
    assert.deepEqual([report.unknownRepositories, report.tags], [1, 1]);
    const first = await serving(t, its);
    assert.ok((await first.get(`${REPOSITORY}/manifests/1`)).status >= 500);
    await first.cache.stop();
    await its.upstream.restart();
    assert.equal((await imported(its)).unknownRepositories, 0);
    await its.upstream.stop();
    const second = await serving(t, its);
    await pullAll(second.get, its.image);
  });

  test("who says that all may have it is believed, but for what says itself that it is private", async (t) => {
    const its = await site(t);
    const [marked] = its.image.layers;
    await put(join(linkFolder(its.volume, REPOSITORY, "layer", marked?.digest ?? ""), "fetched-with"), "basic:1");
    await its.upstream.stop();
    assert.equal((await imported(its, { openness: "public" })).privateRepositories, 0);
    const { get } = await serving(t, its);
    assert.equal((await get(`${REPOSITORY}/manifests/1`)).status, 200);
    assert.equal((await get(`${REPOSITORY}/blobs/${its.image.config.digest}`)).status, 200);
    assert.ok((await get(`${REPOSITORY}/blobs/${marked?.digest}`)).status >= 500);
  });

  test("a volume that only names what another repository holds gets no link to it", async (t) => {
    const its = await site(t, { ...HIDDEN, privateRepositories: ["org/secret"] }, { credentials });
    const secret = its.upstream.addImage("org/secret", "1", { seed: 7, layers: [50_000] });
    const shared = {
      ...its,
      config: {
        ...its.config,
        registries: [testRegistry(its.upstream.url, { credentials, sharedRepositories: ["org/*"] })],
      },
    };
    const first = await serving(t, shared);
    await pullAll(first.get, secret, "org/secret");
    await first.cache.stop();
    // Of the right length, with other bytes.
    for (const [kind, piece] of [
      ["layer", secret.layers[0]],
      ["manifest", secret],
    ] as const) {
      const digest = piece?.digest ?? "";
      await put(blobFile(its.volume, digest), Buffer.alloc(piece?.size ?? 0, "x"));
      await put(join(linkFolder(its.volume, REPOSITORY, kind, digest), "link"), digest);
    }
    const report = await imported(shared, { openness: "public" });
    assert.equal(report.damaged, 2);
    await its.upstream.stop();
    const { get } = await serving(t, shared);
    assert.ok((await get(`${REPOSITORY}/blobs/${secret.layers[0]?.digest}`)).status >= 400);
    assert.ok((await get(`${REPOSITORY}/manifests/${secret.digest}`)).status >= 400);
    await pullAll(get, secret, "org/secret");
  });
});

suite("import of OCI layouts", () => {
  const NAMED = { "io.containerd.image.name": "docker.io/library/app:1", "org.opencontainers.image.ref.name": "1" };

  test("names come from the annotations, of which several may be of one image", async (t) => {
    const its = await site(t);
    const folder = join(its.folder, "layout");
    await writeLayout(folder, [
      { image: its.image, annotations: NAMED },
      { image: its.image, annotations: { "org.opencontainers.image.ref.name": "app:other" } },
    ]);
    const report = await imported(its, { path: folder });
    assert.deepEqual([report.tags, report.manifests, report.problemCount], [2, 1, 0]);
    const { get } = await serving(t, its);
    await pullAll(get, its.image);
    assert.equal(its.upstream.count({ method: "GET", path: "/blobs/" }), 0);
  });

  test("without names one must be given, and one that fits", async (t) => {
    const its = await site(t);
    const folder = join(its.folder, "layout");
    const other = its.upstream.addImage(REPOSITORY, "2", { seed: 2 });
    await writeLayout(folder, [
      { image: its.image, annotations: { "org.opencontainers.image.ref.name": "1" } },
      { image: other, annotations: { "org.opencontainers.image.ref.name": "2" } },
    ]);
    const take = async (as?: string) => await imported(its, { path: folder, as });
    await assert.rejects(take(), /nothing says which repository/);
    await assert.rejects(take("docker.io/library/app:3"), /there are 2 images/);
    await assert.rejects(take("nowhere.example/app:1"), /nowhere.example is not among the registries/);
    await assert.rejects(take("docker.io/library/APP"), /no image can be called so/);
    assert.equal((await take("docker.io/library/app:2")).tags, 1);
    assert.equal((await take("app")).tags, 1);
    assert.equal((await take(`app:by-digest@${other.digest}`)).tags, 1);
  });

  test("an index comes with the platforms that are there", async (t) => {
    const its = await site(t);
    const index = its.upstream.addIndex("library/multi", "1", ["linux/amd64", "linux/arm64"]);
    const folder = join(its.folder, "layout");
    await writeLayout(folder, [{ image: index }]);
    const [, absent] = index.images;
    await rm(join(folder, "blobs", (absent?.digest ?? "").replace(":", "/")));
    const report = await imported(its, { path: folder, as: "library/multi:1" });
    assert.deepEqual([report.manifests, report.tags], [2, 1]);
  });

  test("tars, compressed ones too, are read where they lie", async (t) => {
    const files = (image: FakeImage) => tarOf(layoutFiles([{ image, annotations: NAMED }]));
    for (const pack of [files, (image: FakeImage) => gzipSync(files(image))]) {
      const its = await site(t);
      const path = join(its.folder, "image.tar");
      await writeFile(path, pack(its.image));
      const before = await fingerprint(its.folder);
      const plan = await planOf(its.config, requestOf(path, { path }), new AbortController().signal);
      assert.equal(plan.roomNeeded, plan.wanted.bytes);
      assert.deepEqual(await fingerprint(its.folder), before);
      const report = await imported(its, { path });
      assert.deepEqual([report.tags, report.copied.blobs], [1, 4]);
      await its.upstream.stop();
      const { get } = await serving(t, its);
      await pullAll(get, its.image);
      assert.deepEqual(await readdir(join(its.dataDir, "unfinished"), { recursive: true }), [String(process.pid)]);
    }
  });

  test("Docker's old archives are told from others", async (t) => {
    const its = await site(t);
    const path = join(its.folder, "old.tar");
    await writeFile(path, tarOf({ "manifest.json": Buffer.from("[]"), "abc/layer.tar": Buffer.alloc(10) }));
    await assert.rejects(imported(its, { path }), /Docker's old format/);
  });
});
