import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { suite, test } from "node:test";

/**
 * Who may import whom: room -> what it may import besides itself. A room alone means all of its files, `room/file.ts` that
 * file, `type room/file.ts` that file's types only. Packages and Node's own modules are not meant.
 */
const MAY_IMPORT: Record<string, readonly string[]> = {
  oci: [],
  lib: [],
  config: ["oci", "lib", "access/htpasswd.ts", "access/methods.ts", "access/path-token.ts"],
  access: ["oci", "lib", "type config/config.ts"],
  certificates: [
    "lib",
    "config/certificates.ts",
    "config/access.ts",
    "config/tls.ts",
    "config/values.ts",
    "type config/config.ts",
    "type config/issues.ts",
    "type server/client-hello.ts",
    "type server/entrance.ts",
  ],
  store: ["oci", "lib", "type config/config.ts"],
  catalog: ["oci", "lib", "type config/config.ts"],
  upstream: ["oci", "lib", "type config/config.ts"],
  pull: ["oci", "lib", "store/store.ts", "type catalog/catalog.ts", "upstream/upstream.ts", "type config/config.ts"],
  server: ["access", "pull", "oci", "lib", "type config/config.ts", "type catalog/catalog.ts"],
  admin: [
    "oci",
    "upkeep",
    "type access/bypassing.ts",
    "lib",
    "server/body.ts",
    "server/guard.ts",
    "pull/activity.ts",
    "server/latencies.ts",
    "server/respond.ts",
    "upstream/observers.ts",
    "type upstream/quota.ts",
    "type upstream/upstream.ts",
    "type pull/holds.ts",
    "type pull/room.ts",
    "server/request-sums.ts",
    "type server/request-facts.ts",
    "type upstream/observer.ts",
    "type upstream/upstream.ts",
    "catalog/images.ts",
    "type catalog/counting.ts",
    "server/local.ts",
    "server/pages.ts",
    "server/problem.ts",
    "type server/exchange.ts",
    "type server/handler.ts",
    "type server/known-hosts.ts",
    "type catalog/catalog.ts",
    "type store/store.ts",
    "type config/config.ts",
    "config/event-names.ts",
  ],
  connect: [
    "oci",
    "lib",
    "access/authorization.ts",
    "access/methods.ts",
    "config/certificates.ts",
    "type config/config.ts",
    "server/guard.ts",
    "server/respond.ts",
    "type server/exchange.ts",
    "type server/handler.ts",
  ],
  doctor: [
    "lib",
    "oci/errors.ts",
    "config",
    "connect",
    "upstream/quota.ts",
    "upstream/trial.ts",
    "certificates/acme-store.ts",
    "certificates/renewal.ts",
    "server/respond.ts",
    "type server/exchange.ts",
    "type server/handler.ts",
    "type server/seen.ts",
  ],
  upkeep: [
    "type access/bypassing.ts",
    "oci",
    "lib",
    "type catalog/catalog.ts",
    "store/store.ts",
    "type pull/departures.ts",
    "type pull/mending.ts",
    "type pull/holds.ts",
    "type pull/pull.ts",
    "type pull/registries.ts",
    "pull/room.ts",
    "type config/config.ts",
  ],
  workers: [
    "type access/access.ts",
    "type access/open.ts",
    "server",
    "pull",
    "oci",
    "lib",
    "type config/config.ts",
    "type catalog/catalog.ts",
  ],
  wizard: [
    "config",
    "lib",
    "access/htpasswd-file.ts",
    "access/new-user.ts",
    "certificates/authority-folder.ts",
    "certificates/own-authority.ts",
    "upstream/quota.ts",
    "upstream/trial.ts",
  ],
  cli: [
    "app.ts",
    "connect",
    "doctor",
    "config",
    "oci",
    "lib",
    "access/htpasswd-file.ts",
    "access/methods.ts",
    "access/new-user.ts",
    "certificates/authority-folder.ts",
    "certificates/own-authority.ts",
    "explain-access.ts",
    "import.ts",
    "store/lock.ts",
    "store/store.ts",
    "upkeep/import/report.ts",
    "upkeep/import/source.ts",
    "upkeep/warm/platforms.ts",
    "upkeep/warm/references.ts",
    "type upkeep/warm/warm.ts",
    "admin/control.ts",
    "type admin/warm.ts",
    "type admin/api/answers.ts",
    "wizard",
    "type upkeep/reindex-report.ts",
  ],
  "app.ts": [
    "traced.ts",
    "whole-catalog.ts",
    "held-files.ts",
    "access",
    "certificates",
    "oci",
    "lib",
    "config",
    "store",
    "catalog",
    "upstream",
    "pull",
    "server",
    "workers",
    "admin",
    "connect",
    "doctor",
    "upkeep",
  ],
  "traced.ts": [
    "oci",
    "lib",
    "type access/access.ts",
    "type pull/pull.ts",
    "type store/store.ts",
    "type upstream/upstream.ts",
  ],
  "whole-catalog.ts": ["upkeep", "type catalog/catalog.ts", "type config/config.ts", "type store/store.ts"],
  "held-files.ts": ["catalog", "store", "type config/config.ts"],
  "import.ts": ["held-files.ts", "oci", "lib", "store", "upkeep", "upstream", "type config/config.ts"],
  "explain-access.ts": ["access", "server", "oci", "lib", "type config/config.ts"],
  "front.ts": ["access", "oci", "lib", "store", "pull", "server", "workers", "type config/config.ts"],
  "main.ts": ["cli"],
  "front-main.ts": ["front.ts", "workers", "lib"],
};

