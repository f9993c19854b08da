import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { testConfig, testRegistry } from "../support/cache.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { tempDir } from "../support/temp.ts";
import { assertCatalogAgrees, assertNothingLeftOver, assertWhole, readStore } from "./support/agreement.ts";
import { fault, inForm } from "./support/fault.ts";
import { mib } from "./support/figures.ts";
import { keptBytes } from "./support/folder-size.ts";
import { contentOf, fakeOrigin, type Image, imageOf } from "./support/images.ts";
import { type Random, randomFrom, seedOfRun } from "./support/random.ts";
import { ERROR_LEVEL, startSubject } from "./support/subject.ts";
import { Ledger, pullByDigest, pullByTag } from "./support/traffic.ts";

const BUDGET_BYTES = inForm({ short: 24_000_000, long: 1_000_000_000 });
/** Of each image's own layer, on the average; with 90 images they are three times the budget. */
const LAYER_BYTES = BUDGET_BYTES / 30;
const IMAGES = 90;
const BASES = 3;
const CLIENTS = 6;
const PULLS = inForm({ short: 240, long: 1_500 });
/** Not longer, whatever was pulled by then. */
const LAST_MS = inForm({ short: 15_000, long: 240_000 });
const LOOK_EVERY_MS = 20;
/** Of the pulls, how many want one of a few images that everybody wants. */
const POPULAR_SHARE = 0.5;
const POPULAR = 9;

/** Images of all sizes, some of which share a layer. */
function workingSet(random: Random): Image[] {
  const bases = Array.from({ length: BASES }, (_, at) => contentOf(Math.round(LAYER_BYTES / 2), `base ${at}`));
  return Array.from({ length: IMAGES }, (_, at) => {
    const own = contentOf(Math.round(LAYER_BYTES * (0.5 + random.below(1_000) / 1_000)), `own ${at}`);
    return imageOf(`library/app${at % 10}`, `t${at}`, [random.pick(bases), own, contentOf(2_000, `small ${at}`)]);
  });
}

for (const workers of inForm({ short: [1], long: [1, 2] })) {
  fault(
    `budget: constant traffic over a working set three times the budget (${workers === 1 ? "1 worker" : `${workers} workers`})`,
    "never over the budget, partials among it; every pull right; no held image is broken, also with the upstream gone",
    async (t) => {
      const random = randomFrom(seedOfRun());
      await using upstream = await startFakeUpstream();
      const dataDir = await tempDir(t);
      const registry = testRegistry(upstream.url, { tags: [{ match: "*", revalidate: { kind: "always" } }] });
      const config = testConfig(dataDir, [registry], { maxSizeBytes: BUDGET_BYTES, workers });
      const subject = await startSubject(t, config);
      const [ledger, origin] = [new Ledger(), fakeOrigin(upstream)];
      const images = workingSet(random);
      for (const image of images) await ledger.publish(image, origin);
      const total = images
        .flatMap(({ blobs }) => blobs)
        .reduce((sizes, one) => sizes.set(one.digest, one.bytes.length), new Map());
      const workingBytes = [...total.values()].reduce((sum, bytes) => sum + bytes, 0);
      assert.ok(workingBytes > 2.8 * BUDGET_BYTES, `a working set of ${mib(workingBytes)}`);

      const over: number[] = [];
      let [most, looks, isPulling] = [0, 0, true];
      const looking = (async () => {
        while (isPulling) {
          const bytes = await keptBytes(dataDir);
          if (bytes > BUDGET_BYTES) over.push(bytes);
          most = Math.max(most, bytes);
          looks += 1;
          await delay(LOOK_EVERY_MS);
        }
      })();
      const until = performance.now() + LAST_MS;
      let [pulls, bytes] = [0, 0];
      const client = async (own: Random) => {
        const options = {
          url: subject.url,
          ledger,
          origin,
          random: own,
          onBytes: (count: number) => void (bytes += count),
        };
        const next = (): never => assert.fail("nothing moves here");
        while (pulls++ < PULLS && performance.now() < until) {
          const isPopular = own.below(100) < POPULAR_SHARE * 100;
          const image = own.pick(isPopular ? images.slice(0, POPULAR) : images);
          await (own.below(4) === 0 ? pullByDigest : pullByTag)({ ...options, next }, image);
        }
      };
      await Promise.all(Array.from({ length: CLIENTS }, async () => await client(random.branch())));
      isPulling = false;
      await looking;
      await subject.idle();
      assert.deepEqual(over, [], `over the budget of ${BUDGET_BYTES}`);
      const held = await keptBytes(dataDir);
      assert.ok(held > BUDGET_BYTES / 2, `${mib(held)} are held, as if nothing were kept`);

      // Everything that is held was pulled whole, and must be had whole from the disk alone.
      const facts = await readStore(dataDir);
      assertWhole(facts);
      await assertNothingLeftOver(dataDir);
      await upstream.stop();
      const there = images.filter(({ repository, digest }) => facts.manifests.has(`docker.io/${repository}@${digest}`));
      assert.ok(there.length > 5, `${there.length} images are held`);
      const options = { url: subject.url, ledger, origin, random, next: (): never => assert.fail() };
      for (const image of there) await pullByDigest(options, image);
      assert.equal(there.filter((image) => ledger.committed.has(image)).length, there.length);
      const errors = (await subject.log()).filter(({ level }) => level >= ERROR_LEVEL);
      assert.deepEqual(errors, []);
      assert.equal(await subject.terminate(), 0);
      assertCatalogAgrees(dataDir, await readStore(dataDir));
      const fetched = upstream.requests.reduce((sum, { bytesSent }) => sum + bytesSent, 0);
      t.show(
        `budget ${mib(BUDGET_BYTES)}, working set ${mib(workingBytes)}, most ever kept ${mib(most)} (${looks} looks)`,
      );
      t.show(`${Math.min(pulls, PULLS)} pulls, ${mib(bytes)} to clients, ${mib(fetched)} from upstream`);
      t.show(`${there.length} of ${IMAGES} images held at the end, all whole with the upstream gone`);
    },
  );
}
