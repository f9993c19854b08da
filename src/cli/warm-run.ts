import { readFile, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { parseEnv } from "node:util";
import type { WarmEvent } from "../admin/warm.ts";
import { printable } from "../lib/printable.ts";
import { parsePlatform } from "../upkeep/warm/platforms.ts";
import { REFERENCES_BYTES_MAX, ReferencesError, referencesIn } from "../upkeep/warm/references.ts";
import type { WarmImage } from "../upkeep/warm/warm.ts";
import { placeOf, type PlaceOptions, untilAsked } from "./cache-place.ts";
import { askCache, type CachePlace, linesOfCache } from "./control-client.ts";
import { CliError } from "./failure.ts";
import { Progress, Rate } from "./progress.ts";
import type { ExitCode, Terminal } from "./terminal.ts";
import { outcomeLine, progressLines } from "./warm-text.ts";

export interface WarmCommandOptions extends PlaceOptions {
  readonly file?: readonly string[];
  readonly platform?: readonly string[];
  readonly concurrency?: number;
  readonly keepFresh?: boolean;
  readonly list?: boolean;
  readonly forget?: boolean;
  readonly json?: boolean;
}

const WARM = "/api/v1/warm";
const KEEP_FRESH = "/api/v1/keep-fresh";

/** What `registry-cache warm` does. */
export async function warm(
  terminal: Terminal,
  images: readonly string[],
  options: WarmCommandOptions,
): Promise<ExitCode> {
  const platforms = platformsOf(options.platform);
  const place = await placeOf(terminal, options);
  const signal = untilAsked(terminal, "stopped; what has come stays");
  if (options.list === true) return await listed(terminal, place, options, signal);
  const ofFiles = await fromFiles(terminal, options.file ?? []);
  const references = [...new Set([...images, ...ofFiles.references])];
  if (references.length === 0) {
    const hint = "name images, or a file that names them: registry-cache warm -f compose.yaml";
    throw new CliError("there is nothing to warm", { hint, exitCode: 2 });
  }
  if (options.forget === true) return await forgotten(terminal, place, references, signal);
  const body = {
    references,
    platforms,
    ...(options.concurrency === undefined ? {} : { concurrency: options.concurrency }),
    keepFresh: options.keepFresh === true,
  };
  const lines = linesOfCache(place, { method: "POST", path: WARM, body, signal }) as AsyncIterable<WarmEvent>;
  const exitCode =
    options.json === true
      ? await told(terminal, lines)
      : await shown(terminal, lines, references.length, body.keepFresh);
  return ofFiles.isWhole ? exitCode : 1;
}

// ---- what is to be warmed

/** As container engines call the architectures that Node has its own names for. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: "amd64",
  ia32: "386",
  arm: "arm/v7",
  ppc64: "ppc64le",
  loong64: "loong64",
};

function platformsOf(wanted: readonly string[] | undefined): "all" | readonly string[] {
  if (wanted === undefined) return [`linux/${ARCHITECTURES[process.arch] ?? process.arch}`];
  if (wanted.includes("all")) return "all";
  return [...new Set(wanted.map((text) => parsePlatform(text) ?? noPlatform(text)))];
}

function noPlatform(text: string): never {
  const hint = "write it as linux/amd64, linux/arm/v7, or all";
  throw new CliError(`--platform ${text}: that is no platform`, { hint, exitCode: 2 });
}

/** `isWhole`: none of the images that they name was left out. */
async function fromFiles(
  terminal: Terminal,
  files: readonly string[],
): Promise<{ readonly references: readonly string[]; readonly isWhole: boolean }> {
  const found: string[] = [];
  let isWhole = true;
  for (const file of files) {
    const text = file === "-" ? await terminal.input.readAll() : await textOf(terminal, file);
    const variables = { ...(await dotEnv(terminal, file)), ...terminal.environment };
    try {
      const { references, problems, kind } = referencesIn(text, variables);
      isWhole &&= problems.length === 0;
      for (const problem of problems) terminal.err.write(`warning: ${file}: ${printable(problem)}; left out\n`);
      if (references.length === 0) terminal.err.write(`warning: ${file}: the ${kind} names no image\n`);
      found.push(...references.map(({ reference }) => reference));
    } catch (error) {
      if (!(error instanceof ReferencesError)) throw error;
      throw new CliError(`${file}: ${error.message}`, { exitCode: 2, cause: error });
    }
  }
  return { references: found, isWhole };
}

async function textOf({ cwd }: Terminal, file: string): Promise<string> {
  try {
    const path = resolve(cwd, file);
    const { size } = await stat(path);
    if (size > REFERENCES_BYTES_MAX) throw new CliError(`${file}: too long to name images`, { exitCode: 2 });
    return await readFile(path, "utf8");
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error)) throw error;
    const reason = { ENOENT: "no such file", EISDIR: "a folder, not a file", EACCES: "not permitted" }[
      String(error.code)
    ];
    throw new CliError(`${file}: ${reason ?? error.message}`, { exitCode: 2, cause: error });
  }
}

