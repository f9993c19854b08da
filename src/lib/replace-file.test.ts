import assert from "node:assert/strict";
import { chmod, chown, mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { tempDir } from "../../test/support/temp.ts";
import { makeFolder, replaceFile } from "./replace-file.ts";

const isRoot = process.getuid?.() === 0;
const NOBODY = 65_534;

test("a file is replaced as a whole, and its mode stays", async (t) => {
  const folder = await tempDir(t);
  const path = join(folder, "file");
  await replaceFile(path, "one");
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  await chmod(path, 0o640);
  await replaceFile(path, "two");
  assert.deepEqual([await readFile(path, "utf8"), (await stat(path)).mode & 0o777], ["two", 0o640]);
  await replaceFile(path, "three", { mode: () => 0o644 });
  assert.equal((await stat(path)).mode & 0o777, 0o644);
  assert.deepEqual(await readdir(folder), ["file"]);
});

test("what cannot be replaced stays as it is, and nothing is left beside it", async (t) => {
  const folder = await tempDir(t);
  await mkdir(join(folder, "file"));
  await assert.rejects(replaceFile(join(folder, "file"), "one"), { code: "EISDIR" });
  assert.deepEqual(await readdir(folder), ["file"]);
  await assert.rejects(replaceFile(join(folder, "none/file"), "one"), { code: "ENOENT" });
});

test("a link stays one", async (t) => {
  const folder = await tempDir(t);
  await writeFile(join(folder, "real"), "one");
  await symlink("real", join(folder, "link"));
  await replaceFile(join(folder, "link"), "two");
  assert.equal(await readFile(join(folder, "real"), "utf8"), "two");
});

test("what root makes belongs to whoever has the folder", { skip: !isRoot && "needs root" }, async (t) => {
  const folder = await tempDir(t);
  await chown(folder, NOBODY, NOBODY);
  await makeFolder(join(folder, "a/b"));
  await replaceFile(join(folder, "a/b/file"), "one");
  for (const name of ["a", "a/b", "a/b/file"]) assert.equal((await stat(join(folder, name))).uid, NOBODY, name);
});