const LINES_MAX = 400;

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

const ROOT = fileURLToPath(new URL("../src", import.meta.url));
const FILES = readdirSync(ROOT, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts") && !path.endsWith(".test.ts"))
  .toSorted();
const TEXTS = new Map(FILES.map((path) => [path, readFileSync(join(ROOT, path), "utf8")]));
const IMPORTS = FILES.flatMap((path) => importsOf(path, TEXTS.get(path) ?? ""));

/** `import`, `export ... from` and `import()` of our own files, as paths below `src`. */
function importsOf(from: string, text: string): Import[] {
  const statements = /^(?:import|export)\s(?:[^"';]*?\sfrom\s+)?"(\.[^"]+)"/gm;
  const dynamic = /\bimport\(\s*"(\.[^"]+)"\s*\)/g;
  return [...text.matchAll(statements), ...text.matchAll(dynamic)]
    .map((match) => ({
      from,
      to: relative(ROOT, join(ROOT, dirname(from), match[1] ?? "")),
      typeOnly: isTypeOnly(match[0]),
    }))
    .filter(({ to }) => to !== "../package.json");
}

function isTypeOnly(statement: string): boolean {
  if (/^(?:import|export)\s+type\b/.test(statement)) return true;
  const names = /\{([^}]*)\}/.exec(statement)?.[1]?.split(",") ?? [];
  const named = names.map((name) => name.trim()).filter((name) => name !== "");
  return named.length > 0 && named.every((name) => name.startsWith("type "));
}

function roomOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.indexOf("/")) : path;
}

function isAllowed({ from, to, typeOnly }: Import): boolean {
  const room = roomOf(to);
  if (room === roomOf(from)) return true;
  const allowed = MAY_IMPORT[roomOf(from)] ?? [];
  return allowed.includes(room) || allowed.includes(to) || (typeOnly && allowed.includes(`type ${to}`));
}

/** A way from a file back to itself, by imports that are there when the program runs. */
function findCycle(): string[] | undefined {
  const next = Map.groupBy(
    IMPORTS.filter((one) => !one.typeOnly),
    ({ from }) => from,
  );
  const done = new Set<string>();
  const visit = (path: string, way: readonly string[]): string[] | undefined => {
    if (way.includes(path)) return [...way.slice(way.indexOf(path)), path];
    if (done.has(path)) return undefined;
    for (const { to } of next.get(path) ?? []) {
      const cycle = visit(to, [...way, path]);
      if (cycle !== undefined) return cycle;
    }
    done.add(path);
    return undefined;
  };
  for (const path of FILES) {
    const cycle = visit(path, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}

suite("architecture", () => {
  test("the sources are found and their imports read", () => {
    assert.ok(FILES.length > 50);
    assert.ok(IMPORTS.length > FILES.length);
    for (const { from, to } of IMPORTS) {
      assert.ok(TEXTS.has(to), `${from} imports ${to}, which is not among the sources`);
    }
    assert.deepEqual(importsOf("a/b.ts", 'import { type C } from "../c/d.ts";\nconst e = await import("../app.ts");'), [
      { from: "a/b.ts", to: "c/d.ts", typeOnly: true },
      { from: "a/b.ts", to: "app.ts", typeOnly: false },
    ]);
  });

  test("every source file belongs to a room", () => {
    assert.deepEqual(
      FILES.filter((path) => !(roomOf(path) in MAY_IMPORT)),
      [],
    );
  });

  test("nobody imports what the table does not allow", () => {
    const wrong = IMPORTS.filter((one) => !isAllowed(one));
    assert.deepEqual(
      wrong.map(({ from, to, typeOnly }) => `${from} -> ${typeOnly ? "type " : ""}${to}`),
      [],
    );
  });

  test("only the command line reaches the composition root, and only main.ts the command line", () => {
    const reach = (to: (path: string) => boolean) =>
      new Set(IMPORTS.filter((one) => to(one.to)).map((one) => roomOf(one.from)));
    assert.deepEqual(
      [...reach((path) => path === "app.ts")].filter((room) => room !== "cli"),
      [],
    );
    assert.deepEqual(
      [...reach((path) => roomOf(path) === "cli")].filter((room) => room !== "cli" && room !== "main.ts"),
      [],
    );
  });

  test("no file imports itself by way of others", () => {
    assert.equal(findCycle()?.join(" -> "), undefined);
  });

  test(`no source file is longer than ${LINES_MAX} lines`, () => {
    const long = [...TEXTS].filter(([, text]) => text.split("\n").length - 1 > LINES_MAX);
    assert.deepEqual(
      long.map(([path]) => path),
      [],
    );
  });

  test("only the command line writes to the console", () => {
    const loud = [...TEXTS].filter(([path, text]) => roomOf(path) !== "cli" && /\bconsole\s*\./.test(text));
    assert.deepEqual(
      loud.map(([path]) => path),
      [],
    );
  });
});
