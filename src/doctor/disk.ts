import { constants } from "node:fs";
import { access, mkdtemp, rmdir, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import { humanSize } from "../lib/human.ts";
import { type Check, type Finding, ok, problem, warning } from "./finding.ts";

/** What is known of the data folder. */
export interface DataFolder {
  readonly path: string;
  /** By the system's code: why it cannot be written; undefined where it can. */
  readonly obstacle: string | undefined;
  readonly disk: Disk | undefined;
  /** Files below it, with their owner's number, that belong to somebody else than the folder does. */
  readonly strangers: readonly string[];
  readonly owner: number | undefined;
}

export interface Disk {
  readonly freeBytes: number;
  readonly sizeBytes: number;
  readonly freeFiles: number;
  /** 0: it has no such limit. */
  readonly files: number;
  /** Its kind (statfs(2)). */
  readonly type: number;
}

export function diskCheck(dataDir: string, minFreeBytes: number): Check {
  return { title: "Data", look: async () => judgeDataFolder(await lookAt(dataDir), minFreeBytes) };
}

async function lookAt(path: string): Promise<DataFolder> {
  const obstacle = await writeObstacle(path);
  const disk = await statfs(path).then(
    ({ bavail, bsize, blocks, ffree, files, type }): Disk => ({
      freeBytes: bavail * bsize,
      sizeBytes: blocks * bsize,
      freeFiles: ffree,
      files,
      type,
    }),
    () => undefined,
  );
  const owner = await ownerOf(path);
  const strangers: string[] = [];
  for (const name of FILES) {
    const its = await ownerOf(join(path, name));
    if (its !== undefined && its !== owner) strangers.push(name);
  }
  return { path, obstacle, disk, strangers, owner };
}

/** What a start as another user would leave behind. */
const FILES = ["lock.sqlite", "catalog.sqlite", "docker", "spool", "unfinished", "acme", "token-key"];

/** Rights alone do not tell: a disk may be read-only, and root may do everything but that. */
async function writeObstacle(path: string): Promise<string | undefined> {
  try {
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
    await rmdir(await mkdtemp(join(path, "doctor-")));
    return undefined;
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}

async function ownerOf(path: string): Promise<number | undefined> {
  return await stat(path).then(
    ({ uid }) => uid,
    () => undefined,
  );
}

const CHOOSE = "choose another folder with `data_dir`";

export function judgeDataFolder(folder: DataFolder, minFreeBytes: number): readonly Finding[] {
  const { path, obstacle, disk, strangers, owner } = folder;
  if (obstacle !== undefined)
    return [judgeObstacle(path, obstacle), ...(disk === undefined ? [] : judgeDisk(disk, minFreeBytes))];
  return [
    ok(`${path} can be written`),
    ...(strangers.length === 0
      ? []
      : [
          problem(
            `${strangers.join(", ")} in it belong to another user than the folder does`,
            `chown -R ${owner ?? "USER"} ${path}, and start the cache as that user alone`,
          ),
        ]),
    ...(disk === undefined ? [] : judgeDisk(disk, minFreeBytes)),
  ];
}

function judgeObstacle(path: string, code: string): Finding {
  switch (code) {
    case "ENOENT":
      return problem(`${path} is not there`, `start the cache, which makes it, or mount its disk; or ${CHOOSE}`);
    case "EACCES":
    case "EPERM":
      return problem(
        `this user may not write ${path}`,
        `run this as the cache's user; if that is who it is: chown it, or ${CHOOSE}`,
      );
    case "EROFS":
      return problem(
        `the file system of ${path} is read-only`,
        `mount it for writing (the system's log says whether its disk has failed), or ${CHOOSE}`,
      );
    case "ENOSPC":
    case "EDQUOT":
      return problem(`no room is left for ${path}`, `make room there, or ${CHOOSE}`);
    default:
      return problem(`${path} cannot be written (${code})`, CHOOSE);
  }
}

export function judgeDisk(disk: Disk, minFreeBytes: number): readonly Finding[] {
  return [judgeRoom(disk, minFreeBytes), ...judgeFiles(disk), ...judgeType(disk.type)];
}

/** Twice what is left free on purpose is little. */
const LITTLE = 2;

function judgeRoom({ freeBytes, sizeBytes }: Disk, minFreeBytes: number): Finding {
  const kept = `${humanSize(minFreeBytes)} are left free (min_free_disk)`;
  const fix = "make room, or a larger disk; pulls go on meanwhile, through the cache";
  const free = `${humanSize(freeBytes)} of ${humanSize(sizeBytes)} are free`;
  if (freeBytes <= minFreeBytes) return problem(`nothing more is kept: ${free}, and ${kept}`, fix);
  if (freeBytes <= LITTLE * minFreeBytes) return warning(`soon nothing more is kept: ${free}, and ${kept}`, fix);
  return ok(`${free}, of which ${kept}`);
}

/** Each blob is a file, with a folder and some links. */
const FREE_FILES_MIN = 10_000;

function judgeFiles({ freeFiles, files }: Disk): readonly Finding[] {
  if (files === 0 || freeFiles >= FREE_FILES_MIN) return [];
  const fix = "remove small files there, or make the file system anew with more inodes";
  if (freeFiles === 0) return [problem("its file system has no room for another file (inodes)", fix)];
  return [warning(`its file system has room for ${freeFiles} files (inodes)`, fix)];
}

/** By statfs(2). */
const NETWORK: Readonly<Record<number, string>> = {
  0x6969: "NFS",
  0x517b: "SMB",
  0xff534d42: "CIFS",
  0xfe534d42: "SMB",
  0x01021997: "9p",
  0x65735546: "FUSE",
  0x00c36400: "Ceph",
};
const PASSING: Readonly<Record<number, string>> = {
  0x01021994: "memory (tmpfs): all is lost with a restart of the machine",
  0x858458f6: "memory (ramfs): all is lost with a restart of the machine",
  0x794c7630: "a container's own layer (overlay): all is lost with the container",
};

function judgeType(type: number): readonly Finding[] {
  const network = NETWORK[type];
  if (network !== undefined) {
    return [
      warning(
        `it lies on ${network}, where SQLite's locks may not hold and each file takes a round trip`,
        "put it on a local disk; at least let no second cache work on it",
      ),
    ];
  }
  const passing = PASSING[type];
  return passing === undefined ? [] : [warning(`it lies in ${passing}`, "put it on a disk or a volume")];
}
