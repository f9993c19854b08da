import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, readFile, readdir, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { test, type TestContext } from "node:test";
import { ORIGIN, readAll, repo, storeContract, tagOf } from "../../test/contracts/store.ts";
import { seededBytes } from "../../test/support/bytes.ts";
import { tempDir } from "../../test/support/temp.ts";
import { digestHex, digestOf } from "../oci/digest.ts";
import { openFilesystemStore } from "./filesystem.ts";
import { NoRoomError, type Store } from "./store.ts";

const APP = repo("library/app");
const BYTES = seededBytes(100_000, "filesystem");
const DIGEST = digestOf(BYTES);
const HEX = digestHex(DIGEST);
const BLOB = `docker/registry/v2/blobs/sha256/${HEX.slice(0, 2)}/${HEX}/data`;
const IN_APP = "docker/registry/v2/repositories/docker.io/library/app";
const DAY_MS = 24 * 60 * 60 * 1000;

storeContract("the filesystem", async (t) => {
  const dataDir = await tempDir(t);
  return async () => await openFilesystemStore({ dataDir, minFreeDiskBytes: 0 });
});

async function opened(t: TestContext, minFreeDiskBytes = 0): Promise<{ store: Store; dataDir: string }> {
  const dataDir = await tempDir(t);
  return { store: await openFilesystemStore({ dataDir, minFreeDiskBytes }), dataDir };
}

/** All files below a folder, as sorted relative paths. */
async function files(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries.filter((one) => !one.isDirectory()).map((one) => join(one.parentPath, one.name));
  return paths.map((path) => path.slice(folder.length + 1)).toSorted();
}

async function partial(store: Store, bytes: Uint8Array = BYTES): Promise<void> {
  const spool = await store.openSpool(DIGEST, ORIGIN);
  await spool.append(bytes);
  await spool.keep();
  await spool.close();
}

test("a folder where none can be made is an error, not an endless try", async () => {
  await assert.rejects(openFilesystemStore({ dataDir: "/proc/nothing/here", minFreeDiskBytes: 0 }), { code: "ENOENT" });
});

test("paths and contents are exactly those of registry:2", async (t) => {
  const { store, dataDir } = await opened(t);
  await store.putBlob(DIGEST, BYTES);
  await store.link("manifest", APP, DIGEST, undefined);
  await store.link("layer", APP, DIGEST, "basic:1");
  await store.setTag(APP, tagOf("1"), DIGEST);
  assert.deepEqual(await files(dataDir), [
    BLOB,
    `${IN_APP}/_layers/sha256/${HEX}/fetched-with`,
    `${IN_APP}/_layers/sha256/${HEX}/link`,
    `${IN_APP}/_manifests/revisions/sha256/${HEX}/link`,
    `${IN_APP}/_manifests/tags/1/current/link`,
    `${IN_APP}/_manifests/tags/1/index/sha256/${HEX}/link`,
  ]);
  for (const path of (await files(dataDir)).filter((one) => one.endsWith("/link"))) {
    assert.equal(await readFile(join(dataDir, path), "utf8"), DIGEST, path);
  }
});

test("a partial has its registry, repository and size beside it; a commit leaves neither", async (t) => {
  const { store, dataDir } = await opened(t);
  const spool = await store.openSpool(DIGEST, { ...ORIGIN, size: BYTES.length });
  await spool.append(BYTES);
  const [name, origin] = await files(join(dataDir, "spool"));
  assert.deepEqual([name, origin], [`sha256-${HEX}`, `sha256-${HEX}.json`]);
  const said: unknown = JSON.parse(await readFile(join(dataDir, "spool", origin as string), "utf8"));
  assert.deepEqual(said, { ...ORIGIN, size: BYTES.length });
  await spool.commit();
  await spool.close();
  assert.deepEqual(await files(dataDir), [BLOB]);
});

test("the store opens on a relative path as well", async (t) => {
  const dataDir = await tempDir(t);
  const before = process.cwd();
  t.after(async () => process.chdir(before));
  process.chdir(dataDir);
  const store = await openFilesystemStore({ dataDir: "./data", minFreeDiskBytes: 0 });
  await store.putBlob(DIGEST, BYTES);
  assert.deepEqual(await files(join(dataDir, "data")), [BLOB]);
});

test("crash: unfinished writes of dead processes are removed, those of living ones stay", async (t) => {
  const { dataDir } = await opened(t);
  const dead = join(dataDir, "unfinished", "4194303999");
  const alive = join(dataDir, "unfinished", String(process.ppid));
  for (const folder of [dead, alive]) {
    await mkdir(folder);
    await writeFile(join(folder, "half"), "half");
  }
  await openFilesystemStore({ dataDir, minFreeDiskBytes: 0 });
  assert.deepEqual(await files(join(dataDir, "unfinished")), [`${process.ppid}/half`]);
});

