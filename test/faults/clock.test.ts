import assert from "node:assert/strict";
import { stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { testConfig, testRegistry } from "../support/cache.ts";
import { type Answer, ask } from "../support/client.ts";
import { type FakeUpstream, type FakeUpstreamOptions, startFakeUpstream } from "../support/fake-upstream.ts";
import { eventually } from "../support/open-files.ts";
import { tempDir } from "../support/temp.ts";
import { assertCatalogAgrees, assertWhole, filesBelow, readStore } from "./support/agreement.ts";
import { type SteppedClock, steppedClock } from "./support/clock.ts";
import { fault, type FaultTest, inForm } from "./support/fault.ts";
import { ms } from "./support/figures.ts";
import { contentOf, fakeOrigin, type Image, imageOf } from "./support/images.ts";
import { startSubject, type Subject } from "./support/subject.ts";
import { isHit } from "./support/traffic.ts";

const MIB = 1024 * 1024;
const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;
const YEARS_MS = 10 * 365 * DAY_MS;
const REPOSITORY = "library/app";
/** Longer than an answer takes on the busiest machine, shorter than the upstream is silent for. */
const AT_ONCE_MS = 30_000;
const SILENT_MS = 100_000;

interface World {
  readonly upstream: FakeUpstream;
  readonly dataDir: string;
  readonly clock: SteppedClock;
  start(): Promise<Subject>;
}

async function createWorld(t: FaultTest, options: FakeUpstreamOptions = {}): Promise<World> {
  const [upstream, dataDir] = [await startFakeUpstream(options), await tempDir(t)];
  t.after(async () => await upstream[Symbol.asyncDispose]());
  const clock = await steppedClock(t);
  // The upstream may be silent for longer than any client of this test waits.
  const timeouts = { connectMs: 2_000, headersMs: SILENT_MS, idleMs: 5_000, askBudgetMs: 1_000 };
  const config = testConfig(dataDir, [testRegistry(upstream.url, { timeouts })]);
  return { upstream, dataDir, clock, start: async () => await startSubject(t, config, clock.options) };
}

async function get({ url }: Subject, path: string): Promise<Answer> {
  return await ask(`${url}/v2/${REPOSITORY}/${path}`);
}

async function publish({ upstream }: World, tag: string, size = 100_000): Promise<Image> {
  const image = imageOf(REPOSITORY, tag, [contentOf(size, tag)]);
  await fakeOrigin(upstream).publish(image);
  return image;
}

async function pull(subject: Subject, image: Image): Promise<boolean> {
  const manifest = await get(subject, `manifests/${image.tag}`);
  assert.ok(manifest.body.equals(image.bytes), `${image.tag}: ${manifest.status}`);
  const answers = [manifest];
  for (const { digest, bytes } of image.blobs) {
    const answer = await get(subject, `blobs/${digest}`);
    assert.ok(answer.body.equals(bytes), `${digest}: ${answer.status}`);
    answers.push(answer);
  }
  return answers.every(isHit);
}

function asked({ upstream }: World): number {
  return upstream.count({ path: "/manifests/" });
}

/** Whether upstream was asked about the tag for this answer. */
async function isAsked(world: World, subject: Subject, { tag, bytes }: Image): Promise<boolean> {
  const before = asked(world);
  const answer = await get(subject, `manifests/${tag}`);
  assert.ok(answer.body.equals(bytes), `${tag}: ${answer.status}`);
  return asked(world) > before;
}

fault(
  "clock: steps under a fresh tag",
  "fresh for its minute only, by the clock that is: never for ever",
  async (t) => {
    const world = await createWorld(t);
    const image = await publish(world, "1");
    const subject = await world.start();
    await pull(subject, image);
    assert.equal(await isAsked(world, subject, image), false, "fresh");
    for (const shiftMs of [2 * DAY_MS, -2 * DAY_MS, YEARS_MS, -YEARS_MS, HOUR_MS, 0]) {
      await world.clock.shiftTo(shiftMs);
      assert.equal(await isAsked(world, subject, image), true, `asked again after a step to ${shiftMs} ms`);
      assert.equal(await isAsked(world, subject, image), false, `and fresh then, at ${shiftMs} ms`);
    }
    t.show("6 steps of up to 20 years: asked once after each");
  },
);

fault(
  "clock: a confirmation from the future, across restarts",
  "asked again at once, and again when that future has come",
  async (t) => {
    const world = await createWorld(t);
    const image = await publish(world, "1");
    const between = async (shiftMs: number): Promise<boolean> => {
      await world.clock.shiftTo(shiftMs);
      const subject = await world.start();
      const wasAsked = await isAsked(world, subject, image);
      await subject.idle();
      assert.equal(await subject.terminate(), 0);
      return wasAsked;
    };
    assert.equal(await between(2 * DAY_MS), true, "a clock two days ahead");
    assert.equal(await between(0), true, "set right");
    assert.equal(await between(1_000), false, "fresh, also after a restart");
    assert.equal(await between(2 * DAY_MS + 1_000), true, "two days later it was confirmed two days ago");
    t.show("4 starts, asked in 3 of them");
  },
);

fault(
  "clock: steps of years over a full store",
  "all that was held is served with the upstream away, before and after restarts; catalog and store agree",
  async (t) => {
    const world = await createWorld(t);
    const images = await Promise.all(["1", "2", "3"].map(async (tag) => await publish(world, tag)));
    for (const [index, shiftMs] of [0, YEARS_MS, -YEARS_MS].entries()) {
      await world.clock.shiftTo(shiftMs);
      const subject = await world.start();
      await pull(subject, images[index] as Image);
      await subject.idle();
      // Killed: the next start rebuilds the catalog, by the clock that it then has.
      await subject.kill();
    }
    await world.upstream.stop();
    for (const shiftMs of [0, YEARS_MS, -YEARS_MS, 0]) {
      await world.clock.shiftTo(shiftMs);
      const subject = await world.start();
      for (const image of images) assert.ok(await pull(subject, image), `${image.tag} at ${shiftMs}`);
      await world.clock.shiftTo(-shiftMs);
      for (const image of images) assert.ok(await pull(subject, image), `${image.tag} at ${-shiftMs}`);
      await subject.idle();
      const facts = await readStore(world.dataDir);
      assertWhole(facts);
      assertCatalogAgrees(world.dataDir, facts);
      await subject.kill();
    }
    t.show("3 images recorded by 3 clocks, served by 4, catalog rebuilt 6 times");
  },
);

fault(
  "clock: partials by a clock that was stepped",
  "resumed after a step of hours, never kept for ever, reaped after a day",
  async (t) => {
    const world = await createWorld(t);
    const [image] = [await publish(world, "1", 4 * MIB)];
    const layer = image.blobs[1] as Image["blobs"][number];
    const spool = join(world.dataDir, "spool", layer.digest.replace(":", "-"));
    const leave = async (): Promise<void> => {
      const held = Promise.withResolvers<void>();
      world.upstream.script({ path: layer.digest }, { kind: "hold", atByte: 3 * MIB, until: held.promise });
      const subject = await world.start();
      const reading = get(subject, `blobs/${layer.digest}`).catch(() => undefined);
      await eventually(async () => ((await stat(spool).catch(() => undefined))?.size ?? 0) > 2 * MIB);
      await subject.kill();
      held.resolve();
      await reading;
    };
    const startedAt = async (shiftMs: number): Promise<number> => {
      await world.clock.shiftTo(shiftMs);
      const subject = await world.start();
      assert.equal(await subject.terminate(), 0);
      return (await filesBelow(join(world.dataDir, "spool"))).length;
    };
    await leave();
    for (const shiftMs of [23 * HOUR_MS, -23 * HOUR_MS])
      assert.equal(await startedAt(shiftMs), 2, `kept at ${shiftMs}`);
    // Written by a clock ten years ahead: from the first look at it on it ages as others do.
    const future = new Date(Date.now() + YEARS_MS);
    await utimes(spool, future, future);
    assert.equal(await startedAt(0), 2);
    assert.equal(await startedAt(25 * HOUR_MS), 0, "reaped a day later");
    t.show("kept over steps of 23 hours both ways, reaped a day after one of 10 years");
  },
);

fault(
  "clock: set back while upstream is silent",
  "a held tag is served within the budget to all who ask",
  async (t) => {
    const world = await createWorld(t);
    const image = await publish(world, "1");
    const subject = await world.start();
    await pull(subject, image);
    await world.clock.shiftTo(2 * HOUR_MS);
    world.upstream.script({ path: "/manifests/" }, { kind: "hang", times: Infinity });
    const first = get(subject, "manifests/1");
    await world.upstream.until(() =>
      world.upstream.requests.some(({ closed, path }) => !closed && path.includes("/manifests/")),
    );
    // Not so far that the tag would be fresh again.
    await world.clock.shiftTo(HOUR_MS);
    const startedMs = performance.now();
    for (const answer of [await get(subject, "manifests/1"), await first]) assert.ok(answer.body.equals(image.bytes));
    const tookMs = performance.now() - startedMs;
    assert.ok(tookMs < AT_ONCE_MS, `${tookMs} ms`);
    t.show(`set back by an hour: served stale after ${ms(tookMs)}`);
  },
);

fault(
  "clock: steps under tokens",
  "a token lives as long as it lives: one is fetched, and one more when it ends",
  async (t) => {
    const world = await createWorld(t, { auth: "bearer", token: { expiresInS: 3600 } });
    const images = await Promise.all(["1", "2", "3", "4"].map(async (tag) => await publish(world, tag)));
    const subject = await world.start();
    for (const [index, shiftMs] of [0, YEARS_MS, -YEARS_MS].entries()) {
      await world.clock.shiftTo(shiftMs);
      await pull(subject, images[index] as Image);
    }
    assert.equal(world.upstream.count({ role: "token" }), 1);
    world.upstream.expireTokens();
    await pull(subject, images[3] as Image);
    assert.equal(world.upstream.count({ role: "token" }), 2);
    t.show("1 token over steps of 10 years both ways, 1 more after it was withdrawn");
  },
);

const BACK_STEPS_MS = inForm({ short: [-YEARS_MS], long: [-HOUR_MS, -YEARS_MS, YEARS_MS] });

fault("clock: steps under what is remembered of failures", "forgotten in seconds all the same", async (t) => {
  const world = await createWorld(t);
  const subject = await world.start();
  let waitedMs = 0;
  for (const [index, shiftMs] of BACK_STEPS_MS.entries()) {
    const tag = `v${index}`;
    // A refusal (5 s), and enough failures to open the breaker (2 s).
    assert.equal((await get(subject, `manifests/${tag}`)).status, 404);
    await world.upstream.stop();
    for (let tries = 0; tries < 6; tries++) {
      assert.ok((await get(subject, `manifests/other-${index}-${tries}`)).status >= 500);
    }
    await world.clock.shiftTo(shiftMs);
    await world.upstream.restart();
    await publish(world, tag);
    const startedMs = performance.now();
    const statusOf = async () => (await get(subject, `manifests/${tag}`)).status;
    while ((await statusOf()) !== 200) {
      assert.ok(performance.now() - startedMs < AT_ONCE_MS, "still refused");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    waitedMs = Math.max(waitedMs, performance.now() - startedMs);
  }
  t.show(`served again ${ms(waitedMs)} after upstream was back`);
});
