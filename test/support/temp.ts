import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What we need of a test's context. */
export interface HasAfter {
  after(run: () => Promise<void>): void;
}

/** A new empty folder that is removed with all it holds when the test ends. */
export async function tempDir(t: HasAfter): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "registry-cache-test-"));
  // Retries: a writer that a test abandoned may still add a file while we remove.
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}
