import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmod, chown, mkdir, open, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { seededBytes, sha256 } from "../support/bytes.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { openFilesystemStore } from "../../src/store/filesystem.ts";
import { ForeignFolder } from "../../src/upkeep/import/foreign-files.ts";
import { openSource } from "../../src/upkeep/import/open.ts";
import { addToVolume, blobFile, inVolume, layoutFiles, linkFolder, put, tarEntry, tarOf } from "../support/foreign.ts";
import { imported, REPOSITORY, serving, site } from "../support/import-site.ts";

test("attack: import: symbolic links lead nowhere", async (t) => {
  const its = await site(t);
  const outside = join(its.folder, "outside");
  const secret = seededBytes(5_000, "secret");
  await put(outside, secret);
  const [layer] = its.image.layers;
  const stolen = blobFile(its.volume, layer?.digest ?? "");
  await rm(stolen);
  await symlink(outside, stolen);
  // A folder of links, and a repository, that lie elsewhere.
  const elsewhere = join(its.folder, "elsewhere");
  await addToVolume(elsewhere, "org/other", "1", its.image);
  await symlink(inVolume(elsewhere, "repositories/org"), inVolume(its.volume, "repositories/org"));
  await rm(dirname(blobFile(its.volume, its.image.config.digest)), { recursive: true });
  await symlink(
    dirname(blobFile(elsewhere, its.image.config.digest)),
    dirname(blobFile(its.volume, its.image.config.digest)),
  );
  const report = await imported(its);
  assert.equal(report.repositories, 1);
  assert.equal(report.missing, 2);
  assert.ok(report.problems.filter(({ kind }) => kind === "leads-out").length >= 2);
  const { get } = await serving(t, its);
  assert.equal(
    (await get("_catalog")).body.toString().trim(),
    JSON.stringify({ repositories: ["docker.io/library/app"] }),
  );
});

test("attack: import: names that no repository and no tag can have are passed over", async (t) => {
  const its = await site(t);
  for (const name of ["UPPER", "a b", "..x", "-", "x".repeat(200)]) {
    await mkdir(inVolume(its.volume, "repositories", name, "_layers"), { recursive: true });
    await put(
      inVolume(its.volume, "repositories", REPOSITORY, "_manifests/tags", `.${name}`, "current/link"),
      its.image.digest,
    );
  }
  await put(inVolume(its.volume, "repositories", REPOSITORY, "_layers/sha256/zz/link"), "sha256:zz");
  await put(inVolume(its.volume, "repositories", REPOSITORY, "_layers/..sha256/aa/link"), "../../etc/passwd");
  const report = await imported(its);
  assert.equal(report.tags, 1);
  assert.deepEqual(new Set(report.problems.map(({ kind }) => kind)), new Set(["bad-name"]));
});

test("attack: import: links that say something else, pipes, folders and endless files are no content", async (t) => {
  const its = await site(t);
  const [first, second] = its.image.layers.map(({ digest }) => digest);
  await writeFile(join(linkFolder(its.volume, REPOSITORY, "layer", first ?? ""), "link"), second ?? "");
  await rm(blobFile(its.volume, second ?? ""));
  execFileSync("mkfifo", [blobFile(its.volume, second ?? "")]);
  await rm(blobFile(its.volume, its.image.config.digest));
  await mkdir(blobFile(its.volume, its.image.config.digest));
  const tag = inVolume(its.volume, "repositories", REPOSITORY, "_manifests/tags/endless/current/link");
  await put(tag, its.image.digest);
  const handle = await open(tag, "r+");
  await handle.truncate(2 ** 40);
  await handle.close();
  const report = await imported(its);
  assert.deepEqual([report.tags, report.missing, report.linked.blobs], [1, 2, 1]);
  assert.deepEqual(
    report.problems.map(({ kind }) => kind),
    ["damaged-link"],
  );
});

test("attack: import: a manifest that is none, and one that has no end, come not in", async (t) => {
  const its = await site(t);
  const page = Buffer.from("<html>");
  const huge = seededBytes(9 * 1024 * 1024, "huge");
  for (const bytes of [page, huge]) {
    const name = sha256(bytes);
    await put(blobFile(its.volume, name), bytes);
    await put(join(linkFolder(its.volume, REPOSITORY, "manifest", name), "link"), name);
  }
  const report = await imported(its);
  assert.deepEqual(
    report.problems.map(({ kind }) => kind),
    ["no-manifest", "no-manifest"],
  );
  assert.equal(report.manifests, 1);
});

test("attack: import: an index.json that is too long, or no index, ends it", async (t) => {
  const its = await site(t);
  for (const [at, bytes] of [
    Buffer.alloc(9 * 1024 * 1024, " "),
    Buffer.from("[]"),
    Buffer.from("{}"),
    Buffer.alloc(0),
  ].entries()) {
    const folder = join(its.folder, `layout-${at}`);
    await put(join(folder, "oci-layout"), "{}");
    await put(join(folder, "index.json"), bytes);
    await assert.rejects(imported(its, { path: folder, as: "app:1" }), { name: "ImportError" });
  }
});

