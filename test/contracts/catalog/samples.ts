import type { TestContext } from "node:test";
import type { Catalog, HeldSnapshot, ManifestRecord } from "../../../src/catalog/catalog.ts";
import type { CatalogDb } from "../../../src/catalog/schema.ts";
import { type Digest, digestOf } from "../../../src/oci/digest.ts";
import type { Manifest } from "../../../src/oci/manifest.ts";
import * as types from "../../../src/oci/media-types.ts";
import type { Repository, RepositoryName, Tag } from "../../../src/oci/reference.ts";

/** A new catalog for one test, its database, and the clock that it reads. */
export type SetUp = (t: TestContext) => Promise<{ catalog: Catalog; db: CatalogDb; clock: { ms: number } }>;

export const nginx = repository("library/nginx");
export const redis = repository("library/redis");

export function repository(name: string, registryId = "dockerhub", serves = "docker.io"): Repository {
  return { registryId, serves, name: name as RepositoryName };
}

export function digest(text: string): Digest {
  return digestOf(Buffer.from(text));
}

/** An image of the given blobs, all of one size. */
export function image(...blobs: string[]): Manifest {
  const described = blobs.map((blob) => ({ mediaType: "application/octet-stream", digest: digest(blob), size: 7 }));
  return { mediaType: types.OCI_MANIFEST, manifests: [], blobs: described };
}

export function record(where: Repository, manifest: string, more: Partial<ManifestRecord> = {}): ManifestRecord {
  const rest = { size: 100, manifest: image(`config of ${manifest}`), fetchedWith: undefined, atMs: 10 };
  return { repository: where, digest: digest(manifest), ...rest, ...more };
}

export function asTag(text: string): Tag {
  return text as Tag;
}

export const latest = asTag("latest");

export function snapshot(
  where: Repository,
  manifests: string[],
  pointed: Record<string, string> = {},
  blobs: string[] = [],
): HeldSnapshot {
  const rest = { fetchedWith: undefined, atMs: 10 };
  return {
    repository: where,
    manifests: manifests.map((name) => record(where, name)),
    blobs: blobs.map((name) => ({ digest: digest(name), size: 1, ...rest })),
    tags: Object.entries(pointed).map(([tag, name]) => ({ tag: asTag(tag), digest: digest(name), atMs: 10 })),
  };
}

export async function* once<T>(...items: T[]): AsyncIterable<T> {
  yield* items;
}

export async function history(db: CatalogDb) {
  const rows = await db
    .selectFrom("tag_history")
    .select(["digest", "first_seen_at_ms", "confirmed_at_ms"])
    .orderBy("id")
    .execute();
  return plain(rows);
}

export async function lastUses(db: CatalogDb): Promise<Record<string, number[]>> {
  const found: Record<string, number[]> = {};
  for (const table of ["manifests", "blobs", "tags"] as const) {
    const rows = await db.selectFrom(table).select("last_used_at_ms").orderBy("repository_id").execute();
    found[table] = rows.map((row) => row.last_used_at_ms);
  }
  return found;
}

/** Rows without the prototype that a driver gives them. */
export function plain<T extends object>(rows: readonly T[]): T[] {
  return rows.map((row) => Object.assign({}, row));
}
