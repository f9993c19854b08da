import { open, readFile, realpath, rm, stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { replaceFile, SECRET_MODE } from "../lib/replace-file.ts";

/** A password file's lines, in which those that are about others stay as they are. */
export class HtpasswdFile {
  /** Whether there was a file. */
  readonly isThere: boolean;
  readonly #path: string;
  readonly #lines: string[];

  private constructor(path: string, isThere: boolean, lines: string[]) {
    this.isThere = isThere;
    this.#path = path;
    this.#lines = lines;
  }

  /**
   * Reads the file, lets `change` change it, and writes it, while no other process does; a link is written through. Rejects with
   * what `change` throws, which then changes nothing, or with the system's error.
   */
  static async change(path: string, change: (file: HtpasswdFile) => Promise<void>): Promise<void> {
    const real = await realpath(path).catch(() => path);
    const unlock = await lock(`${real}.lock`);
    try {
      const file = await HtpasswdFile.read(real);
      await change(file);
      await file.write();
    } finally {
      await unlock();
    }
  }

  /** A file that is not there has no lines. Rejects with the system's error. */
  static async read(path: string): Promise<HtpasswdFile> {
    const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
    return new HtpasswdFile(
      path,
      text !== undefined,
      (text ?? "")
        .replace(/\n$/, "")
        .split("\n")
        .filter((line, index) => index > 0 || line !== ""),
    );
  }

  get users(): string[] {
    return this.#lines.map(userOf).filter((user) => user !== undefined);
  }

  has(user: string): boolean {
    return this.users.includes(user);
  }

  set(user: string, hash: string): void {
    const line = `${user}:${hash}`;
    const at = this.#lines.findIndex((one) => userOf(one) === user);
    if (at === -1) this.#lines.push(line);
    else this.#lines[at] = line;
  }

  remove(user: string): void {
    for (let at = this.#lines.length - 1; at >= 0; at -= 1) {
      if (userOf(this.#lines[at] ?? "") === user) this.#lines.splice(at, 1);
    }
  }

  /** All or nothing; owner and mode stay. */
  async write(): Promise<void> {
    await replaceFile(this.#path, this.#lines.map((line) => `${line}\n`).join(""));
  }
}

/** Between two looks at another's lock, and for how many of them it is waited for: five seconds, milliseconds. */
const LOCK_LOOK_MS = 50;
const LOCK_LOOKS_MAX = 100;
/** Nobody needs so long; whoever left it is gone. */
const LOCK_AGE_MAX_MS = 30_000;

/** Rejects with the system's error, EEXIST where another has it. */
async function lock(path: string): Promise<() => Promise<void>> {
  for (let look = 1; ; look += 1) {
    try {
      await (await open(path, "wx", SECRET_MODE)).close();
      return async () => await rm(path, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST" || look > LOCK_LOOKS_MAX) throw error;
      const since = await stat(path).then(
        ({ mtimeMs }) => mtimeMs,
        () => Date.now(),
      );
      if (Date.now() - since > LOCK_AGE_MAX_MS) await rm(path, { force: true });
      else await sleep(LOCK_LOOK_MS);
    }
  }
}

function userOf(line: string): string | undefined {
  const colon = line.indexOf(":");
  return colon < 1 || line.trimStart().startsWith("#") ? undefined : line.slice(0, colon).trim();
}
