import type { Digest } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import type { Holder } from "./catalog.ts";
import type { CatalogDb } from "./schema.ts";

/** Every repository that has the content: see `Catalog.holdersOf`. */
export async function holdersOf(db: CatalogDb, digest: Digest): Promise<Holder[]> {
  const manifests = db
    .selectFrom("manifests as held")
    .innerJoin("repositories as r", "r.id", "held.repository_id")
    .select(["r.registry_id", "r.serves", "r.name"])
    .where("held.digest", "=", digest);
  const blobs = db
    .selectFrom("blobs as held")
    .innerJoin("repositories as r", "r.id", "held.repository_id")
    .select(["r.registry_id", "r.serves", "r.name"])
    .where("held.digest", "=", digest);
  const holders: Holder[] = [];
  for (const [kind, rows] of [
    ["manifest", await manifests.execute()],
    ["blob", await blobs.execute()],
  ] as const) {
    for (const { registry_id: registryId, serves, name } of rows)
      holders.push({ kind, repository: { registryId, serves, name: name as RepositoryName } });
  }
  return holders;
}
