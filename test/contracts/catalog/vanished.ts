import assert from "node:assert/strict";
import { it } from "node:test";
import { asTag, digest, latest, nginx, once, redis, snapshot, type SetUp } from "./samples.ts";

/** Tags that upstream has no more. */
export function vanished(setUp: SetUp): void {
  const confirm = (atMs: number, by = "a") => [{ repository: nginx, tag: latest, digest: digest(by), atMs }];

  it("says since when upstream does not have a tag, from the first time on", async (t) => {
    const { catalog } = await setUp(t);
    await catalog.recordTag(nginx, latest, digest("a"), 10);
    await catalog.recordTag(redis, latest, digest("a"), 10);
    await catalog.vanishTag(nginx, latest, 20);
    await catalog.vanishTag(nginx, latest, 30);
    await catalog.vanishTag(nginx, asTag("other"), 30);
    assert.deepEqual(await catalog.tag(nginx, latest), { digest: digest("a"), confirmedAtMs: 10, vanishedAtMs: 20 });
    assert.deepEqual(await catalog.tagHistory(nginx, latest), [
      { digest: digest("a"), firstSeenAtMs: 10, confirmedAtMs: 10, vanishedAtMs: 20 },
    ]);
    assert.deepEqual(await catalog.tag(redis, latest), { digest: digest("a"), confirmedAtMs: 10 });
    assert.equal(await catalog.tag(nginx, asTag("other")), undefined);
  });

  it("takes it back when upstream has the tag again, but not for what it said before", async (t) => {
    const { catalog, clock } = await setUp(t);
    await catalog.recordTag(nginx, latest, digest("a"), 10);
    await catalog.vanishTag(nginx, latest, 20);
    // It had waited in a notebook.
    await catalog.confirmTags(confirm(15));
    await catalog.confirmTags(confirm(30, "b"));
    assert.deepEqual(await catalog.tag(nginx, latest), { digest: digest("a"), confirmedAtMs: 15, vanishedAtMs: 20 });
    await catalog.confirmTags(confirm(30));
    assert.deepEqual(await catalog.tag(nginx, latest), { digest: digest("a"), confirmedAtMs: 30 });
    // A wrong clock's future is not waited for.
    await catalog.vanishTag(nginx, latest, clock.ms + 1_000);
    await catalog.confirmTags(confirm(clock.ms - 1));
    assert.deepEqual(await catalog.tag(nginx, latest), { digest: digest("a"), confirmedAtMs: clock.ms - 1 });
  });

  it("remembers of a tag that came back pointing elsewhere that it was away", async (t) => {
    const { catalog } = await setUp(t);
    await catalog.recordTag(nginx, latest, digest("a"), 10);
    await catalog.vanishTag(nginx, latest, 20);
    await catalog.recordTag(nginx, latest, digest("b"), 30);
    assert.deepEqual(await catalog.tag(nginx, latest), { digest: digest("b"), confirmedAtMs: 30 });
    assert.deepEqual(await catalog.tagHistory(nginx, latest), [
      { digest: digest("b"), firstSeenAtMs: 30, confirmedAtMs: 30 },
      { digest: digest("a"), firstSeenAtMs: 10, confirmedAtMs: 10, vanishedAtMs: 20 },
    ]);
    await catalog.vanishTag(nginx, latest, 40);
    await catalog.recordTag(nginx, latest, digest("b"), 50);
    assert.equal((await catalog.tag(nginx, latest))?.vanishedAtMs, undefined);
  });

  it("keeps it when the catalog is rebuilt, where the store says the same", async (t) => {
    const { catalog, clock } = await setUp(t);
    await catalog.replaceHeld(once(snapshot(nginx, ["a", "b"], { latest: "a", old: "a" })));
    await catalog.vanishTag(nginx, latest, 20);
    await catalog.vanishTag(nginx, asTag("old"), 20);
    clock.ms += 1;
    await catalog.replaceHeld(once(snapshot(nginx, ["a", "b"], { latest: "a", old: "b" })));
    assert.equal((await catalog.tag(nginx, latest))?.vanishedAtMs, 20);
    assert.equal((await catalog.tag(nginx, asTag("old")))?.vanishedAtMs, undefined);
    assert.equal((await catalog.tagHistory(nginx, asTag("old")))[1]?.vanishedAtMs, 20);
  });
}
