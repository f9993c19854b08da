import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, copyFile, mkdir, readdir, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";

import { findProgram } from "../../support/programs.ts";

/** A program of a Debian package that would start a service if it were installed: taken out of it, and nothing else. */
export interface DebianFile {
  readonly name: string;
  readonly package: string;
  /** In the package. */
  readonly part: string;
}

const PROMTOOL: DebianFile = { name: "promtool", package: "prometheus", part: "usr/bin/promtool" };

export const DEBIAN_FILES = { promtool: PROMTOOL } as const;

/** Where it is: of the system, or fetched; undefined where it is neither. */
export function debianFile(file: DebianFile): string | undefined {
  const fetched = fetchedPath(file);
  return findProgram(file.name) ?? (existsSync(fetched) ? fetched : undefined);
}

function fetchedPath({ name, package: from }: DebianFile): string {
  const cache = process.env["XDG_CACHE_HOME"] || path.join(homedir(), ".cache");
  return path.join(cache, "registry-cache-tools", `debian-${from}`, name);
}

/** Fetches it with apt, which checks the package's signature; rejects with the reason where that cannot be done. */
export async function fetchDebianFile(file: DebianFile, timeoutMs: number): Promise<void> {
  const [aptGet, dpkg] = [findProgram("apt-get"), findProgram("dpkg")];
  if (aptGet === undefined || dpkg === undefined) throw new Error("no apt-get here to fetch it with");
  const target = fetchedPath(file);
  const partial = `${path.dirname(target)}.partial.${process.pid}`;
  try {
    await mkdir(partial, { recursive: true });
    const options = { cwd: partial, timeout: timeoutMs };
    // Of its own accord apt would download as a user that may not write there.
    await promisify(execFile)(aptGet, ["-o", "APT::Sandbox::User=root", "download", file.package], options);
    const archive = (await readdir(partial)).find((one) => one.endsWith(".deb"));
    if (archive === undefined) throw new Error("apt-get downloaded nothing");
    await promisify(execFile)(dpkg, ["-x", archive, "files"], options);
    await mkdir(path.dirname(target), { recursive: true });
    await copyFile(path.join(partial, "files", file.part), `${target}.partial`);
    await chmod(`${target}.partial`, 0o755);
    await rename(`${target}.partial`, target);
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

/** Why tests with it cannot run here, for node:test's `skip`; false where they can. No machine must have it. */
export function notFetchedFile(name: keyof typeof DEBIAN_FILES): string | false {
  return debianFile(DEBIAN_FILES[name]) === undefined && `not fetched: ${name} (make e2e-tools, on Debian)`;
}
