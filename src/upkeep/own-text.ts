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

/** A list that people may edit, as it is: one entry a line, `#` begins a comment. */
export interface ListText<E> {
  readonly lines: readonly string[];
  readonly entries: readonly E[];
  /** Lines that cannot be read, counted from 1; they count for nothing. */
  readonly badLines: readonly number[];
}

/** `readLine` gives undefined for a line that it cannot read; what is beyond `entriesMax` is not read either. */
export function parseList<E>(text: string, entriesMax: number, readLine: (line: string) => E | undefined): ListText<E> {
  const lines = text.split(/\r?\n/);
  while (lines.at(-1) === "") lines.pop();
  const entries: E[] = [];
  const badLines: number[] = [];
  lines.forEach((line, at) => {
    if (isBlank(line)) return;
    const entry = entries.length < entriesMax ? readLine(line) : undefined;
    if (entry === undefined) badLines.push(at + 1);
    else entries.push(entry);
  });
  return { lines, entries, badLines };
}

/** Nothing but a comment. */
export function isBlank(line: string): boolean {
  return line.trim() === "" || line.trimStart().startsWith("#");
}

export function listText(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join("");
}
