import { readFile, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { makeFolder, replaceFile, type ReplaceOptions } from "../lib/replace-file.ts";

/** Files that are changed one after the other, so that all of them can be put back as they were. */
export class Journal {
  readonly #before: { readonly path: string; readonly text: string | undefined }[] = [];

  /** Rejects with the system's error. */
  async replace(path: string, text: string, options: ReplaceOptions): Promise<void> {
    await this.change(path, async () => await replaceFile(path, text, options));
  }

  /** `work` changes the file. */
  async change(path: string, work: () => Promise<void>): Promise<void> {
    await makeFolder(dirname(path));
    const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
    await work();
    this.#before.push({ path, text });
  }

  /** Puts back what can be put back. */
  async undo(): Promise<void> {
    for (const { path, text } of this.#before.splice(0).toReversed()) {
      const back = text === undefined ? rm(path, { force: true }) : replaceFile(path, text);
      await back.catch(() => undefined);
    }
  }
}
