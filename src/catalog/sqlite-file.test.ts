import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it, type TestContext } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { sql } from "kysely";
import { digest, image, nginx, record } from "../../test/contracts/catalog/samples.ts";
import { tempDir } from "../../test/support/temp.ts";
import { CatalogCorruptError, CatalogError, CatalogNewerError } from "./errors.ts";
import { SCHEMA_VERSION } from "./migrations.ts";
import { SqlCatalog } from "./sql-catalog.ts";
import { openOrRebuild, openSqliteCatalog, openSqliteDatabase } from "./sqlite.ts";

async function newPath(t: TestContext): Promise<string> {
  return join(await tempDir(t), "folder", "catalog.sqlite");
}

function names(count: number): string[] {
  return Array.from({ length: count }, (_, index) => String(index));
}

/** Opens the catalog, closes it when the test ends. */
async function opened(t: TestContext, path: string, options: Parameters<typeof openSqliteCatalog>[1] = {}) {
  const catalog = await openSqliteCatalog(path, options);
  t.after(() => catalog.close());
  return catalog;
}

describe("the catalog's file", () => {
  it("keeps what was recorded when it is closed and opened again", async (t) => {
    const path = await newPath(t);
    const first = await openSqliteCatalog(path);
    await first.recordManifest(record(nginx, "m"));
    await first.close();
    const again = await opened(t, path);
    assert.equal((await again.manifest(nginx, digest("m")))?.size, 100);
  });

  it("finishes what was asked for before the close", async (t) => {
    const path = await newPath(t);
    const first = await openSqliteCatalog(path);
    const writing = ["a", "b", "c"].map((name) => first.recordManifest(record(nginx, name)));
    await first.close();
    await Promise.all(writing);
    const again = await opened(t, path);
    assert.notEqual(await again.manifest(nginx, digest("c")), undefined);
  });

  it("is refused, and left alone, when a later release wrote it", async (t) => {
    const path = await newPath(t);
    await (await openSqliteCatalog(path)).close();
    const raw = new DatabaseSync(path);
    raw.exec(`insert into schema_versions values (${SCHEMA_VERSION + 1}, 0)`);
    raw.close();
    const newer = (error: unknown) =>
      error instanceof CatalogNewerError && error.found === SCHEMA_VERSION + 1 && error.hint !== undefined;
    await assert.rejects(openSqliteCatalog(path), newer);
    await assert.rejects(openOrRebuild(path, assert.fail), newer);
  });

  it("is a CatalogError of kind `failed` when it cannot be opened", async (t) => {
    const folder = await tempDir(t);
    await assert.rejects(openSqliteCatalog(folder), isKind("failed"));
  });

  it("is a CatalogCorruptError when it is no database", async (t) => {
    const path = join(await tempDir(t), "catalog.sqlite");
    await writeFile(path, "<html>not a database, but long enough to be looked at</html>".repeat(100));
    await assert.rejects(openSqliteCatalog(path), CatalogCorruptError);
  });

  it("is moved aside with its log when it is no database, and begun anew", async (t) => {
    const path = join(await tempDir(t), "catalog.sqlite");
    const garbage = "not a database ".repeat(1_000);
    await writeFile(path, garbage);
    await writeFile(`${path}-wal`, "its log");
    const movedTo: string[] = [];
    const now = () => Date.UTC(2025, 0, 2, 3, 4, 5);
    const catalog = await openOrRebuild(path, (to) => movedTo.push(to), { now });
    t.after(() => catalog.close());
    assert.deepEqual(movedTo, [`${path}.broken-20250102T030405Z`]);
    assert.equal(await readFile(`${path}.broken-20250102T030405Z`, "utf8"), garbage);
    await catalog.recordManifest(record(nginx, "m"));
    assert.equal(await catalog.isEmpty(), false);
  });

  it("is moved aside when only pages in its middle are damaged", async (t) => {
    const path = await newPath(t);
    const first = await openSqliteCatalog(path);
    await first.recordManifest(record(nginx, "m", { manifest: image(...names(2_000)) }));
    await first.close();
    const bytes = await readFile(path);
    bytes.fill(0xa5, bytes.length / 2, bytes.length / 2 + 32_768);
    await writeFile(path, bytes);
    const broken: CatalogCorruptError[] = [];
    const catalog = await openOrRebuild(path, (_, error) => broken.push(error));
    t.after(() => catalog.close());
    assert.equal(broken.length, 1);
    assert.equal(await catalog.isEmpty(), true);
    assert.equal((await readdir(dirname(path))).filter((name) => name.includes(".broken-")).length >= 1, true);
  });

  it("stays where it is when nothing is wrong with it", async (t) => {
    const path = await newPath(t);
    const first = await openOrRebuild(path, assert.fail);
    await first.recordManifest(record(nginx, "m"));
    await first.close();
    const again = await openOrRebuild(path, assert.fail);
    t.after(() => again.close());
    assert.equal(await again.isEmpty(), false);
  });

  it("is a CatalogError of kind `full` when there is no room, and half a record is not kept", async (t) => {
    const { reads, writes } = await openSqliteDatabase(await newPath(t));
    const catalog = new SqlCatalog({ reads, writes, now: Date.now });
    t.after(() => catalog.close());
    await catalog.recordManifest(record(nginx, "small"));
    const { rows } = await sql<{ page_count: number }>`pragma page_count`.execute(writes);
    await sql`pragma max_page_count = ${sql.raw(String((rows[0]?.page_count ?? 0) + 4))}`.execute(writes);
    const large = record(nginx, "large", { manifest: image(...names(4_000)) });
    await assert.rejects(catalog.recordManifest(large), isKind("full"));
    assert.equal(await catalog.manifest(nginx, digest("large")), undefined);
    assert.equal(await catalog.namedBy(nginx, digest("0")), undefined);
    await sql`pragma max_page_count = 1000000`.execute(writes);
    await catalog.recordManifest(large);
    assert.deepEqual(await catalog.namedBy(nginx, digest("3999")), { size: 7 });
  });
});

