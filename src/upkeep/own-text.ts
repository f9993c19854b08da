import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/** Files in the data folder that are users' settings: they are read and changed by hand as well. */
const FILE_BYTES_MAX = 2 * 1024 * 1024;

/** Empty where there is none. Rejects for one that is far too long to have been written here. */
export async function ownText(path: string): Promise<string> {
  try {
    const handle = await open(path, "r");
    try {
      const { size } = await handle.stat();
      if (size > FILE_BYTES_MAX) throw new Error(`${path} has ${size} bytes, more than ${FILE_BYTES_MAX}`);
      return await handle.readFile("utf8");
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
    throw error;
  }
}

/** The old one or the new one, whatever happens. */
export async function replaceOwnText(path: string, text: string): Promise<void> {
  const temporary = `${path}.new`;
  try {
    const handle = await open(temporary, "w", 0o644);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
    const folder = await open(dirname(path), "r");
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