test("the folder of unfinished writes may be taken away by another process: writing goes on", async (t) => {
  const { store, dataDir } = await opened(t);
  await rm(join(dataDir, "unfinished"), { recursive: true });
  await store.putBlob(DIGEST, BYTES);
  assert.ok((await readAll(store, DIGEST))?.equals(BYTES));
});

test("crash: an origin without its partial is removed", async (t) => {
  const { store, dataDir } = await opened(t);
  await writeFile(join(dataDir, "spool", `sha256-${HEX}.json`), "{}");
  await store.reapPartials(DAY_MS);
  assert.deepEqual(await files(dataDir), []);
});

test("partials are reaped when nobody has gone on with them for too long, and counted", async (t) => {
  const { store, dataDir } = await opened(t);
  await partial(store);
  assert.deepEqual(await store.reapPartials(DAY_MS), { partials: 0, bytes: 0 });
  assert.equal((await files(dataDir)).length, 2);
  const yesterday = new Date(Date.now() - DAY_MS - 1000);
  await utimes(join(dataDir, "spool", `sha256-${HEX}`), yesterday, yesterday);
  assert.deepEqual(await store.reapPartials(DAY_MS), { partials: 1, bytes: BYTES.length });
  assert.deepEqual(await files(dataDir), []);
});

test("an old partial that is wanted again is not reaped under the fill that goes on with it", async (t) => {
  const { store, dataDir } = await opened(t);
  await partial(store, BYTES.subarray(0, 50_000));
  const yesterday = new Date(Date.now() - DAY_MS - 1000);
  await utimes(join(dataDir, "spool", `sha256-${HEX}`), yesterday, yesterday);
  const spool = await store.openSpool(DIGEST, ORIGIN);
  assert.equal((await store.reapPartials(DAY_MS)).partials, 0);
  await spool.append(BYTES.subarray(50_000));
  await spool.commit();
  await spool.close();
  assert.ok((await readAll(store, DIGEST))?.equals(BYTES));
});

test("a spool that is written is never reaped, whatever the clock says; a partial of the future is taken for new", async (t) => {
  const { store, dataDir } = await opened(t);
  const spool = await store.openSpool(DIGEST, ORIGIN);
  await spool.append(BYTES.subarray(0, 50_000));
  const path = join(dataDir, "spool", `sha256-${HEX}`);
  const [past, future] = [new Date(Date.now() - 9 * DAY_MS), new Date(Date.now() + 9 * DAY_MS)];
  await utimes(path, past, past);
  assert.equal((await store.reapPartials(DAY_MS)).partials, 0);
  await spool.keep();
  await spool.close();
  await utimes(path, future, future);
  assert.equal((await store.reapPartials(DAY_MS)).partials, 0);
  assert.ok((await stat(path)).mtimeMs <= Date.now());
  await utimes(path, past, past);
  assert.equal((await store.reapPartials(DAY_MS)).partials, 1);
});

test("odd things among the spools do not stop the reaping", async (t) => {
  const { store, dataDir } = await opened(t);
  await mkdir(join(dataDir, "spool", "folder", "deep"), { recursive: true });
  await symlink("/nowhere", join(dataDir, "spool", "dangling"));
  await store.reapPartials(-DAY_MS);
  assert.deepEqual(await readdir(join(dataDir, "spool")), []);
});

test("minFreeDiskBytes: where the reserve is reached nothing is begun, and nothing is left", async (t) => {
  const { store, dataDir } = await opened(t, Number.MAX_SAFE_INTEGER);
  assert.ok((await store.room()) < 0);
  await assert.rejects(store.openSpool(DIGEST, ORIGIN), NoRoomError);
  assert.deepEqual(await files(dataDir), []);
});

test("minFreeDiskBytes: a blob that would not fit is not begun", async (t) => {
  const { store } = await opened(t);
  const size = (await store.room()) + 2 ** 40;
  await assert.rejects(store.openSpool(DIGEST, { ...ORIGIN, size }), NoRoomError);
});

test("an empty, a torn and a foreign link are no link", async (t) => {
  const { store, dataDir } = await opened(t);
  const link = join(dataDir, IN_APP, "_manifests", "revisions", "sha256", HEX, "link");
  const current = join(dataDir, IN_APP, "_manifests", "tags", "1", "current", "link");
  for (const path of [link, current]) await mkdir(dirname(path), { recursive: true });
  for (const text of ["", "sha256:abc", "../../../etc/passwd"]) {
    for (const path of [link, current]) await writeFile(path, text);
    assert.equal(await store.hasLink("manifest", APP, DIGEST), false);
    assert.equal(await store.tag(APP, tagOf("1")), undefined);
    const { damagedLinks, ...contents } = await store.contents(APP);
    assert.deepEqual(contents, { manifests: [], layers: [], tags: [], damaged: ["1", DIGEST], damagedTags: ["1"] });
    assert.deepEqual(
      damagedLinks.map(({ digest }) => digest),
      [DIGEST],
    );
  }
  await writeFile(link, digestOf(Buffer.from("another")));
  assert.equal(await store.hasLink("manifest", APP, DIGEST), false, "it names another digest than its folder");
});

