import assert from "node:assert/strict";
import { it } from "node:test";
import { repositoryIdOf } from "../../../src/catalog/repositories.ts";
import { pointTag, TAG_HISTORY_ROWS_MAX } from "../../../src/catalog/tags.ts";
import {
  asTag,
  digest,
  history,
  lastUses,
  latest,
  nginx,
  once,
  plain,
  record,
  redis,
  repository,
  snapshot,
  type SetUp,
} from "./samples.ts";

export function tags(setUp: SetUp): void {
  it("says where a tag points and when that was last confirmed", async (t) => {
    const { catalog } = await setUp(t);
    assert.equal(await catalog.tag(nginx, latest), undefined);
    await catalog.recordTag(nginx, latest, digest("a"), 10);
    assert.deepEqual(await catalog.tag(nginx, latest), { digest: digest("a"), confirmedAtMs: 10 });
    assert.equal(await catalog.tag(redis, latest), undefined);
    assert.equal(await catalog.tag(nginx, asTag("LATEST")), undefined);
  });

  it("moves a confirmation forward only, and passes over tags that are not there", async (t) => {
    const { catalog } = await setUp(t);
    await catalog.recordTag(nginx, latest, digest("a"), 10);
    await catalog.confirmTags([
      { repository: nginx, tag: latest, digest: digest("a"), atMs: 30 },
      { repository: nginx, tag: asTag("other"), digest: digest("a"), atMs: 30 },
      { repository: redis, tag: latest, digest: digest("a"), atMs: 30 },
    ]);
    await catalog.confirmTags([{ repository: nginx, tag: latest, digest: digest("a"), atMs: 20 }]);
    await catalog.recordTag(nginx, latest, digest("a"), 25);
    assert.deepEqual(await catalog.tag(nginx, latest), { digest: digest("a"), confirmedAtMs: 30 });
    assert.equal(await catalog.tag(nginx, asTag("other")), undefined);
    await catalog.confirmTags([]);
  });

  it("does not take a confirmation of one digest for one of another", async (t) => {
    const { catalog } = await setUp(t);
    await catalog.recordTag(nginx, latest, digest("a"), 10);
    await catalog.confirmTags([{ repository: nginx, tag: latest, digest: digest("b"), atMs: 30 }]);
    assert.deepEqual(await catalog.tag(nginx, latest), { digest: digest("a"), confirmedAtMs: 10 });
  });

  it("takes a confirmation back that a wrong clock wrote into the future", async (t) => {
    const { catalog, clock } = await setUp(t);
    await catalog.recordTag(nginx, latest, digest("a"), clock.ms + 500);
    await catalog.confirmTags([{ repository: nginx, tag: latest, digest: digest("a"), atMs: clock.ms - 1 }]);
    assert.deepEqual(await catalog.tag(nginx, latest), { digest: digest("a"), confirmedAtMs: clock.ms - 1 });
    await catalog.recordTag(nginx, latest, digest("b"), clock.ms + 500);
    await catalog.recordTag(nginx, latest, digest("b"), clock.ms);
    assert.deepEqual(await catalog.tag(nginx, latest), { digest: digest("b"), confirmedAtMs: clock.ms });
  });

  it("writes each digest that a tag left into its history, with first sight and last confirmation", async (t) => {
    const { catalog, db } = await setUp(t);
    await catalog.recordTag(nginx, latest, digest("a"), 10);
    await catalog.confirmTags([{ repository: nginx, tag: latest, digest: digest("a"), atMs: 15 }]);
    await catalog.recordTag(nginx, latest, digest("b"), 20);
    await catalog.recordTag(nginx, latest, digest("b"), 25);
    await catalog.recordTag(nginx, latest, digest("a"), 30);
    assert.deepEqual(await history(db), [
      { digest: digest("a"), first_seen_at_ms: 10, confirmed_at_ms: 15 },
      { digest: digest("b"), first_seen_at_ms: 20, confirmed_at_ms: 25 },
    ]);
    const now = await db.selectFrom("tags").select(["digest", "first_seen_at_ms", "confirmed_at_ms"]).execute();
    assert.deepEqual(plain(now), [{ digest: digest("a"), first_seen_at_ms: 30, confirmed_at_ms: 30 }]);
  });

  it("forgets the oldest of a history that grows too long", async (t) => {
    const { db } = await setUp(t);
    const moves = TAG_HISTORY_ROWS_MAX + 4;
    await db.transaction().execute(async (trx) => {
      const id = await repositoryIdOf(trx, nginx, 1);
      for (let move = 0; move < moves; move += 1) {
        await pointTag(trx, id, { tag: latest, digest: digest(`m${move}`), atMs: move }, 1);
      }
    });
    const kept = await history(db);
    assert.equal(kept.length, TAG_HISTORY_ROWS_MAX);
    assert.equal(kept[0]?.digest, digest("m3"));
    assert.equal(kept.at(-1)?.digest, digest(`m${moves - 2}`));
  });
}

export function use(setUp: SetUp): void {
  it("moves last use of manifests, blobs and tags forward, never back", async (t) => {
    const { catalog, db } = await setUp(t);
    await catalog.recordManifest(record(nginx, "m"));
    await catalog.recordManifest(record(redis, "m"));
    await catalog.recordTag(nginx, latest, digest("m"), 10);
    await catalog.recordBlob({ repository: nginx, digest: digest("b"), size: 5, fetchedWith: undefined, atMs: 10 });
    await catalog.touch([
      { repository: nginx, digest: digest("m"), tag: latest, atMs: 50 },
      { repository: nginx, digest: digest("m"), atMs: 40 },
      { repository: nginx, digest: digest("b"), atMs: 60 },
      { repository: nginx, digest: digest("b"), atMs: 55 },
      { repository: nginx, digest: digest("not held"), tag: asTag("none"), atMs: 70 },
      { repository: repository("library/none"), digest: digest("m"), atMs: 70 },
    ]);
    await catalog.touch([]);
    assert.deepEqual(await lastUses(db), { manifests: [50, 10], blobs: [60], tags: [50] });
  });

  it("writes thousands of uses and confirmations", async (t) => {
    const { catalog, db } = await setUp(t);
    const names = Array.from({ length: 1_203 }, (_, index) => asTag(`t${index}`));
    await catalog.replaceHeld(once(snapshot(nginx, ["m"], Object.fromEntries(names.map((tag) => [tag, "m"])))));
    await catalog.touch(names.map((tag) => ({ repository: nginx, digest: digest("m"), tag, atMs: 20 })));
    await catalog.confirmTags(names.map((tag) => ({ repository: nginx, tag, digest: digest("m"), atMs: 30 })));
    const rows = await db
      .selectFrom("tags")
      .select(["last_used_at_ms", "confirmed_at_ms"])
      .groupBy(["last_used_at_ms", "confirmed_at_ms"])
      .select((eb) => eb.fn.countAll<number>().as("rows"))
      .execute();
    assert.deepEqual(plain(rows), [{ last_used_at_ms: 20, confirmed_at_ms: 30, rows: 1_203 }]);
  });
}
