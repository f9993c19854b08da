import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import * as fc from "fast-check";
import { asTag, digest, nginx, record } from "../../../test/contracts/catalog/samples.ts";
import { prove } from "../../../test/support/property.ts";
import type { Catalog } from "../../catalog/catalog.ts";
import { CatalogError } from "../../catalog/errors.ts";
import { IN_MEMORY, openSqliteCatalog } from "../../catalog/sqlite.ts";
import { RegistryError } from "../../oci/errors.ts";
import { ClientGone } from "../../server/access-log.ts";
import type { RequestFacts } from "../../server/request-facts.ts";
import { COUNTED_OUTCOMES, type CountedOutcome, MS_PER_DAY, RequestSums } from "../../server/request-sums.ts";
import { Counters, dayText } from "./counters.ts";
import type { Counts, RegistryCounts } from "./counts.ts";
import { createCounting } from "./create.ts";

const REGISTRIES = [
  { id: "dockerhub", serves: "docker.io" },
  { id: "ghcr", serves: "ghcr.io" },
];
const QUIET = { error: () => undefined };

async function newCatalog(t: TestContext): Promise<Catalog> {
  const catalog = await openSqliteCatalog(IN_MEMORY, { now: () => 4 * MS_PER_DAY });
  t.after(async () => await catalog.close());
  return catalog;
}

const PULL: RequestFacts = {
  atMs: 0,
  method: "GET",
  endpoint: "manifest",
  registry: "dockerhub",
  repository: "library/nginx",
  reference: "latest",
  outcome: "hit",
  status: 200,
  bytes: 100,
  isWhole: true,
  firstByteMs: 1,
  durationMs: 2,
  principal: undefined,
  client: "10.0.0.1",
};

interface Finished {
  readonly facts: RequestFacts;
  readonly error: unknown;
}

function note(sums: RequestSums, { facts, error }: Finished): void {
  sums.note(facts, { manifest: digest("m"), notes: { bytes: facts.bytes, error } });
}

/** The counter's own words, by a rule that is written down once more. */
function expectedOutcome({ facts: { status, outcome }, error }: Finished): CountedOutcome {
  if (status !== undefined && status >= 400) return status >= 500 ? "failed" : "refused";
  if (status !== undefined && error !== undefined && !(error instanceof ClientGone)) return "failed";
  if (outcome === undefined) return "other";
  return (outcome.startsWith("stale") ? "stale" : outcome) as CountedOutcome;
}

function expectedTotal(all: readonly Finished[], registryId: string) {
  const requests = Object.fromEntries(COUNTED_OUTCOMES.map((one) => [one, 0]));
  const bytesServed = { ...requests };
  const sums = { bytesSaved: 0, pulls: 0, pullsSaved: 0 };
  for (const one of all) {
    const { facts } = one;
    if (facts.registry !== registryId) continue;
    const outcome = expectedOutcome(one);
    requests[outcome] = (requests[outcome] ?? 0) + 1;
    bytesServed[outcome] = (bytesServed[outcome] ?? 0) + facts.bytes;
    const isSaved = /^(?:hit|revalidated|stale|joined|quarantined)$/.test(outcome);
    const isPull = facts.endpoint === "manifest" && facts.method === "GET" && facts.status === 200;
    if (isSaved) sums.bytesSaved += facts.bytes;
    if (isPull) sums.pulls += 1;
    if (isPull && isSaved) sums.pullsSaved += 1;
  }
  return { requests, bytesServed, ...sums };
}

function requestsOf(counted: readonly RegistryCounts[], registryId: string) {
  const { requests, bytesServed, bytesSaved, pulls, pullsSaved } =
    counted.find((one) => one.registryId === registryId)?.counts ?? ({} as Partial<Counts>);
  return requests === undefined ? undefined : { requests, bytesServed, bytesSaved, pulls, pullsSaved };
}

const finished = fc.record({
  facts: fc.record({
    atMs: fc.nat(3).map((day) => day * MS_PER_DAY + 5),
    method: fc.constantFrom("GET", "HEAD"),
    endpoint: fc.constantFrom("manifest", "blob", "ping", undefined),
    registry: fc.constantFrom("dockerhub", "ghcr", undefined),
    outcome: fc.constantFrom("hit", "stale-slow", "miss", "joined", "unkept", "revalidated", "quarantined", undefined),
    status: fc.constantFrom(200, 206, 304, 404, 416, 429, 500, 503, undefined),
    bytes: fc.nat(1_000_000),
  }),
  error: fc.constantFrom(
    undefined,
    new ClientGone("left"),
    new RegistryError(404, "NAME_UNKNOWN", "x"),
    new Error("x"),
  ),
});

/** What else happens between two requests. */
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("request"), finished, front: fc.nat(2) }) },
  fc.record({ kind: fc.constant("tell"), front: fc.nat(2) }),
  fc.record({ kind: fc.constantFrom("flush", "full disk", "restart", "look") }),
);

