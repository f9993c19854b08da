/**
 * Bundles src/ and the packages that it uses into dist/, which is what the npm package ships and what
 * `bin/registry-cache` runs. Node.js would load 700 files otherwise, most of which nobody calls: that costs a second at
 * the start and 20 MB for as long as the process lives, and stripping types another 30 MB.
 */
import { chmodSync, cpSync, readdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { build } from "rolldown";

const ROOT = dirname(import.meta.dirname);
const UNDICI_PARTS = join(import.meta.dirname, "undici-parts.cjs");
/** What scripts for clients are made of; read from beside the code. */
const SH_PARTS = ["src/connect/sh", "src/doctor/sh"].map((folder) => join(ROOT, folder));
const TARGET = join(ROOT, "dist");

/** Folders of the packages of which something went into the bundle. */
function packagesOf(modules: readonly string[]): string[] {
  const folders = modules.flatMap((id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0] ?? []);
  return [...new Set(folders)].toSorted();
}

/** Their licences ask for it: a copy goes wherever their code goes. */
function licenceOf(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
    name: string;
    version: string;
    license: string;
  };
  const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
  const text = file === undefined ? "" : readFileSync(join(folder, file), "utf8").trim();
  return `${name} ${version} (${license})\n\n${text}\n`;
}

/** A single character beyond Latin-1 makes V8 keep a source with two bytes for each character: a megabyte for two emojis. */
function narrow(code: string): string {
  return code.replace(/[^\0-\xff]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

async function bundle(folder: string): Promise<void> {
  const { output } = await build({
    // The others are started by the first, as a process and as a thread of their own.
    input: {
      main: join(ROOT, "src/main.ts"),
      "front-main": join(ROOT, "src/front-main.ts"),
      "bcrypt-worker": join(ROOT, "src/access/bcrypt-worker.ts"),
    },
    platform: "node",
    plugins: [{ name: "undici-parts", resolveId: (id) => (id === "undici" ? UNDICI_PARTS : null) }],
    logLevel: "warn",
    output: {
      dir: folder,
      format: "esm",
      // Names stay, so that a stack trace can be read.
      minify: { compress: true, mangle: false, codegen: true },
    },
  });
  for (const one of output) if (one.type === "chunk") writeFileSync(join(folder, one.fileName), narrow(one.code));
  for (const parts of SH_PARTS) cpSync(parts, join(folder, "sh"), { recursive: true });
  const modules = output.flatMap((one) => (one.type === "chunk" ? one.moduleIds : []));
  const licences = packagesOf(modules)
    .map(licenceOf)
    .join(`\n${"-".repeat(80)}\n\n`);
  writeFileSync(join(folder, "third-party-licences.txt"), licences);
}

const startedAt = new Date();
const work = `${TARGET}.partial.${process.pid}`;
try {
  await bundle(work);
  const main = join(work, "main.js");
  chmodSync(main, 0o755);
  // A source that was changed since the build began is newer than it.
  utimesSync(main, startedAt, startedAt);
  rmSync(TARGET, { recursive: true, force: true });
  renameSync(work, TARGET);
} finally {
  rmSync(work, { recursive: true, force: true });
}
