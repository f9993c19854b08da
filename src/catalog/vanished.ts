import { type Repository, repositoryPath, type Tag } from "../oci/reference.ts";
import type { CatalogDb } from "./schema.ts";

/** The upstream has said that it does not have the tag; the first time counts, until it has it again. */
export async function vanishTag(
  db: CatalogDb,
  repository: Repository,
  tag: Tag,
  atMs: number,
  nowMs: number,
): Promise<void> {
  await db
    .updateTable("tags")
    .set({ vanished_at_ms: atMs, recorded_at_ms: nowMs })
    .where("tag", "=", tag)
    .where("repository_id", "in", (eb) =>
      eb.selectFrom("repositories").select("id").where("path", "=", repositoryPath(repository)),
    )
    .where("vanished_at_ms", "is", null)
    .execute();
}

/** As part of an answer: it is left out where the upstream has the tag. */
export function vanishedSince(atMs: number | null): { readonly vanishedAtMs?: number } {
  return atMs === null ? {} : { vanishedAtMs: atMs };
}
