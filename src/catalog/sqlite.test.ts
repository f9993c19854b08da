import { join } from "node:path";
import { catalogContract } from "../../test/contracts/catalog.ts";
import { tempDir } from "../../test/support/temp.ts";
import { SqlCatalog } from "./sql-catalog.ts";
import { IN_MEMORY, openSqliteDatabase } from "./sqlite.ts";

catalogContract("SQLite in a file", async (t, now) => {
  const { reads, writes } = await openSqliteDatabase(join(await tempDir(t), "catalog.sqlite"), { now });
  const catalog = new SqlCatalog({ reads, writes, now });
  t.after(() => catalog.close());
  return { catalog, db: writes };
});

catalogContract("SQLite in memory", async (t, now) => {
  const { reads, writes } = await openSqliteDatabase(IN_MEMORY, { now });
  const catalog = new SqlCatalog({ reads, writes, now });
  t.after(() => catalog.close());
  return { catalog, db: writes };
});