/** Compose reads `.env` beside its file; one that cannot be read sets nothing. */
async function dotEnv({ cwd }: Terminal, file: string): Promise<Record<string, string | undefined>> {
  const folder = file === "-" ? cwd : dirname(resolve(cwd, file));
  return await readFile(resolve(folder, ".env"), "utf8").then(parseEnv, () => ({}));
}

// ---- what comes of it

async function told(terminal: Terminal, lines: AsyncIterable<WarmEvent>): Promise<ExitCode> {
  let last: WarmEvent | undefined;
  const failed = new Set<string>();
  for await (const line of lines) {
    last = line;
    for (const { reference, state } of line.images) if (state === "failed") failed.add(reference);
    terminal.out.write(`${JSON.stringify(line)}\n`);
  }
  return failed.size > 0 || last?.problem !== undefined ? 1 : 0;
}

async function shown(
  terminal: Terminal,
  lines: AsyncIterable<WarmEvent>,
  total: number,
  keepsFresh: boolean,
): Promise<ExitCode> {
  const images = new Map<string, WarmImage>();
  const rates = new Map<string, Rate>();
  const rateOf = (what: string, bytes: number): number => {
    const rate = rates.get(what) ?? new Rate();
    rates.set(what, rate);
    return rate.at(performance.now(), bytes);
  };
  const progress = new Progress(terminal.err, () => {
    const all = [...images.values()];
    const there = all.reduce((sum, { bytesThere }) => sum + bytesThere, 0);
    const of = (reference: string) => rateOf(reference, images.get(reference)?.bytesThere ?? 0);
    return progressLines(all, total, { all: rateOf("", there), of });
  });
  progress.start();
  let last: WarmEvent | undefined;
  try {
    for await (const line of lines) {
      last = line;
      for (const image of line.images) {
        images.set(image.reference, image);
        if (image.state === "done" || image.state === "failed") progress.say(outcomeLine(image));
      }
    }
  } finally {
    progress.stop();
  }
  const failed = [...images.values()].filter(({ state }) => state === "failed").length;
  if (keepsFresh) terminal.out.write(keptText(last));
  terminal.out.write(`${total - failed} of ${total} ${total === 1 ? "image is" : "images are"} there\n`);
  return failed > 0 || last?.problem !== undefined ? 1 : 0;
}

function keptText(last: WarmEvent | undefined): string {
  if (last?.problem !== undefined) return `not kept fresh: ${last.problem}\n`;
  return `kept fresh from now on: ${last?.keptFresh ?? 0}\n`;
}

// ---- what is kept fresh

interface ListedImage {
  readonly reference: string;
  readonly platforms: "all" | readonly string[];
  readonly last?: { readonly at: string; readonly error?: string };
}

async function listed(
  terminal: Terminal,
  place: CachePlace,
  { json }: WarmCommandOptions,
  signal: AbortSignal,
): Promise<ExitCode> {
  const answer = (await askCache(place, { method: "GET", path: KEEP_FRESH, signal })) as { images: ListedImage[] };
  if (json === true) terminal.out.write(`${JSON.stringify(answer, null, 2)}\n`);
  else
    terminal.out.write(answer.images.length === 0 ? "nothing is kept fresh\n" : answer.images.map(listedLine).join(""));
  return 0;
}

function listedLine({ reference, platforms, last }: ListedImage): string {
  const when = last === undefined ? "not refreshed yet" : `refreshed at ${last.at}`;
  const how = last?.error === undefined ? when : `failed at ${last.at}: ${last.error}`;
  return `${printable(reference)}  ${platforms === "all" ? "all" : platforms.join(",")}  ${printable(how)}\n`;
}

async function forgotten(
  terminal: Terminal,
  place: CachePlace,
  references: readonly string[],
  signal: AbortSignal,
): Promise<ExitCode> {
  const question = { method: "DELETE", path: KEEP_FRESH, body: { references }, signal } as const;
  const { removed } = (await askCache(place, question)) as { removed: string[] };
  terminal.out.write(removed.map((reference) => `${printable(reference)} is kept fresh no longer\n`).join(""));
  if (removed.length === references.length) return 0;
  throw new CliError(`${references.length - removed.length} of them were not kept fresh`, {
    hint: "registry-cache warm --list prints what is",
  });
}