suite("counters", () => {
  test("any split of the same requests over fronts, writes, failed writes and restarts gives the same sums", async () => {
    await prove(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const catalog = await openSqliteCatalog(IN_MEMORY, { now: () => 4 * MS_PER_DAY });
        let isFull = false;
        const failing = failingCatalog(catalog, () => isFull);
        const fronts = [new RequestSums(), new RequestSums(), new RequestSums()];
        const all: Finished[] = [];
        let counters = new Counters({ catalog: failing, registries: REGISTRIES, log: QUIET });
        const tell = (front = 0) => counters.hear(structuredClone(fronts[front]?.take() as never));
        for (const one of steps) {
          if (one.kind === "request" && "finished" in one) {
            const whole = { ...one.finished, facts: { ...PULL, ...one.finished.facts } };
            all.push(whole);
            note(fronts[one.front] as RequestSums, whole);
          } else if (one.kind === "tell" && "front" in one) tell(one.front);
          else if (one.kind === "flush") await counters.flush();
          else if (one.kind === "full disk") {
            isFull = true;
            await counters.flush();
            isFull = false;
          } else if (one.kind === "restart") {
            await counters.stop();
            counters = new Counters({ catalog: failing, registries: REGISTRIES, log: QUIET });
          } else await Promise.all([counters.total(), counters.flush(), counters.byDay("1970-01-01", "1970-01-09")]);
        }
        for (const front of [0, 1, 2]) tell(front);
        const total = await counters.total();
        const days = await counters.byDay("1970-01-01", "1970-01-09");
        for (const { id } of REGISTRIES) {
          const expected = all.some(({ facts }) => facts.registry === id) ? expectedTotal(all, id) : undefined;
          assert.deepEqual(requestsOf(total, id), expected);
          for (const day of [0, 1, 2, 3]) {
            const ofDay = all.filter(({ facts }) => Math.floor(facts.atMs / MS_PER_DAY) === day);
            const told = days.find((one) => one.day === dayText(day))?.registries ?? [];
            const isThere = ofDay.some(({ facts }) => facts.registry === id);
            assert.deepEqual(requestsOf(told, id), isThere ? expectedTotal(ofDay, id) : undefined);
          }
        }
        await catalog.close();
      }),
    );
  });

  test("what upstream sends, fills and evictions are counted on the day of it", async (t) => {
    const clock = { ms: 3 * MS_PER_DAY - 1 };
    const counters = new Counters({
      catalog: await newCatalog(t),
      registries: REGISTRIES,
      log: QUIET,
      now: () => clock.ms,
    });
    counters.observer.received?.("ghcr", "blob", 1_000);
    counters.fill("ghcr", "begun");
    clock.ms += 1;
    counters.observer.received?.("ghcr", "blob", 24);
    counters.fill("ghcr", "done");
    await counters.flush();
    counters.observer.received?.("ghcr", "manifest", 5);
    counters.evicted("ghcr", 2, 77);
    const days = await counters.byDay("1970-01-01", "1970-01-09");
    const told = days.map(({ day, registries }) => {
      assert.ok(registries[0] !== undefined);
      const { bytesFetched, fills, evictions, bytesEvicted } = registries[0].counts;
      return [day, bytesFetched, fills.begun, fills.done, evictions, bytesEvicted];
    });
    assert.deepEqual(told, [
      ["1970-01-03", 1_000, 1, 0, 0, 0],
      ["1970-01-04", 29, 0, 1, 2, 77],
    ]);
    const [ghcr] = await counters.total();
    assert.deepEqual([ghcr?.registryId, ghcr?.counts.bytesFetched], ["ghcr", 1_029]);
  });

  test("a question for a day that is none is refused", async (t) => {
    const counters = new Counters({ catalog: await newCatalog(t), registries: REGISTRIES, log: QUIET });
    for (const bad of ["", "2026-1-1", "2026-13-01", "yesterday"])
      await assert.rejects(counters.byDay(bad, "2026-01-01"), RangeError);
  });

  test("an image knows who has pulled it: users by name, others by address", async (t) => {
    const catalog = await newCatalog(t);
    await catalog.recordManifest(record(nginx, "m"));
    await catalog.recordTag(nginx, asTag("latest"), digest("m"), 1);
    const counting = createCounting({ catalog, registries: REGISTRIES, log: QUIET });
    const heard: number[] = [];
    counting.listen(({ requests }) => heard.push(...requests.map((sum) => sum.requests)));
    const pull = (more: Partial<RequestFacts>) =>
      counting.onRequest({ ...PULL, ...more }, { manifest: digest("m"), notes: { bytes: 0 } } as never);
    pull({ atMs: 10 });
    pull({ atMs: 20, principal: "ann" });
    pull({ atMs: 15, principal: "ann", reference: digest("m") });
    for (const none of [{ status: 304 }, { method: "HEAD" }, { endpoint: "blob" }, { status: 404 }]) pull(none);
    await counting.counters.flush();
    assert.equal(
      heard.reduce((sum, one) => sum + one, 0),
      7,
    );
    const [image] = await catalog.images({ limit: 1 });
    assert.deepEqual([image?.pulls, image?.lastPulledAtMs, image?.tags[0]?.pulls], [3, 20, 2]);
    assert.deepEqual((await catalog.pullersOf([image?.id ?? 0], 9)).get(image?.id ?? 0), [
      { name: "ann", pulls: 2, lastPulledAtMs: 20 },
      { name: "10.0.0.1", pulls: 1, lastPulledAtMs: 10 },
    ]);
  });
});

/** While the disk is full nothing is written. */
function failingCatalog(catalog: Catalog, isFull: () => boolean): Catalog {
  return new Proxy(catalog, {
    get: (target, name) => {
      if (name === "addCounts" && isFull()) return async () => Promise.reject(new CatalogError("full", "no room"));
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
