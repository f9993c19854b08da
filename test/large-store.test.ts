import assert from "node:assert/strict";
import fs from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import type { HeldSnapshot } from "../src/catalog/catalog.ts";
import { openSqliteCatalog } from "../src/catalog/sqlite.ts";
import { asTag, nginx, record, repository } from "./contracts/catalog/samples.ts";
import { startCache, testRegistry } from "./support/cache.ts";
import { ask } from "./support/client.ts";
import { type HasAfter, tempDir } from "./support/temp.ts";

const REPOSITORIES = 400;
const TAGS_EACH = 50;

async function* manyTags(): AsyncIterable<HeldSnapshot> {
  for (let index = 0; index < REPOSITORIES; index += 1) {
    const registry = index % 2 === 0 ? (["dockerhub", "docker.io"] as const) : (["ghcr", "ghcr.io"] as const);
    const { digest: held, ...rest } = record(nginx, `m${index}`);
    yield {
      repository: repository(`many/r${index}`, ...registry),
      manifests: [{ ...rest, digest: held }],
      blobs: [],
      tags: Array.from({ length: TAGS_EACH }, (_, tag) => ({ tag: asTag(`1.${tag}`), digest: held, atMs: 10 })),
    };
  }
}

/** A data folder whose catalog has 20,000 tags. */
async function largeStore(t: HasAfter): Promise<string> {
  const dataDir = await tempDir(t);
  const catalog = await openSqliteCatalog(join(dataDir, "catalog.sqlite"));
  await catalog.replaceHeld(manyTags());
  await catalog.close();
  return dataDir;
}

const registries = [
  testRegistry("http://127.0.0.1:9"),
  testRegistry("http://127.0.0.1:9", { id: "ghcr", serves: "ghcr.io", aliases: [], libraryPrefix: false }),
];

interface Shown {
  readonly registries: Record<string, { repositories: { name: string; tags: string[] }[] }>;
  readonly summary: Record<string, number>;
}

function tagsIn({ registries: shown }: Shown): string[] {
  return Object.entries(shown).flatMap(([id, { repositories }]) =>
    repositories.flatMap(({ name, tags }) => tags.map((tag) => `${id}/${name}:${tag}`)),
  );
}

test("pages of the statistics have every tag once, and together what / has as a whole", async (t) => {
  const cache = await startCache(t, registries, { dataDir: await largeStore(t) });
  const whole = JSON.parse((await ask(`${cache.url}/`)).body.toString()) as Shown;
  const total = REPOSITORIES * TAGS_EACH;
  assert.deepEqual(whole.summary, { dockerhub: total / 2, ghcr: total / 2, total });
  const paged: string[] = [];
  let pages = 0;
  for (let path: string | undefined = "/?n=90"; path !== undefined; pages += 1) {
    assert.ok(pages < 10);
    const { status, body, headers } = await ask(`${cache.url}${path}`);
    assert.equal(status, 200);
    const shown = JSON.parse(body.toString()) as Shown;
    assert.deepEqual(shown.summary, whole.summary);
    paged.push(...tagsIn(shown));
    path = /^<([^>]+)>; rel="next"$/.exec(String(headers["link"] ?? ""))?.[1];
  }
  assert.equal(pages, Math.ceil(REPOSITORIES / 90));
  assert.equal(new Set(paged).size, total);
  assert.deepEqual(paged, tagsIn(whole));
});

test("a start with a whole catalog reads no folder of the store", async (t) => {
  const dataDir = await largeStore(t);
  const read: string[] = [];
  const [readdir, opendir] = [fs.readdir, fs.opendir];
  t.mock.method(fs, "readdir", (...args: Parameters<typeof readdir>) => {
    read.push(String(args[0]));
    return readdir(...args);
  });
  t.mock.method(fs, "opendir", (...args: Parameters<typeof opendir>) => {
    read.push(String(args[0]));
    return opendir(...args);
  });
  syncBuiltinESMExports();
  t.after(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
  const cache = await startCache(t, registries, { dataDir });
  await cache.app.idle();
  // What a crash may have left is looked for, which shows that this test sees what is read.
  assert.ok(read.includes(join(dataDir, "spool")));
  assert.deepEqual(
    read.filter((path) => path.startsWith(join(dataDir, "docker"))),
    [],
  );
});
