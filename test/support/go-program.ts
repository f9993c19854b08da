import { execFile } from "node:child_process";
import { mkdir, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { findProgram, isProgram } from "./programs.ts";

const BUILD_TIMEOUT_MS = 600_000;
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;

/** A program of a Go module at one version. */
export interface GoProgram {
  readonly name: string;
  readonly module: string;
  readonly version: string;
  /** Below the module. */
  readonly command: string;
  readonly tags?: readonly string[];
  /** Where its sources lie in this checkout; its `module` is there, and nothing has to be had for it but what that needs. */
  readonly folder?: string;
}

export interface NotBuilt {
  readonly reason: string;
}

export interface BuildOptions {
  readonly timeoutMs?: number;
  /** Hears of a build before it begins. */
  readonly say: (text: string) => void;
}

/** Where that program lies once it is built: kept between runs and shared by all checkouts, for a build takes minutes. */
export function goProgramFile({ name, version, command }: GoProgram): string {
  const cache = process.env["XDG_CACHE_HOME"] || path.join(homedir(), ".cache");
  const folder = `${name.replaceAll(/\W+/g, "-")}-${version}`;
  // Of a module that is one command itself, the program has the name that we give it.
  return path.join(cache, "registry-cache-tools", folder, command === "." ? name : path.basename(command));
}

/** The file of a program, built where it is not there yet, or why there is none. */
export async function buildGo(program: GoProgram, options: BuildOptions): Promise<string | NotBuilt> {
  const file = goProgramFile(program);
  if (isProgram(file)) return file;
  const go = findProgram("go");
  if (go === undefined) return { reason: "no Go toolchain here to build it with" };
  const { module, version, command, tags = [] } = program;
  const { timeoutMs = BUILD_TIMEOUT_MS, say } = options;
  say(`building ${module}/${command}@${version}, once; this can take some minutes`);
  // What a build that was cut short leaves behind is never taken for the program.
  const partial = `${path.dirname(file)}.partial.${process.pid}`;
  const output = path.join(partial, path.basename(file));
  // No C compiler, and no library of this machine in what is kept.
  const env = { ...process.env, CGO_ENABLED: "0" };
  const signal = AbortSignal.timeout(timeoutMs);
  const run = async (...args: string[]) =>
    await promisify(execFile)(go, args, { env, signal, maxBuffer: OUTPUT_BYTES_MAX });
  try {
    await mkdir(partial, { recursive: true });
    const sources = program.folder ?? (await downloaded(run, `${module}@${version}`));
    const flags = ["-mod=readonly", "-buildvcs=false", `-tags=${tags.join(",")}`];
    await run("build", "-C", sources, ...flags, "-o", output, `./${command}`);
    await mkdir(path.dirname(file), { recursive: true });
    await rename(output, file);
    return file;
  } catch (error) {
    const why = signal.aborted ? `took longer than ${Math.round(timeoutMs / 1000)} s` : whyNotBuilt(error);
    return { reason: `not built: ${module}@${version}: ${why}` };
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

/** Not `go install`, which refuses modules whose go.mod replaces or excludes others. */
async function downloaded(run: (...args: string[]) => Promise<{ stdout: string }>, what: string): Promise<string> {
  const { stdout } = await run("mod", "download", "-json", what);
  return (JSON.parse(stdout) as { Dir: string }).Dir;
}

/** `go mod download -json` says it in its output. */
function whyNotBuilt(error: unknown): string {
  const { stdout = "", stderr = "", message = "" } = error as { stdout?: string; stderr?: string; message?: string };
  const told = /"Error": ("(?:[^"\\]|\\.)*")/.exec(stdout)?.[1];
  if (told !== undefined) return shortReason(JSON.parse(told) as string);
  return shortReason(stderr === "" ? message : stderr);
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
