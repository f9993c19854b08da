import assert from "node:assert/strict";
import { renameSync } from "node:fs";
import { chown, lstat, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { tempDir } from "../../test/support/temp.ts";
import { giveToOwner } from "./owner.ts";

const isRoot = process.getuid?.() === 0;
const NOBODY = 65_534;

async function ownerOf(path: string): Promise<number> {
  return (await lstat(path)).uid;
}

test(
  "what root made in somebody's folder becomes theirs, but for what a link leads to",
  { skip: !isRoot },
  async (t) => {
    const folder = await tempDir(t);
    const [data, elsewhere] = [join(folder, "data"), join(folder, "elsewhere")];
    await mkdir(join(data, "a/b"), { recursive: true });
    await mkdir(elsewhere);
    for (const path of [join(data, "a/b/file"), join(elsewhere, "file")]) await writeFile(path, "");
    await symlink(elsewhere, join(data, "link"));
    await chown(data, NOBODY, NOBODY);
    await giveToOwner(data);
    for (const name of ["a", "a/b", "a/b/file", "link"]) assert.equal(await ownerOf(join(data, name)), NOBODY, name);
    for (const path of [elsewhere, join(elsewhere, "file")]) assert.equal(await ownerOf(path), 0, path);
  },
);

const ROUNDS = 100;

test(
  "nor is anything else given away where they exchange a folder for a link meanwhile",
  { skip: !isRoot },
  async (t) => {
    const folder = await tempDir(t);
    const [data, elsewhere] = [join(folder, "data"), join(folder, "elsewhere")];
    await mkdir(join(data, "a"), { recursive: true });
    await mkdir(elsewhere);
    await writeFile(join(elsewhere, "file"), "");
    await symlink(elsewhere, join(data, "link"));
    await chown(data, NOBODY, NOBODY);
    let isOver = false;
    const exchange = () => {
      for (const [from, to] of [
        ["a", "b"],
        ["link", "a"],
        ["b", "link"],
      ] as const) {
        renameSync(join(data, from), join(data, to));
      }
      if (!isOver) setImmediate(exchange);
    };
    exchange();
    try {
      for (let round = 0; round < ROUNDS; round += 1) await giveToOwner(data);
    } finally {
      isOver = true;
    }
    assert.deepEqual([await ownerOf(elsewhere), await ownerOf(join(elsewhere, "file"))], [0, 0]);
  },
);
