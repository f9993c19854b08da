import assert from "node:assert/strict";
import { it } from "node:test";
import {
  asTag,
  digest,
  history,
  image,
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

export function replacing(setUp: SetUp): void {
  it("is empty until a manifest is recorded", async (t) => {
    const { catalog } = await setUp(t);
    assert.equal(await catalog.isEmpty(), true);
    await catalog.recordTag(nginx, latest, digest("m"), 10);
    assert.equal(await catalog.isEmpty(), true);
    await catalog.recordManifest(record(nginx, "m"));
    assert.equal(await catalog.isEmpty(), false);
  });

  it("tells whoever comes next that it may lack something, until it is said to be settled", async (t) => {
    const { catalog } = await setUp(t);
    assert.equal(await catalog.markInUse(), false);
    assert.equal(await catalog.markInUse(), true);
    await catalog.markSettled();
    assert.equal(await catalog.markInUse(), false);
  });

  it("takes over what the store has, and is the same after doing so twice", async (t) => {
    const { catalog, clock } = await setUp(t);
    for (const _ of [1, 2]) {
      await catalog.replaceHeld(once(snapshot(nginx, ["a", "b"], { latest: "a", old: "b" }), snapshot(redis, ["a"])));
      assert.deepEqual(Object.fromEntries(await catalog.countImages()), { dockerhub: 2 });
      assert.deepEqual(await catalog.repositories({ limit: 9 }), [nginx, redis]);
      assert.deepEqual(await catalog.namedBy(nginx, digest("config of b")), { size: 7 });
      assert.deepEqual(await catalog.tag(nginx, latest), { digest: digest("a"), confirmedAtMs: 10 });
      assert.equal(await catalog.isEmpty(), false);
      clock.ms += 1;
    }
  });

  it("takes a tag that nobody has confirmed for what it is, until somebody does", async (t) => {
    const { catalog, clock } = await setUp(t);
    const taken = snapshot(nginx, ["a"], { latest: "a" });
    const unconfirmed = { ...taken, tags: taken.tags.map((one) => ({ ...one, confirmedAtMs: 0 })) };
    await catalog.replaceHeld(once(unconfirmed));
    assert.deepEqual(await catalog.tagHistory(nginx, latest), [
      { digest: digest("a"), firstSeenAtMs: 10, confirmedAtMs: 0 },
    ]);
    await catalog.confirmTags([{ repository: nginx, tag: latest, digest: digest("a"), atMs: 90 }]);
    clock.ms += 1;
    await catalog.replaceHeld(once(unconfirmed));
    assert.deepEqual(await catalog.tag(nginx, latest), { digest: digest("a"), confirmedAtMs: 90 });
  });

  it("forgets manifests, blobs, tags and repositories that the store no longer has", async (t) => {
    const { catalog, db, clock } = await setUp(t);
    await catalog.replaceHeld(
      once(snapshot(nginx, ["a", "b"], { latest: "a", old: "b" }, ["x", "y"]), snapshot(redis, ["a"], { latest: "a" })),
    );
    clock.ms += 1;
    await catalog.replaceHeld(once(snapshot(nginx, ["a"], { latest: "a" }, ["x"])));
    assert.equal(await catalog.manifest(nginx, digest("b")), undefined);
    assert.equal(await catalog.namedBy(nginx, digest("config of b")), undefined);
    assert.equal(await catalog.tag(nginx, asTag("old")), undefined);
    assert.deepEqual(plain(await db.selectFrom("blobs").select("digest").execute()), [{ digest: digest("x") }]);
    assert.deepEqual(plain(await db.selectFrom("repositories").select("path").execute()), [
      { path: "docker.io/library/nginx" },
    ]);
    assert.deepEqual(await catalog.inventory({ registryId: "dockerhub", limit: 9 }), [
      { name: nginx.name, tags: [latest] },
    ]);
  });

  it("keeps use, history, confirmation and media type of what is still there", async (t) => {
    const { catalog, db, clock } = await setUp(t);
    const typed = { ...image("config of a"), mediaType: "application/vnd.example.own" };
    await catalog.recordManifest(record(nginx, "a", { manifest: typed }));
    await catalog.recordBlob({ repository: nginx, digest: digest("x"), size: 1, fetchedWith: undefined, atMs: 10 });
    await catalog.recordTag(nginx, latest, digest("before"), 5);
    await catalog.recordTag(nginx, latest, digest("a"), 10);
    await catalog.confirmTags([{ repository: nginx, tag: latest, digest: digest("a"), atMs: 90 }]);
    await catalog.touch([
      { repository: nginx, digest: digest("a"), tag: latest, atMs: 50 },
      { repository: nginx, digest: digest("x"), atMs: 60 },
    ]);
    clock.ms += 1;
    await catalog.replaceHeld(once(snapshot(nginx, ["a"], { latest: "a" }, ["x"])));
    assert.deepEqual(await lastUses(db), { manifests: [50], blobs: [60], tags: [50] });
    assert.deepEqual(await history(db), [{ digest: digest("before"), first_seen_at_ms: 5, confirmed_at_ms: 5 }]);
    assert.deepEqual(await catalog.tag(nginx, latest), { digest: digest("a"), confirmedAtMs: 90 });
    assert.equal((await catalog.manifest(nginx, digest("a")))?.mediaType, "application/vnd.example.own");
  });

  it("writes into the history where a moved or lost tag pointed", async (t) => {
    const { catalog, db, clock } = await setUp(t);
    await catalog.recordManifest(record(nginx, "b"));
    await catalog.recordTag(nginx, latest, digest("a"), 5);
    await catalog.recordTag(nginx, asTag("lost"), digest("c"), 6);
    clock.ms += 1;
    await catalog.replaceHeld(once(snapshot(nginx, ["b"], { latest: "b" })));
    assert.deepEqual((await history(db)).map((row) => row.digest).toSorted(), [digest("a"), digest("c")].toSorted());
    assert.deepEqual(await catalog.tag(nginx, latest), { digest: digest("b"), confirmedAtMs: 10 });
  });

  it("writes anew what a manifest names", async (t) => {
    const { catalog, clock } = await setUp(t);
    await catalog.recordManifest(record(nginx, "a", { manifest: image("wrong") }));
    clock.ms += 1;
    await catalog.replaceHeld(once(snapshot(nginx, ["a"])));
    assert.equal(await catalog.namedBy(nginx, digest("wrong")), undefined);
    assert.deepEqual(await catalog.namedBy(nginx, digest("config of a")), { size: 7 });
  });

  it("keeps what is recorded while the store is walked, in repositories seen, passed and never met", async (t) => {
    const { catalog, clock } = await setUp(t);
    const late = repository("library/late");
    await catalog.recordManifest(record(redis, "old"));
    clock.ms += 1;
    async function* walk() {
      const seen = snapshot(nginx, ["a"], { latest: "a" });
      clock.ms += 1;
      // The store was read; now a pull moves the tag, before the snapshot is written.
      await catalog.recordManifest(record(nginx, "b"));
      await catalog.recordTag(nginx, latest, digest("b"), clock.ms);
      await catalog.recordBlob({ repository: nginx, digest: digest("x"), size: 1, fetchedWith: undefined, atMs: 1 });
      yield seen;
      await catalog.recordManifest(record(late, "m"));
      await catalog.recordManifest(record(redis, "new"));
    }
    await catalog.replaceHeld(walk());
    assert.equal((await catalog.tag(nginx, latest))?.digest, digest("b"));
    assert.notEqual(await catalog.manifest(nginx, digest("a")), undefined);
    assert.notEqual(await catalog.manifest(nginx, digest("b")), undefined);
    assert.equal(await catalog.manifest(redis, digest("old")), undefined);
    assert.notEqual(await catalog.manifest(redis, digest("new")), undefined);
    assert.deepEqual(await catalog.repositories({ limit: 9 }), [late, nginx, redis]);
  });

  it("survives a clock that is set back on the way", async (t) => {
    const { catalog, clock } = await setUp(t);
    async function* walk() {
      yield snapshot(nginx, ["a"], { latest: "a" });
      clock.ms -= 5_000;
      yield snapshot(redis, ["a"], { latest: "a" });
    }
    await catalog.replaceHeld(walk());
    assert.deepEqual(Object.fromEntries(await catalog.countImages()), { dockerhub: 2 });
  });

  it("forgets nothing and counts as empty when the walk breaks off, until one comes to its end", async (t) => {
    const { catalog, clock } = await setUp(t);
    await catalog.recordManifest(record(redis, "m"));
    clock.ms += 1;
    async function* broken() {
      yield snapshot(nginx, ["a"]);
      throw new Error("the disk failed");
    }
    await assert.rejects(catalog.replaceHeld(broken()), /the disk failed/);
    assert.deepEqual(await catalog.repositories({ limit: 9 }), [nginx, redis]);
    assert.equal(await catalog.isEmpty(), true);
    await catalog.replaceHeld(once(snapshot(nginx, ["a"]), snapshot(redis, ["m"])));
    assert.equal(await catalog.isEmpty(), false);
  });
}
