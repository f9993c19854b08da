import type { CatalogDb } from "./schema.ts";

/** Since when the upstream says that it does not have a tag, for tags and for where they pointed before. */
export async function addVanished(db: CatalogDb): Promise<void> {
  for (const table of ["tags", "tag_history"]) {
    await db.schema.alterTable(table).addColumn("vanished_at_ms", "bigint").execute();
  }
}
