import { describe, type TestContext } from "node:test";
import type { Catalog } from "../../src/catalog/catalog.ts";
import type { CatalogDb } from "../../src/catalog/schema.ts";
import { heldContents } from "./catalog/contents.ts";
import { counting } from "./catalog/counting.ts";
import { lists } from "./catalog/lists.ts";
import { manifestsAndBlobs } from "./catalog/manifests.ts";
import { replacing } from "./catalog/replacing.ts";
import { statistics } from "./catalog/statistics.ts";
import { tags, use } from "./catalog/tags-and-use.ts";
import { vanished } from "./catalog/vanished.ts";
import { leading } from "./catalog/leading.ts";

/** A new, empty catalog for one test, and its database to look behind it; `now` is the catalog's clock. */
export type OpenCatalog = (t: TestContext, now: () => number) => Promise<{ catalog: Catalog; db: CatalogDb }>;

/** What every catalog does, whichever database is under it. */
export function catalogContract(name: string, open: OpenCatalog): void {
  describe(`catalog contract: ${name}`, () => {
    const setUp = async (t: TestContext) => {
      const clock = { ms: 1_000_000 };
      return { ...(await open(t, () => clock.ms)), clock };
    };
    manifestsAndBlobs(setUp);
    tags(setUp);
    use(setUp);
    leading(setUp);
    vanished(setUp);
    lists(setUp);
    statistics(setUp);
    replacing(setUp);
    counting(setUp);
    heldContents(setUp);
  });
}
