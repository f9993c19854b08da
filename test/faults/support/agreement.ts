import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { pipeline } from "node:stream/promises";
import { DatabaseSync } from "node:sqlite";

/** What the store's folder says, read by hand: the code under test must not be its own witness. */
export interface StoreFacts {
  /** `<digest>` of every stored blob, by the name of its folder. */
  readonly blobs: ReadonlySet<string>;
  /** Stored files whose bytes are not what their name says, and files that nobody should have left. */
  readonly wrong: readonly string[];
  /** `<repository>@<digest>` */
  readonly manifests: ReadonlySet<string>;
  readonly layers: ReadonlySet<string>;
  /** `<repository>:<tag>` -> digest */
  readonly tags: ReadonlyMap<string, string>;
}

/** Reads the whole store through, every byte of it. */
export async function readStore(dataDir: string): Promise<StoreFacts> {
  const v2 = join(dataDir, "docker", "registry", "v2");
  const facts = {
    blobs: new Set<string>(),
    wrong: [] as string[],
    manifests: new Set<string>(),
    layers: new Set<string>(),
    tags: new Map<string, string>(),
  };
  for (const path of await filesBelow(join(v2, "blobs"))) {
    const [algorithm = "", , hex = ""] = relative(join(v2, "blobs"), path).split(sep);
    const isRight = basename(path) === "data" && (await hexOf(algorithm, path)) === hex;
    if (isRight) facts.blobs.add(`${algorithm}:${hex}`);
    else facts.wrong.push(path);
  }
  for (const path of await filesBelow(join(v2, "repositories"))) await readLink(join(v2, "repositories"), path, facts);
  return facts;
}

interface MutableFacts {
  readonly wrong: string[];
  readonly manifests: Set<string>;
  readonly layers: Set<string>;
  readonly tags: Map<string, string>;
}

const IN_REPOSITORY = /^(?<repository>.+?)\/(?<kind>_layers|_manifests\/revisions|_manifests\/tags)\/(?<rest>.+)$/;

async function readLink(root: string, path: string, facts: MutableFacts): Promise<void> {
  const found = IN_REPOSITORY.exec(relative(root, path))?.groups;
  if (found === undefined || basename(path) !== "link") {
    if (basename(path) !== "fetched-with") facts.wrong.push(path);
    return;
  }
  const { repository = "", kind = "", rest = "" } = found;
  const digest = await readFile(path, "utf8");
  if (kind === "_manifests/tags") {
    const [tag = "", which = ""] = rest.split("/");
    if (which === "current") facts.tags.set(`${repository}:${tag}`, digest);
    return;
  }
  const named = dirname(rest).replace("/", ":");
  if (digest !== named) facts.wrong.push(path);
  else (kind === "_layers" ? facts.layers : facts.manifests).add(`${repository}@${digest}`);
}

/** Every blob is right and linked, every link leads to a blob, every tag to a linked manifest. */
export function assertWhole(facts: StoreFacts): void {
  assert.deepEqual(facts.wrong, [], "files that are wrong or nobody's");
  const linked = new Set<string>();
  for (const link of [...facts.manifests, ...facts.layers]) {
    const digest = link.slice(link.lastIndexOf("@") + 1);
    assert.ok(facts.blobs.has(digest), `${link} is stored`);
    linked.add(digest);
  }
  for (const digest of facts.blobs) assert.ok(linked.has(digest), `${digest} is linked somewhere`);
  for (const [tag, digest] of facts.tags) {
    const repository = tag.slice(0, tag.lastIndexOf(":"));
    assert.ok(facts.manifests.has(`${repository}@${digest}`), `${tag} points to a held manifest`);
  }
}

/** The catalog has a row for each link and tag of the store, and no others. The cache must be idle, or stopped. */
export function assertCatalogAgrees(dataDir: string, facts: StoreFacts): void {
  const db = new DatabaseSync(join(dataDir, "catalog.sqlite"), { readOnly: true });
  try {
    const keys = (query: string): string[] =>
      db
        .prepare(query)
        .all()
        .map((row) => String(row["key"]))
        .toSorted();
    const rows = (table: string) =>
      keys(`select r.path || '@' || x.digest as key from ${table} x join repositories r on r.id = x.repository_id`);
    assert.deepEqual(rows("manifests"), [...facts.manifests].toSorted(), "manifests in the catalog and in the store");
    assert.deepEqual(rows("blobs"), [...facts.layers].toSorted(), "blobs in the catalog and links in the store");
    const tags = keys(
      `select r.path || ':' || t.tag || ' ' || t.digest || iif(m.digest = t.digest, '', ' without its manifest') as key
         from tags t join repositories r on r.id = t.repository_id left join manifests m on m.id = t.manifest_id`,
    );
    const stored = [...facts.tags].map(([tag, digest]) => `${tag} ${digest}`);
    assert.deepEqual(tags, stored.toSorted(), "tags in the catalog and in the store");
  } finally {
    db.close();
  }
}

/** Nothing half-written is left. Where `spools` is told, partials may be. */
export async function assertNothingLeftOver(dataDir: string): Promise<void> {
  assert.deepEqual(await filesBelow(join(dataDir, "spool")), [], "left in spool/");
  assert.deepEqual(await filesBelow(join(dataDir, "unfinished")), [], "left in unfinished/");
}

/** All files below a folder; none where it is not there. Folders that go meanwhile take nothing else with them. */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  });
  const below = entries.map(async (entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? await filesBelow(path) : [path];
  });
  return (await Promise.all(below)).flat().toSorted();
}

async function hexOf(algorithm: string, path: string): Promise<string> {
  if (algorithm !== "sha256" && algorithm !== "sha512") return "";
  const hash = createHash(algorithm);
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}
