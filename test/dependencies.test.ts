import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

interface LockEntry {
  version?: string;
  integrity?: string;
  resolved?: string;
  dev?: boolean;
  optional?: boolean;
  hasInstallScript?: boolean;
  optionalDependencies?: Record<string, string>;
}

/** The packages of a lock file but the project itself, by their path under it. */
function lockedPackages(file: string): Map<string, LockEntry> {
  const text = readFileSync(new URL(file, import.meta.url), "utf8");
  const { packages } = JSON.parse(text) as { packages: Record<string, LockEntry> };
  return new Map(Object.entries(packages).filter(([path]) => path !== ""));
}

for (const file of ["../package-lock.json", "../scripts/node/package-lock.json"]) {
  const packages = lockedPackages(file);
  const all = [...packages];

  test(`${file}: no package has an install script, so the project installs where npm runs none`, () => {
    assert.notEqual(packages.size, 0);
    assert.deepEqual(
      all.filter(([, entry]) => entry.hasInstallScript).map(([path]) => path),
      [],
    );
  });

  test(`${file}: no package names the address it was downloaded from`, () => {
    assert.deepEqual(
      all.filter(([, entry]) => entry.resolved !== undefined).map(([path]) => path),
      [],
    );
  });

  test(`${file}: every package has a version, and a hash if it is needed on every platform`, () => {
    assert.deepEqual(
      all.filter(([, { version, integrity, optional }]) => !version || !(integrity || optional)).map(([path]) => path),
      [],
    );
  });

  test(`${file}: has an entry for each platform's package, since \`npm ci\` refuses it otherwise (run \`make lock\`)`, () => {
    const named = all.flatMap(([, entry]) => Object.keys(entry.optionalDependencies ?? {}));
    assert.deepEqual(
      named.filter((name) => !packages.has(`node_modules/${name}`)),
      [],
    );
  });
}

test("the npm package needs no other: what its code uses lies in the bundle", () => {
  const { dependencies, optionalDependencies } = JSON.parse(
    readFileSync(new URL("../package.json", import.meta.url), "utf8"),
  ) as Record<string, unknown>;
  assert.deepEqual([dependencies, optionalDependencies], [undefined, undefined]);
});

test("what goes into the bundle is pinned by hash", () => {
  const packages = lockedPackages("../package-lock.json");
  const sources = readdirSync(new URL("../src", import.meta.url), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .map((path) => readFileSync(new URL(`../src/${path}`, import.meta.url), "utf8"));
  const imported = sources.flatMap((text) => [
    ...text.matchAll(/ from "((?:@[^/"]+\/)?[^/".:]+(?:\.[^/".:]+)*)[^".:]*"/g),
  ]);
  const names = new Set(imported.flatMap(([, name]) => name ?? []));
  assert.ok(names.has("kysely") && names.has("ipaddr.js"));
  for (const name of names) assert.notEqual(packages.get(`node_modules/${name}`)?.integrity, undefined, name);
});