test("a folder in place of a blob or a link is nothing held", async (t) => {
  const { store, dataDir } = await opened(t);
  await mkdir(join(dataDir, BLOB), { recursive: true });
  await mkdir(join(dataDir, IN_APP, "_layers", "sha256", HEX, "link"), { recursive: true });
  assert.equal(await store.statBlob(DIGEST), undefined);
  assert.equal(await store.openBlob(DIGEST), undefined);
  assert.equal(await store.readBlob(DIGEST, 100), undefined);
  assert.equal(await store.hasLink("layer", APP, DIGEST), false);
  assert.deepEqual((await store.contents(APP)).layers, []);
});

test("symbolic links are not followed out of the data folder, neither to read nor to write", async (t) => {
  const { store, dataDir } = await opened(t);
  const outside = join(await tempDir(t), "outside");
  await writeFile(outside, BYTES);
  await mkdir(dirname(join(dataDir, BLOB)), { recursive: true });
  await symlink(outside, join(dataDir, BLOB));
  await symlink(outside, join(dataDir, "spool", `sha256-${HEX}`));
  assert.equal(await store.statBlob(DIGEST), undefined);
  assert.equal(await store.openBlob(DIGEST), undefined);
  assert.equal(await store.readBlob(DIGEST, BYTES.length), undefined);
  await assert.rejects(store.openSpool(DIGEST, ORIGIN));
  await store.putBlob(DIGEST, BYTES);
  assert.equal((await stat(join(dataDir, BLOB))).size, BYTES.length);
  await symlink(dirname(outside), join(dataDir, "docker", "registry", "v2", "repositories", "docker.io"));
  for await (const path of store.repositories()) assert.fail(path);
  assert.ok((await readFile(outside)).equals(BYTES));
});

test("the mark of credentials stands before the link does: what cannot be marked is not linked", async (t) => {
  const { store, dataDir } = await opened(t);
  const folder = join(dataDir, IN_APP, "_layers", "sha256", HEX);
  // A folder with something in it cannot be replaced by a file.
  await mkdir(join(folder, "fetched-with", "x"), { recursive: true });
  await assert.rejects(store.link("layer", APP, DIGEST, "basic:1"));
  assert.equal(await store.hasLink("layer", APP, DIGEST), false);
});

const TMPFS_BYTES = 1024 * 1024;

/** A disk of one mebibyte; undefined where we may not mount. */
async function smallDisk(t: TestContext): Promise<string | undefined> {
  let mounted: string | undefined;
  // Registered before the folder's removal, since the hooks run in this order.
  t.after(() => mounted !== undefined && execFileSync("umount", ["--lazy", mounted]));
  const folder = await tempDir(t);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${TMPFS_BYTES}`, "tmpfs", folder], { stdio: "pipe" });
  } catch {
    return undefined;
  }
  return (mounted = folder);
}

test("a full disk is a NoRoomError, what was written before it stays right, and a small write leaves nothing", async (t) => {
  const dataDir = await smallDisk(t);
  if (dataDir === undefined) return t.skip("mounting a small tmpfs needs root and mount(8)");
  const store = await openFilesystemStore({ dataDir, minFreeDiskBytes: 0 });
  const bytes = seededBytes(2 * TMPFS_BYTES, "large");
  const digest = digestOf(bytes);
  const spool = await store.openSpool(digest, ORIGIN);
  await spool.append(bytes.subarray(0, 600_000));
  // The write is cut half-way: a part of it fits.
  await assert.rejects(spool.append(bytes.subarray(600_000, 1_500_000)), NoRoomError);
  const read = Buffer.alloc(600_000);
  for (let at = 0; at < read.length;) at += await spool.read(read.subarray(at), at);
  assert.ok(read.equals(bytes.subarray(0, 600_000)));
  await assert.rejects(store.putBlob(DIGEST, BYTES), NoRoomError);
  assert.equal(await store.statBlob(DIGEST), undefined);
  await spool.keep();
  await spool.close();
  assert.equal(
    (await stat(join(dataDir, "spool", `sha256-${digestHex(digest)}`))).size,
    600_000,
    "only what was counted",
  );
  assert.deepEqual(await readdir(join(dataDir, "unfinished", String(process.pid))), []);
});
