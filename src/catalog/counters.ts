import { inBatches, ROWS_PER_INSERT } from "./batches.ts";
import type { Count, NamedCounts } from "./counting.ts";
import type { CatalogDb } from "./schema.ts";

/** Days that are told apart; what happened before is in the counters of all time only. */
export const DAYS_KEPT = 400;

export async function addCounts(db: CatalogDb, counts: readonly Count[], today: number): Promise<void> {
  await inBatches(counts, ROWS_PER_INSERT, async (piece) => {
    await db
      .insertInto("day_counters")
      .values(piece.map(({ day, registryId, name, value }) => ({ day, registry_id: registryId, name, value })))
      .onConflict((conflict) =>
        conflict
          .columns(["day", "registry_id", "name"])
          .doUpdateSet((eb) => ({ value: eb("day_counters.value", "+", eb.ref("excluded.value")) })),
      )
      .execute();
  });
  await inBatches(ofAllDays(counts), ROWS_PER_INSERT, async (piece) => {
    await db
      .insertInto("all_time_counters")
      .values(piece)
      .onConflict((conflict) =>
        conflict
          .columns(["registry_id", "name"])
          .doUpdateSet((eb) => ({ value: eb("all_time_counters.value", "+", eb.ref("excluded.value")) })),
      )
      .execute();
  });
  await db
    .deleteFrom("day_counters")
    .where("day", "<=", today - DAYS_KEPT)
    .execute();
}

/** No row may come twice in one statement. */
function ofAllDays(counts: readonly Count[]): { registry_id: string; name: string; value: number }[] {
  const sums = new Map<string, { registry_id: string; name: string; value: number }>();
  for (const { registryId, name, value } of counts) {
    const key = `${name} ${registryId}`;
    const sum = sums.get(key);
    if (sum === undefined) sums.set(key, { registry_id: registryId, name, value });
    else sum.value += value;
  }
  return [...sums.values()];
}

export async function countsOfAllTime(db: CatalogDb): Promise<ReadonlyMap<string, NamedCounts>> {
  const rows = await db
    .selectFrom("all_time_counters")
    .select(["registry_id", "name", "value"])
    .orderBy("registry_id")
    .execute();
  return new Map(
    [...Map.groupBy(rows, (row) => row.registry_id)].map(([id, counts]) => [
      id,
      new Map(counts.map(({ name, value }) => [name, value])),
    ]),
  );
}

export async function countsByDay(db: CatalogDb, { from, to }: { from: number; to: number }): Promise<Count[]> {
  const rows = await db
    .selectFrom("day_counters")
    .select(["day", "registry_id", "name", "value"])
    .where("day", ">=", from)
    .where("day", "<=", to)
    .orderBy("day")
    .orderBy("registry_id")
    .execute();
  return rows.map(({ day, registry_id, name, value }) => ({ day, registryId: registry_id, name, value }));
}
