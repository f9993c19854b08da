import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";

/** Reads the whole store as a stranger would, and fails on any blob that its name does not fit, and on any link to none. */
export async function assertStoreIsRight(dataDir: string): Promise<Set<string>> {
  const root = join(dataDir, "docker", "registry", "v2");
  // Links first: a blob is there before its link, so that a commit meanwhile looks right, too.
  const links = await Promise.all(
    (await filesNamed(join(root, "repositories"), "link")).map(async (file) => [file, await readFile(file, "utf8")]),
  );
  const blobs = new Set<string>();
  for (const file of await filesNamed(join(root, "blobs"), "data")) {
    const named = `${basename(dirname(dirname(dirname(file))))}:${basename(dirname(file))}`;
    assert.equal(await digestOf(file, named), named, "a stored blob is what its name says");
    blobs.add(named);
  }
  for (const [file, target = ""] of links) {
    assert.ok(blobs.has(target), `${file} leads to ${target}, which is not stored`);
  }
  return blobs;
}

async function filesNamed(folder: string, name: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((one) => one.isFile() && one.name === name).map((one) => join(one.parentPath, one.name));
}

async function digestOf(file: string, like: string): Promise<string> {
  const algorithm = like.slice(0, like.indexOf(":"));
  const hash = createHash(algorithm);
  await pipeline(createReadStream(file), hash);
  return `${algorithm}:${hash.digest("hex")}`;
}