test("attack: import: a tar's paths and links are never followed, and one cut short is no tar", async (t) => {
  const its = await site(t);
  const path = join(its.folder, "evil.tar");
  const files = layoutFiles([{ image: its.image }]);
  const layer = `blobs/${its.image.layers[0]?.digest.replace(":", "/")}`;
  const entries = Object.entries(files).filter(([name]) => name !== layer);
  const evil = [
    tarEntry("../../outside", Buffer.from("evil")),
    tarEntry("/etc/evil", Buffer.from("evil")),
    tarEntry(layer, Buffer.alloc(0), "2"),
    tarEntry(`blobs/sha256/../../x`, Buffer.from("evil")),
  ];
  const tar = Buffer.concat([
    ...evil,
    ...entries.map(([name, bytes]) => tarEntry(`./${name}`, bytes)),
    Buffer.alloc(1024),
  ]);
  await writeFile(path, tar);
  const before = await readdir(its.folder);
  const report = await imported(its, { path, as: "library/app:1" });
  assert.deepEqual([report.tags, report.missing], [1, 1]);
  assert.deepEqual((await readdir(its.folder)).toSorted(), [...before, "data"].toSorted());
  await writeFile(path, tar.subarray(0, 3_000));
  await assert.rejects(imported(its, { path, as: "library/app:1" }), /archive cannot be read/);
  await writeFile(path, gzipSync(tar).subarray(0, -20));
  await assert.rejects(imported(its, { path, as: "library/app:1" }), /compressed archive is damaged/);
  await writeFile(path, seededBytes(5_000, "noise"));
  await assert.rejects(imported(its, { path, as: "library/app:1" }), /no tar/);
});

test("attack: import: a file that only another user may read is copied: a link to it would be of no use here", async (t) => {
  if (process.getuid?.() !== 0) return t.skip("needs root");
  const its = await site(t);
  const file = blobFile(its.volume, its.image.layers[0]?.digest ?? "");
  await chmod(file, 0o600);
  await chown(file, 65_534, 65_534);
  const report = await imported(its);
  assert.deepEqual([report.linked.blobs, report.copied.blobs + report.cloned.blobs], [3, 1]);
  const copy = await stat(blobFile(its.dataDir, its.image.layers[0]?.digest ?? ""));
  assert.deepEqual([copy.uid, copy.mode & 0o777], [0, 0o644]);
});

test("attack: import: what somebody else may write to does not become the cache's file", async (t) => {
  const its = await site(t);
  const [first, second] = its.image.layers.map(({ digest }) => blobFile(its.volume, digest));
  await chmod(first ?? "", 0o666);
  if (process.getuid?.() === 0) await chown(second ?? "", 65_534, 65_534);
  else await chmod(second ?? "", 0o664);
  const report = await imported(its);
  assert.deepEqual([report.linked.blobs, report.cloned.blobs + report.copied.blobs], [2, 2]);
  for (const file of [first, second]) assert.equal((await stat(file ?? "")).nlink, 1);
});

test("attack: import: however much there is to look at, whoever asks it to stop is heard", async (t) => {
  const its = await site(t);
  const files = layoutFiles([{ image: its.image }]);
  const tar = join(its.folder, "images.tar");
  await writeFile(tar, tarOf(files));
  const layout = join(its.folder, "layout");
  for (const [name, bytes] of Object.entries(files)) await put(join(layout, name), bytes);
  const enough = new Error("enough");
  const opened = async (path: string, signal: AbortSignal) =>
    await openSource({
      path,
      registries: its.config.registries,
      registryId: path === its.volume ? "dockerhub" : undefined,
      as: path === its.volume ? undefined : "library/app:1",
      onProblem: () => undefined,
      signal,
      unpackIn: its.folder,
      room: async () => Infinity,
    });
  await assert.rejects(opened(tar, AbortSignal.abort(enough)), enough);
  for (const path of [its.volume, layout]) {
    const stopping = new AbortController();
    const source = await opened(path, stopping.signal);
    stopping.abort(enough);
    await assert.rejects(async () => {
      for await (const one of source.repositories()) assert.fail(JSON.stringify(one));
    }, enough);
  }
});

test("attack: import: a folder that is exchanged for a link meanwhile proves nothing of what is held", async (t) => {
  if (process.platform !== "linux") return t.skip("only Linux says what is open");
  const its = await site(t);
  const secret = seededBytes(9_000, "secret");
  const digest = digestOf(secret);
  const store = await openFilesystemStore({ dataDir: its.dataDir, minFreeDiskBytes: 0 });
  await store.putBlob(digest, secret);
  const [theirs, ours] = [blobFile(its.volume, digest), blobFile(its.dataDir, digest)];
  await put(theirs, Buffer.alloc(secret.length));
  const folder = await ForeignFolder.open(its.volume, () => undefined);
  const file = (await folder.file(relative(its.volume, theirs))) ?? assert.fail("it is there");
  await rm(dirname(theirs), { recursive: true });
  await symlink(dirname(ours), dirname(theirs));
  const options = { signal: new AbortController().signal, onBytes: () => undefined };
  await assert.rejects(store.adopt(digest, file, options), /was exchanged/);
});
