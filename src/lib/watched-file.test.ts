import assert from "node:assert/strict";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { tempDir } from "../../test/support/temp.ts";
import { stateOfFiles, WatchedFiles } from "./watched-file.ts";

/** A file of which `bad` texts cannot be used, and what came of each reading. */
async function setUp(t: TestContext, text: string) {
  const path = join(await tempDir(t), "file");
  const write = async (to: string) => {
    await writeFile(`${path}.new`, to);
    await rename(`${path}.new`, path);
  };
  await write(text);
  const read: string[] = [];
  const failed: string[] = [];
  const options = {
    paths: [path],
    read: async () => {
      const has = await readFile(path, "utf8");
      if (has.startsWith("bad")) throw new Error(has);
      read.push(has);
    },
    failed: (error: Error) => void failed.push(error.message),
  };
  return { path, write, read, failed, options };
}

test("a file is read anew when it changes, and not before", async (t) => {
  const { path, write, read, options } = await setUp(t, "one");
  const watched = new WatchedFiles({ ...options, seen: await stateOfFiles([path]) });
  await watched.look();
  assert.deepEqual(read, []);
  await write("two");
  await Promise.all([watched.look(), watched.look()]);
  assert.deepEqual(read, ["two"]);
});

test("what changed between the first reading and the first look is noticed", async (t) => {
  const { path, write, read, options } = await setUp(t, "one");
  const seen = await stateOfFiles([path]);
  await write("two");
  await new WatchedFiles({ ...options, seen }).look();
  await new WatchedFiles(options).look();
  assert.deepEqual(read, ["two", "two"]);
});

test("what cannot be used is tried again at each look, and told once for each reason and change", async (t) => {
  const { path, write, read, failed, options } = await setUp(t, "one");
  let fault: Error | undefined = new Error("the disk fails");
  const faulty = async () => {
    if (fault !== undefined) throw fault;
    await options.read();
  };
  const watched = new WatchedFiles({ ...options, read: faulty, seen: await stateOfFiles([path]) });
  await write("two");
  for (let time = 0; time < 3; time++) await watched.look();
  assert.deepEqual(failed, ["the disk fails"]);
  // Nothing of the file changes when the disk is well again.
  fault = undefined;
  await watched.look();
  await watched.look();
  assert.deepEqual(read, ["two"]);
  await write("bad 1");
  await watched.look();
  await watched.look();
  await write("bad 1");
  await watched.look();
  assert.deepEqual(failed, ["the disk fails", "bad 1", "bad 1"]);
  await rm(path);
  await watched.look();
  assert.match(failed.at(-1) ?? "", /ENOENT/);
});