describe("the catalog's file, open twice", () => {
  it("lets one read what the other wrote, also while the other is writing", async (t) => {
    const path = await newPath(t);
    const [one, other] = [await opened(t, path), await opened(t, path)];
    await one.recordManifest(record(nginx, "m"));
    assert.notEqual(await other.manifest(nginx, digest("m")), undefined);
    const raw = new DatabaseSync(path);
    t.after(() => raw.close());
    raw.exec("begin immediate");
    assert.notEqual(await other.manifest(nginx, digest("m")), undefined);
    raw.exec("rollback");
  });

  it("waits for another writer's transaction without holding up the process", async (t) => {
    const path = await newPath(t);
    const catalog = await opened(t, path);
    const raw = new DatabaseSync(path);
    t.after(() => raw.close());
    raw.exec("begin immediate");
    let done = false;
    const writing = catalog.recordManifest(record(nginx, "m")).then(() => (done = true));
    for (let turns = 0; turns < 20; turns += 1) await turn();
    assert.equal(done, false);
    raw.exec("commit");
    await writing;
    assert.notEqual(await catalog.manifest(nginx, digest("m")), undefined);
  });

  it("fails with kind `busy` when the other never ends, and works again when it does", async (t) => {
    const path = await newPath(t);
    const catalog = await opened(t, path, { busyWaitMsMax: 30 });
    const raw = new DatabaseSync(path);
    t.after(() => raw.close());
    raw.exec("begin immediate");
    await assert.rejects(catalog.recordManifest(record(nginx, "m")), isKind("busy"));
    raw.exec("rollback");
    await catalog.recordManifest(record(nginx, "m"));
    assert.notEqual(await catalog.manifest(nginx, digest("m")), undefined);
  });

  it("loses no record when two threads open a new file and write at the same time", async (t) => {
    const path = await newPath(t);
    const records = 150;
    await Promise.all(["one", "two"].map((name) => writeInThread(path, name, records)));
    const catalog = await opened(t, path);
    assert.deepEqual(Object.fromEntries(await catalog.countImages()), { dockerhub: 2 * records });
  });
});

/** Records manifests and tags from a thread with connections of its own. */
async function writeInThread(path: string, name: string, records: number): Promise<void> {
  const here = (file: string) => JSON.stringify(new URL(file, import.meta.url).href);
  const code = `
    import { openSqliteCatalog } from ${here("./sqlite.ts")};
    import { asTag, digest, nginx, record } from ${here("../../test/contracts/catalog/samples.ts")};
    const catalog = await openSqliteCatalog(${JSON.stringify(path)});
    for (let count = 0; count < ${records}; count += 1) {
      await catalog.recordManifest(record(nginx, "${name}" + count));
      await catalog.recordTag(nginx, asTag("${name}" + count), digest("${name}" + count), count);
    }
    await catalog.close();`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`));
  await new Promise<void>((resolve, reject) => {
    worker.once("error", reject);
    worker.once("exit", (status) => (status === 0 ? resolve() : reject(new Error(`the thread ended with ${status}`))));
  });
}

function isKind(kind: CatalogError["kind"]) {
  return (error: unknown) => error instanceof CatalogError && error.kind === kind;
}
