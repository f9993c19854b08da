import { execFileSync } from "node:child_process";
import { closeSync, fsyncSync, openSync, statfsSync, writeSync } from "node:fs";
import { mkdir, mkdtemp, rm, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HasAfter } from "../../support/temp.ts";

/** A file system of its own, small enough to be filled to the last byte. */
export interface SmallDisk {
  /** A folder on it that is all for the test. */
  readonly folder: string;
  /** Takes all bytes that are free; `makeRoom` gives them back. */
  fill(): void;
  /** Takes all files (inodes) that may yet be made, but for so many. */
  fillFiles(left: number): void;
  makeRoom(): Promise<void>;
  freeBytes(): Promise<number>;
}

export interface SmallDiskOptions {
  readonly kind: "tmpfs" | "ext4";
  readonly bytes: number;
  /** Files and folders that it has place for; tmpfs only. */
  readonly files?: number;
}

/** Why no file system can be mounted here, for node:test's `skip`; false where it can. */
export function mountObstacle(): string | false {
  if (process.platform !== "linux") return "small file systems are mounted on Linux only";
  if (process.getuid?.() !== 0) return "mounting a small file system needs root";
  return false;
}

export async function smallDisk(t: HasAfter, options: SmallDiskOptions): Promise<SmallDisk> {
  const root = await mkdtemp(join(tmpdir(), "registry-cache-disk-"));
  const mountPoint = join(root, "disk");
  await mkdir(mountPoint);
  await mount(root, mountPoint, options);
  t.after(async () => {
    // Lazily: whoever still has a file open there must not make the test fail.
    execFileSync("umount", ["--lazy", mountPoint]);
    await rm(root, { recursive: true, force: true });
  });
  const folder = join(mountPoint, "data");
  const fillers = join(mountPoint, "fillers");
  await mkdir(folder);
  await mkdir(fillers);
  return {
    folder,
    fill: () => fillUp(join(fillers, "bytes")),
    fillFiles: (left) => {
      const { ffree } = statfsSync(mountPoint);
      for (let made = 0; made < ffree - left; made++) closeSync(openSync(join(fillers, String(made)), "w"));
    },
    makeRoom: async () => {
      await rm(fillers, { recursive: true });
      await mkdir(fillers);
    },
    freeBytes: async () => {
      const { bavail, bsize } = await statfs(mountPoint);
      return bavail * bsize;
    },
  };
}

async function mount(root: string, mountPoint: string, { kind, bytes, files }: SmallDiskOptions): Promise<void> {
  if (kind === "tmpfs") {
    const limits = `size=${bytes}${files === undefined ? "" : `,nr_inodes=${files}`}`;
    execFileSync("mount", ["-t", "tmpfs", "-o", limits, "tmpfs", mountPoint]);
    return;
  }
  const image = join(root, "image");
  execFileSync("truncate", ["--size", String(bytes), image]);
  // No blocks kept back for root, who runs this.
  execFileSync("mkfs.ext4", ["-q", "-m", "0", image]);
  execFileSync("mount", ["-o", "loop", image, mountPoint]);
}

/** In smaller and smaller pieces, until not one byte more goes in. */
function fillUp(path: string): void {
  const file = openSync(path, "a");
  try {
    for (let pieceBytes = 64 * 1024; pieceBytes >= 1; pieceBytes = Math.floor(pieceBytes / 16)) {
      const piece = Buffer.alloc(pieceBytes, 1);
      while (fits(file, piece));
    }
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function fits(file: number, piece: Buffer): boolean {
  try {
    return writeSync(file, piece) > 0;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOSPC") return false;
    throw error;
  }
}
