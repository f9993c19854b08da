import { spawn } from "node:child_process";
import { once } from "node:events";
import { lstat, mkdir, readdir, readFile, readlink, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { findProgram } from "./programs.ts";
import { type HasAfter, tempDir } from "./temp.ts";

export interface ScriptOutcome {
  readonly exitCode: number | undefined;
  readonly out: string;
  readonly err: string;
}

export interface ScriptCall {
  readonly flags?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** By default dash, or whatever `sh` is. */
  readonly shell?: readonly string[];
  readonly cwd?: string;
}

/** Every shell here that reads POSIX sh. */
export const SHELLS: readonly (readonly [string, ...string[]])[] = (
  [["dash"], ["bash", "--posix"], ["busybox", "sh"], ["mksh"]] as const
).filter(([program]) => findProgram(program) !== undefined);

const TOOLS =
  "awk cat chmod cksum cp cut dirname grep head id ln ls mkdir mv od readlink rm rmdir sed sh sleep sort tail tr".split(
    " ",
  );

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== "EEXIST") throw error;
}

/** Long enough for any machine; it only turns a hang into a failure. */
const SCRIPT_MS_MAX = 60_000;

/** Folders that stand for those of a host (`DESTDIR`), a home, and a place for temporary files, none of which has anything else in it. */
export class FakeHost {
  readonly root: string;
  readonly home: string;
  readonly tmp: string;

  private constructor(folder: string) {
    this.root = join(folder, "ho st");
    this.home = join(folder, "home");
    this.tmp = join(folder, "tmp");
  }

  static async create(t: HasAfter, files: Readonly<Record<string, string>> = {}): Promise<FakeHost> {
    const host = new FakeHost(await tempDir(t));
    for (const folder of [host.root, host.home, host.tmp]) await mkdir(folder);
    for (const [name, text] of Object.entries(files)) await host.write(name, text);
    return host;
  }

  path(name: string): string {
    return join(this.root, name);
  }

  async write(name: string, text: string, mode?: number): Promise<void> {
    await mkdir(dirname(this.path(name)), { recursive: true });
    await writeFile(this.path(name), text, mode === undefined ? {} : { mode });
  }

  async link(name: string, target: string): Promise<void> {
    await mkdir(dirname(this.path(name)), { recursive: true });
    await symlink(target, this.path(name));
  }

  async read(name: string): Promise<string> {
    return await readFile(this.path(name), "utf8");
  }

  /** The script as it comes by `curl | sh -s -- FLAGS`, in a process group of its own. */
  async run(
    script: string,
    { flags = [], environment = {}, shell = ["sh"], cwd }: ScriptCall = {},
  ): Promise<ScriptOutcome> {
    const [program = "", ...args] = shell;
    const child = spawn(findProgram(program) ?? program, [...args, "-s", "--", ...flags], {
      cwd: cwd ?? this.home,
      detached: true,
      env: {
        PATH: process.env["PATH"],
        HOME: this.home,
        TMPDIR: this.tmp,
        DESTDIR: this.root,
        // Coverage and the like are not for what runs in there.
        ...environment,
      },
      timeout: SCRIPT_MS_MAX,
      killSignal: "SIGKILL",
    });
    const texts = { out: "", err: "" };
    child.stdout.setEncoding("utf8").on("data", (piece: string) => (texts.out += piece));
    child.stderr.setEncoding("utf8").on("data", (piece: string) => (texts.err += piece));
    // It may end before it has read all.
    child.stdin.on("error", () => undefined);
    child.stdin.end(script);
    const [code] = (await once(child, "close")) as [number | null];
    return { exitCode: code ?? undefined, ...texts };
  }

  /** An environment with the few programs that the script says it needs, and nothing else; some of them others than usual. */
  async bareTools(replaced: Readonly<Record<string, string>> = {}): Promise<Record<string, string>> {
    const folder = join(this.tmp, "..", ["bare", ...Object.values(replaced)].join("-"));
    await mkdir(folder, { recursive: true });
    for (const name of TOOLS) {
      const file = findProgram(replaced[name] ?? name);
      if (file === undefined) throw new Error(`no ${name} here`);
      await symlink(file, join(folder, name)).catch(ignoreExisting);
    }
    return { PATH: folder };
  }

  /** All that is there. */
  async tree(folder = this.root): Promise<Record<string, string>> {
    return await treeOfHost(folder);
  }
}

/** Of files the bytes, owner, mode and time; of folders owner and mode; by their names. */
export async function treeOfHost(root: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of (await readdir(root, { recursive: true })).toSorted()) {
    const path = join(root, name);
    const { mode, uid, gid, mtimeNs, size } = await lstat(path, { bigint: true });
    const who = `${mode.toString(8)} ${uid}:${gid}`;
    if ((mode & 0o170000n) === 0o120000n) found[name] = `-> ${await readlink(path)}`;
    else if ((mode & 0o170000n) === 0o040000n) found[name] = who;
    else found[name] = `${who} ${size} ${mtimeNs} ${await readFile(path, "base64")}`;
  }
  return found;
}
