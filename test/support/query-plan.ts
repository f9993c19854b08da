import type { Compilable } from "kysely";
import type { CatalogDb } from "../../src/catalog/schema.ts";

/** How SQLite would go about a query, a step a line. */
export async function planOf(db: CatalogDb, query: Compilable): Promise<string[]> {
  const compiled = query.compile();
  const { rows } = await db.executeQuery<{ detail: string }>({
    ...compiled,
    sql: `explain query plan ${compiled.sql}`,
  });
  return rows.map((row) => row.detail);
}
