import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";

const FOLDER = path.resolve(import.meta.dirname, "../goldens");

/** Compares with what is kept in `test/e2e/goldens/`; with UPDATE_GOLDENS=1 it is kept instead, to be looked at by `git diff`. */
export async function assertGolden(name: string, text: string): Promise<void> {
  const file = path.join(FOLDER, `${name}.txt`);
  if (process.env["UPDATE_GOLDENS"] === "1") {
    await mkdir(FOLDER, { recursive: true });
    await writeFile(file, text);
    return;
  }
  const kept = await readFile(file, "utf8").catch(() => "");
  assert.equal(text, kept, `${path.relative(process.cwd(), file)} differs; UPDATE_GOLDENS=1 writes it anew`);
}
