import { randomBytes } from "node:crypto";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";

const KEY_BYTES = 32;
const KEY_FILE = "token-key";

/** The key that tokens are signed with; it lies in the data folder, so that tokens outlive a restart. Rejects with the system's error. */
export async function readTokenKey(dataDir: string): Promise<Buffer> {
  const path = join(dataDir, KEY_FILE);
  const known = await readFile(path).catch(() => undefined);
  if (known?.length === KEY_BYTES) return known;
  const key = randomBytes(KEY_BYTES);
  // One that a crash cut short is replaced: tokens are short-lived.
  const handle = await open(path, "w", 0o600);
  try {
    await handle.chmod(0o600);
    await handle.writeFile(key);
  } finally {
    await handle.close();
  }
  return key;
}
