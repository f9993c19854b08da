import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";

const checkout = path.resolve(import.meta.dirname, "..");
// With a space: the scripts must stand any path.
const work = realpathSync(mkdtempSync(path.join(tmpdir(), "registry cache setup ")));
after(() => {
  rmSync(work, { recursive: true });
});

/** A folder with a `node` that says it is of that version. */
function fakeNode(folder: string, version: string): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, "node"), `#!/bin/sh\necho '${version}'\n`);
  chmodSync(path.join(folder, "node"), 0o755);
}

/** A checkout's scripts in a folder of their own, with a `.node/bin/node` of that version where one is given. */
function scripts(fetched?: string): string {
  const root = mkdtempSync(path.join(work, "checkout "));
  cpSync(path.join(checkout, "scripts"), path.join(root, "scripts"), { recursive: true });
  cpSync(path.join(checkout, "bin"), path.join(root, "bin"), { recursive: true });
  if (fetched !== undefined) fakeNode(path.join(root, ".node/bin"), fetched);
  return root;
}

function run(
  command: string,
  args: readonly string[],
  system: string,
): { status: number | null; out: string; err: string } {
  const env = { PATH: `${system}:/usr/bin:/bin` };
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: "/", env, encoding: "utf8" });
  return { status, out: stdout, err: stderr };
}

for (const [version, suits] of [
  ["v18.20.4", false],
  ["v20.20.2", false],
  ["v24.14.9", false],
  ["v24.15.0", true],
  ["v24.21.0", true],
  ["v25.9.0", false],
  ["v26.0.0", true],
  ["v27.0.0-nightly20261101abcdef", true],
  ["v100.1.0", true],
  ["", false],
  ["bun", false],
] as const) {
  test(`a system's Node.js that says ${version || "nothing"} is ${suits ? "taken" : "passed over for the fetched one"}`, () => {
    const root = scripts("v24.21.0");
    const system = path.join(root, "system");
    fakeNode(system, version);
    const { status, out } = run(path.join(root, "scripts/node.sh"), [], system);
    assert.equal(status, 0);
    assert.equal(out.trim(), suits ? path.join(system, "node") : path.join(root, ".node/bin/node"));
  });
}

test("without a fitting Node.js the command line says what to run", () => {
  const root = scripts();
  const system = path.join(root, "system");
  fakeNode(system, "v20.20.2");
  const { status, err } = run(path.join(root, "bin/registry-cache"), ["serve"], system);
  assert.equal(status, 1);
  assert.match(err, /^error: .*\nhint: run `make setup` in .*\n$/);
});

test("without the dependencies the command line says what to run", () => {
  const root = scripts("v24.21.0");
  const { status, err } = run(path.join(root, "bin/registry-cache"), ["serve"], path.join(root, ".node/bin"));
  assert.equal(status, 1);
  assert.match(err, /^error: the dependencies .*\nhint: run `make setup` in .*\n$/);
});

test("the command line runs through a chain of symbolic links and from any folder, and passes its arguments on", () => {
  const root = scripts("v24.21.0");
  mkdirSync(path.join(root, "node_modules/commander"), { recursive: true });
  writeFileSync(
    path.join(root, ".node/bin/node"),
    '#!/bin/sh\n[ "$1" = --version ] && echo v24.21.0 || printf "%s|" "$@"\n',
  );
  mkdirSync(path.join(root, "links"));
  symlinkSync(path.join(root, "bin/registry-cache"), path.join(root, "links/absolute"));
  symlinkSync("absolute", path.join(root, "links/relative"));
  const { out } = run(
    path.join(root, "links/relative"),
    ["serve", "--config", "a b.yaml"],
    path.join(root, ".node/bin"),
  );
  assert.equal(out, `--max-semi-space-size=8|${path.join(root, "src/main.ts")}|serve|--config|a b.yaml|`);
});

test("the command line leaves no core dump, which would have every secret in it", () => {
  const root = scripts("v24.21.0");
  mkdirSync(path.join(root, "node_modules/commander"), { recursive: true });
  writeFileSync(
    path.join(root, ".node/bin/node"),
    '#!/bin/sh\n[ "$1" = --version ] && echo v24.21.0 || ulimit -H -c\n',
  );
  assert.equal(run(path.join(root, "bin/registry-cache"), [], path.join(root, ".node/bin")).out, "0\n");
});

test("the command line runs what was built, unless a source was added, changed or removed since", () => {
  const root = scripts("v24.21.0");
  mkdirSync(path.join(root, "node_modules/commander"), { recursive: true });
  writeFileSync(
    path.join(root, ".node/bin/node"),
    '#!/bin/sh\n[ "$1" = --version ] && echo v24.21.0 || printf %s "$2"\n',
  );
  const [sources, source, built] = ["src", "src/a.ts", "dist/main.js"].map((name) => path.join(root, name)) as [
    string,
    string,
    string,
  ];
  for (const folder of [sources, path.dirname(built)]) mkdirSync(folder);
  const files = [source, built, path.join(root, "package.json"), path.join(root, "package-lock.json")];
  for (const file of files) writeFileSync(file, "");
  /** Everything is older than what was built, but one. */
  const runs = (newer?: string) => {
    const [beforeS, builtS, afterS] = [1_000, 2_000, 3_000];
    for (const one of [...files, sources]) utimesSync(one, beforeS, beforeS);
    utimesSync(built, builtS, builtS);
    if (newer !== undefined) utimesSync(newer, afterS, afterS);
    return path.relative(root, run(path.join(root, "bin/registry-cache"), [], path.join(root, ".node/bin")).out);
  };
  utimesSync(path.join(root, "scripts/build.ts"), 1_000, 1_000);
  utimesSync(path.join(root, "scripts/undici-parts.cjs"), 1_000, 1_000);
  assert.equal(runs(), "dist/main.js");
  assert.equal(runs(source), "src/main.ts");
  assert.equal(runs(sources), "src/main.ts");
});
