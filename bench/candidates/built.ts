import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { findProgram } from "../lib/tools.ts";
import type { CandidateName, Missing } from "./candidate.ts";

/** Kept between runs, for a build takes minutes. */
const TOOLS = path.resolve(import.meta.dirname, "../.tools");
const BUILD_TIMEOUT_MS = 600_000;
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;

/** A program of a Go module at one version. */
export interface GoProgram {
  readonly name: CandidateName;
  readonly module: string;
  readonly version: string;
  /** Below the module. */
  readonly command: string;
  readonly tags: readonly string[];
}

export const DISTRIBUTION_3: GoProgram = {
  name: "distribution 3",
  module: "github.com/distribution/distribution/v3",
  version: "v3.1.2",
  command: "cmd/registry",
  tags: [],
};

export const ZOT: GoProgram = {
  name: "zot",
  module: "zotregistry.dev/zot/v2",
  version: "v2.1.21",
  command: "cmd/zot",
  // All that a pull-through cache needs of it.
  tags: ["sync"],
};

/** The file of a program, built where it is not there yet, or why there is none. */
export async function buildGo(program: GoProgram, say: (text: string) => void): Promise<string | Missing> {
  const { name, module, version, command, tags } = program;
  const folder = path.join(TOOLS, `${name.replaceAll(/\W+/g, "-")}-${version}`);
  const file = path.join(folder, path.basename(command));
  if (existsSync(file)) return file;
  const go = findProgram("go");
  if (go === undefined) return { name, reason: "no Go toolchain here to build it with" };
  say(`building ${module}@${version}, once; this can take some minutes`);
  await mkdir(folder, { recursive: true });
  const args = ["install", `-tags=${tags.join(",")}`, `${module}/${command}@${version}`];
  try {
    await promisify(execFile)(go, args, {
      env: { ...process.env, GOBIN: folder },
      timeout: BUILD_TIMEOUT_MS,
      maxBuffer: OUTPUT_BYTES_MAX,
    });
  } catch (error) {
    return { name, reason: `not built: go install ${module}@${version}: ${whyNotBuilt(error)}` };
  }
  return file;
}

function whyNotBuilt(error: unknown): string {
  const { killed = false, stderr = "" } = error as { killed?: boolean; stderr?: string };
  if (killed) return `took longer than ${BUILD_TIMEOUT_MS / 60_000} minutes`;
  return shortReason(stderr);
}

/** The first line that says something, without the modules and without the address of whichever proxy was asked. */
export function shortReason(stderr: string): string {
  const lines = stderr.split("\n").map((line) => line.trim());
  const line = lines.find((one) => one !== "" && !one.startsWith("go: downloading")) ?? "it did not say why";
  return line
    .replace(/^go: /, "")
    .replaceAll(/(?:reading )?https?:\/\/\S+?:?(?:\s|$)/g, "")
    .replaceAll(/\S+@\S+: /g, "")
    .trim();
}
