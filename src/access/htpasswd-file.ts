import { randomBytes } from "node:crypto";
import { chown, open, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";

/** Read by the cache's own user alone, unless its file says otherwise already. */
const NEW_FILE_MODE = 0o600;

/** A password file's lines, in which those that are about others stay as they are. */
export class HtpasswdFile {
  readonly #path: string;
  readonly #lines: string[];

  private constructor(path: string, lines: string[]) {
    this.#path = path;
    this.#lines = lines;
  }

  /** A file that is not there has no lines. Rejects with the system's error. */
  static async read(path: string): Promise<HtpasswdFile> {
    const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return "";
      throw error;
    });
    return new HtpasswdFile(
      path,
      text
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

  /** All or nothing; owner and mode stay. Rejects with the system's error. */
  async write(): Promise<void> {
    const before = await stat(this.#path).catch(() => undefined);
    const folder = await stat(dirname(this.#path));
    const temporary = `${this.#path}.${randomBytes(6).toString("hex")}`;
    try {
      const handle = await open(temporary, "wx", NEW_FILE_MODE);
      try {
        await handle.writeFile(this.#lines.map((line) => `${line}\n`).join(""));
        // Who is not root cannot give files away, and need not.
        if (process.getuid?.() === 0) await chown(temporary, (before ?? folder).uid, (before ?? folder).gid);
        if (before !== undefined) await handle.chmod(before.mode & 0o777);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, this.#path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }
}

function userOf(line: string): string | undefined {
  const colon = line.indexOf(":");
  return colon < 1 || line.trimStart().startsWith("#") ? undefined : line.slice(0, colon).trim();
}
