import assert from "node:assert/strict";
import { it } from "node:test";
import { sql } from "kysely";
import { DAYS_KEPT } from "../../../src/catalog/counters.ts";
import type { Count, Pulled } from "../../../src/catalog/counting.ts";
import { notePulls, PULLERS_PER_IMAGE_MAX } from "../../../src/catalog/pulls.ts";
import type { CatalogDb } from "../../../src/catalog/schema.ts";
import { digest, latest, nginx, once, plain, record, redis, type SetUp, snapshot } from "./samples.ts";

const MS_PER_DAY = 24 * 60 * 60 * 1000;

function count(day: number, name: string, value: number, registryId = "dockerhub"): Count {
  return { day, registryId, name, value };
}

function pulled(more: Partial<Pulled> = {}): Pulled {
  return { repository: nginx, digest: digest("m"), tag: undefined, puller: "ann", pulls: 1, atMs: 100, ...more };
}

export function counting(setUp: SetUp): void {
  it("adds to the counters of days and of all time", async (t) => {
    const { catalog } = await setUp(t);
    await catalog.addCounts([count(0, "a", 1), count(0, "b", 2), count(1, "a", 4), count(1, "a", 8, "ghcr")]);
    await catalog.addCounts([count(1, "a", 16)]);
    await catalog.addCounts([]);
    assert.deepEqual(
      [...(await catalog.countsOfAllTime())].map(([id, counts]) => [id, Object.fromEntries(counts)]),
      [
        ["dockerhub", { a: 21, b: 2 }],
        ["ghcr", { a: 8 }],
      ],
    );
    assert.deepEqual(await catalog.countsByDay({ from: 1, to: 9 }), [count(1, "a", 20), count(1, "a", 8, "ghcr")]);
    assert.deepEqual(await catalog.countsByDay({ from: 0, to: 0 }), [count(0, "a", 1), count(0, "b", 2)]);
  });

  it(`forgets days after ${DAYS_KEPT} of them, and what happened there never`, async (t) => {
    const { catalog, clock } = await setUp(t);
    await catalog.addCounts([count(0, "a", 1), count(1, "a", 2)]);
    clock.ms = DAYS_KEPT * MS_PER_DAY;
    await catalog.addCounts([count(DAYS_KEPT, "a", 4)]);
    const days = await catalog.countsByDay({ from: 0, to: DAYS_KEPT });
    assert.deepEqual(days, [count(1, "a", 2), count(DAYS_KEPT, "a", 4)]);
    assert.equal((await catalog.countsOfAllTime()).get("dockerhub")?.get("a"), 7);
  });

  it("keeps counters, pulls and pullers when what is held is replaced by the store's", async (t) => {
    const { catalog, clock } = await setUp(t);
    await catalog.recordManifest(record(nginx, "m"));
    await catalog.recordTag(nginx, latest, digest("m"), 10);
    await catalog.addCounts([count(0, "a", 1)]);
    await catalog.notePulls([pulled({ tag: latest, pulls: 3 })]);
    clock.ms += 1;
    await catalog.replaceHeld(once(snapshot(nginx, ["m"], { latest: "m" })));
    assert.equal((await catalog.countsOfAllTime()).get("dockerhub")?.get("a"), 1);
    const [image] = await catalog.images({ limit: 9 });
    assert.deepEqual([image?.pulls, image?.lastPulledAtMs, image?.tags[0]?.pulls], [3, 100, 3]);
    assert.equal((await catalog.pullersOf([image?.id ?? 0], 9)).get(image?.id ?? 0)?.[0]?.pulls, 3);
  });

  it("adds pulls up by image, tag and puller, with the latest time; what is not held is passed over", async (t) => {
    const { catalog } = await setUp(t);
    await catalog.recordManifest(record(nginx, "m"));
    await catalog.recordTag(nginx, latest, digest("m"), 10);
    await catalog.notePulls([
      pulled({ tag: latest, pulls: 2, atMs: 300 }),
      pulled({ puller: "10.0.0.1", atMs: 200 }),
      pulled({ repository: redis }),
      pulled({ digest: digest("not held") }),
    ]);
    await catalog.notePulls([pulled({ tag: latest, pulls: 5, atMs: 250 })]);
    const [image] = await catalog.images({ limit: 9 });
    assert.deepEqual([image?.pulls, image?.lastPulledAtMs], [8, 300]);
    assert.deepEqual(
      image?.tags.map(({ tag, pulls, lastPulledAtMs }) => ({ tag, pulls, lastPulledAtMs })),
      [{ tag: latest, pulls: 7, lastPulledAtMs: 300 }],
    );
    const id = image?.id ?? 0;
    const ann = { name: "ann", pulls: 7, lastPulledAtMs: 300 };
    assert.deepEqual((await catalog.pullersOf([id], 9)).get(id), [
      ann,
      { name: "10.0.0.1", pulls: 1, lastPulledAtMs: 200 },
    ]);
    assert.deepEqual((await catalog.pullersOf([id], 1)).get(id), [ann]);
  });

  it("remembers the last pullers of an image, and the last ones of all, and goes with the image", async (t) => {
    const { catalog, db } = await setUp(t);
    await catalog.recordManifest(record(nginx, "m"));
    await catalog.recordManifest(record(nginx, "n"));
    const many = Array.from({ length: PULLERS_PER_IMAGE_MAX + 5 }, (_, at) => pulled({ puller: `p${at}`, atMs: at }));
    await catalog.notePulls(many);
    assert.deepEqual(await pullersIn(db), { count: PULLERS_PER_IMAGE_MAX, oldest: 5 });
    const limits = { perImage: 3, all: 4 };
    await notePulls(db, [pulled({ digest: digest("n"), puller: "late", atMs: 1_000 })], limits);
    assert.deepEqual(await pullersIn(db), { count: 4, oldest: PULLERS_PER_IMAGE_MAX + 2 });
    await notePulls(db, [pulled({ puller: "later", atMs: 1_001 })], limits);
    assert.deepEqual(await pullersIn(db), { count: 4, oldest: PULLERS_PER_IMAGE_MAX + 3 });
    await db.deleteFrom("manifests").execute();
    assert.equal((await pullersIn(db)).count, 0);
    const { rows } = await sql<{ pulls: number }>`select pulls from manifest_pulls`.execute(db);
    assert.deepEqual(plain(rows), []);
  });
}

async function pullersIn(db: CatalogDb): Promise<{ count: number; oldest: number | null }> {
  const { rows } = await sql<{ count: number; oldest: number | null }>`
    select count(*) as count, min(last_pulled_at_ms) as oldest from pullers`.execute(db);
  return { count: rows[0]?.count ?? 0, oldest: rows[0]?.oldest ?? null };
}
