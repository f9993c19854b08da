import assert from "node:assert/strict";
import { testConfig, testRegistry } from "../support/cache.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { tempDir } from "../support/temp.ts";
import { assertCatalogAgrees, assertNothingLeftOver, assertWhole, readStore } from "./support/agreement.ts";
import { fault, inForm } from "./support/fault.ts";
import { mib } from "./support/figures.ts";
import { contentOf, fakeOrigin, type Image, imageOf } from "./support/images.ts";
import { randomFrom, seedOfRun } from "./support/random.ts";
import { type Resources, startSubject, type Subject } from "./support/subject.ts";
import { Ledger, mixedClient } from "./support/traffic.ts";

/** Pulls in an hour of a busy cache: one every half a second. */
const DEEDS = inForm({ short: 300, long: 7_200 });
/** Not longer, whatever was done by then. */
const LAST_MS = inForm({ short: 6_000, long: 240_000 });
const WARM_UP_SHARE = 0.25;
const CLIENTS = 8;
const REPOSITORIES = ["library/app", "library/web", "team/tool", "team/other"];
/** Caches in memory fill up as they may: manifests, links, tags, small blobs. */
const RESIDENT_GROWTH_MAX = inForm({ short: 150, long: 80 }) * 1024 * 1024;
/** Connections kept open to the upstream, and what Node opens lazily. */
const DESCRIPTOR_GROWTH_MAX = 24;
const TIMER_GROWTH_MAX = 8;

/** What it holds when nothing is under way. */
async function atRest(subject: Subject): Promise<Resources> {
  await subject.idle();
  return await subject.resources();
}

fault(
  `soak: an hour's mixed pulls, moves, ranges and aborts in a row`,
  "memory, descriptors and timers flat after the warm-up; all bytes right; store and catalog agree at the end",
  async (t) => {
    const random = randomFrom(seedOfRun());
    await using upstream = await startFakeUpstream();
    const dataDir = await tempDir(t);
    const always = [{ match: "*", revalidate: { kind: "always" } }] as const;
    const config = testConfig(dataDir, [testRegistry(upstream.url, { tags: always })]);
    const subject = await startSubject(t, config);
    const [ledger, origin] = [new Ledger(), fakeOrigin(upstream)];
    let made = 0;
    let base = contentOf(1_200_000, "base");
    const next = (repository: string): Image => {
      made += 1;
      if (made % 8 === 0) base = contentOf(1_200_000, `base ${made}`);
      return imageOf(repository, `t${made % 5}`, [base, contentOf(30_000, `own ${made}`)]);
    };
    for (const repository of REPOSITORIES) await ledger.publish(next(repository), origin);
    let [deeds, bytes] = [0, 0];
    const traffic = async (share: number) => {
      const until = performance.now() + LAST_MS * share;
      const most = deeds + DEEDS * share;
      const client = async () =>
        await mixedClient(
          {
            url: subject.url,
            ledger,
            origin,
            random: random.branch(),
            next,
            onBytes: (count) => void (bytes += count),
          },
          () => deeds++ < most && performance.now() < until,
        );
      await Promise.all(Array.from({ length: CLIENTS }, client));
    };
    await traffic(WARM_UP_SHARE);
    const before = await atRest(subject);
    await traffic(1 - WARM_UP_SHARE);
    const after = await atRest(subject);
    const growth = (of: (resources: Resources) => number) => of(after) - of(before);
    const timers = ({ active }: Resources) => active["Timeout"] ?? 0;
    const resident = growth(({ residentBytes }) => residentBytes);
    assert.ok(resident < RESIDENT_GROWTH_MAX, `resident memory grew by ${mib(resident)}`);
    const descriptors = growth(({ descriptors: open }) => open);
    assert.ok(descriptors < DESCRIPTOR_GROWTH_MAX, `${before.descriptors} -> ${after.descriptors} descriptors`);
    assert.ok(growth(timers) < TIMER_GROWTH_MAX, `timers: ${JSON.stringify([before.active, after.active])}`);
    assert.ok(deeds > CLIENTS * 4, `${deeds} deeds are too few to tell`);
    assert.equal(await subject.terminate(), 0);
    await assertNothingLeftOver(dataDir);
    const facts = await readStore(dataDir);
    assertWhole(facts);
    assertCatalogAgrees(dataDir, facts);
    t.show(`${deeds} deeds, ${mib(bytes)} to clients, ${made} images`);
    t.show(`resident ${mib(before.residentBytes)} -> ${mib(after.residentBytes)}`);
    t.show(`heap ${mib(before.heapUsedBytes)} -> ${mib(after.heapUsedBytes)}`);
    t.show(`descriptors ${before.descriptors} -> ${after.descriptors}, timers ${timers(before)} -> ${timers(after)}`);
  },
);
