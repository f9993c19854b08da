import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { stat, utimes } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import type { Config } from "../../src/config/config.ts";
import { Origin as RealOrigin } from "../e2e/support/origin.ts";
import { Runner } from "../e2e/support/processes.ts";
import { skipReason } from "../e2e/support/tools.ts";
import { testConfig, testRegistry } from "../support/cache.ts";
import { ask } from "../support/client.ts";
import { type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { eventually } from "../support/open-files.ts";
import { tempDir, type HasAfter } from "../support/temp.ts";
import {
  assertCatalogAgrees,
  assertNothingLeftOver,
  assertWhole,
  filesBelow,
  readStore,
  type StoreFacts,
} from "./support/agreement.ts";
import { fault, type FaultTest, inForm, isLong } from "./support/fault.ts";
import { contentOf, fakeOrigin, type Image, imageOf, type Origin, pushedOrigin } from "./support/images.ts";
import { countdown, momentFrom } from "./support/killing.ts";
import { type Random, randomFrom, seedOfRun } from "./support/random.ts";
import { startSubject, type Subject } from "./support/subject.ts";
import { Ledger, mixedClient, patientClient, pullByDigest, pullByTag, type TrafficOptions } from "./support/traffic.ts";

const MIB = 1024 * 1024;
const KILLS = inForm({ short: 3, long: 50 });
/** Then a new data folder is begun, so that what must be held stays small enough to be read through each time. */
const KILLS_PER_FOLDER = 10;
const REAL_KILLS = 20;
const CLIENTS = 6;
const FRONT_LIVES_MS_MAX = 400;
const REPOSITORIES = ["library/app", "library/web", "team/tool"];
/** So slow that a kill falls in the middle of something. */
const BYTES_PER_SECOND = 16 * MIB;
const ALWAYS = [{ match: "*", revalidate: { kind: "always" } }] as const;

fault(
  `kill: ${KILLS} x kill -9 at random moments of mixed traffic`,
  "no committed image lost or wrong with the upstream down, catalog agrees with the store, nothing left over",
  async (t) => {
    const seed = seedOfRun();
    t.show(`FAULTS_SEED=${seed}`);
    const random = randomFrom(seed);
    const totals = { kills: 0, committed: 0, bytes: 0, partials: 0, resumed: 0 };
    for (let kills = 0; kills < KILLS; kills += KILLS_PER_FOLDER) {
      await using upstream = await startFakeUpstream({ bytesPerSecond: BYTES_PER_SECOND });
      const world = await createWorld(t, random.branch(), fakeOrigin(upstream));
      for (let round = 0; round < Math.min(KILLS_PER_FOLDER, KILLS - kills); round++) {
        totals.partials += await killedRound(t, world);
        totals.kills += 1;
      }
      await pulledAgain(t, world);
      totals.resumed += resumptions(upstream);
      totals.committed += world.ledger.committed.size;
      totals.bytes += world.receivedBytes;
    }
    t.show(`${totals.kills} kills, ${totals.committed} committed images kept, ${totals.partials} partials seen`);
    t.show(`${Math.round(totals.bytes / MIB)} MiB received by clients; ${totals.resumed} transfers resumed by Range`);
  },
);

if (isLong) {
  fault(
    `kill: ${REAL_KILLS} x kill -9 at random moments of mixed traffic, docker-registry as the upstream`,
    "as before",
    async (t) => {
      const seed = seedOfRun();
      t.show(`FAULTS_SEED=${seed}`);
      const runner = await Runner.create(await tempDir(t));
      const registry = await RealOrigin.start(runner);
      t.after(async () => await registry.stop());
      const world = await createWorld(t, randomFrom(seed), pushedOrigin(registry.url));
      let partials = 0;
      for (let kills = 0; kills < REAL_KILLS; kills++) partials += await killedRound(t, world);
      await pulledAgain(t, world);
      t.show(`${REAL_KILLS} kills, ${world.ledger.committed.size} committed images kept, ${partials} partials seen`);
    },
    { skip: skipReason([]) },
  );
}

const FRONTS = 3;
const FRONT_KILLS = inForm({ short: 1, long: 8 });
/** Twice the longest pause before one is started anew. */
const FRONTS_BACK_MS_MAX = 60_000;

fault(
  `kill: ${FRONT_KILLS} x kill -9 of a random front under mixed traffic`,
  "only its own connections break, another takes its place, all bytes are right, catalog agrees with the store",
  async (t) => {
    const seed = seedOfRun();
    t.show(`FAULTS_SEED=${seed}`);
    await using upstream = await startFakeUpstream({ bytesPerSecond: BYTES_PER_SECOND });
    const world = await createWorld(t, randomFrom(seed), fakeOrigin(upstream));
    const subject = await startSubject(t, { ...configOf(world, upstream.url), workers: FRONTS });
    let isOver = false;
    const clients = Array.from({ length: CLIENTS }, async () => {
      const options = { ...trafficOf(world, subject), random: world.random.branch() };
      return await patientClient(options, () => !isOver);
    });
    const traffic = Promise.all(clients);
    const killing = async () => {
      for (let kills = 0; kills < FRONT_KILLS; kills++) {
        await fronted(subject, FRONTS);
        await delay(world.random.below(FRONT_LIVES_MS_MAX));
        const front = world.random.pick(await subject.children());
        process.kill(front, "SIGKILL");
        await eventually(async () => !(await subject.children()).includes(front));
      }
      await fronted(subject, FRONTS);
    };
    await Promise.race([killing(), traffic.then(() => undefined)]);
    isOver = true;
    const ends = await traffic;
    const sum = (of: (one: (typeof ends)[number]) => number) => ends.reduce((total, one) => total + of(one), 0);
    assert.ok(subject.isAlive());
    assert.equal(await subject.terminate(), 0);
    await pulledAgain(t, world);
    const [broken, silent] = [sum((one) => one.broken), sum((one) => one.silent)];
    // Node's cluster loses a connection that it hands to a process which dies before it has taken it.
    assert.ok(silent <= FRONT_KILLS * CLIENTS, `${silent} deeds heard nothing any more`);
    t.show(`${broken} deeds broke off, ${silent} heard nothing any more, none got wrong bytes`);
  },
);

/** Waits until so many fronts live. */
async function fronted(subject: Subject, count: number): Promise<void> {
  const giveUpAtMs = performance.now() + FRONTS_BACK_MS_MAX;
  while ((await subject.children()).length < count) {
    assert.ok(performance.now() < giveUpAtMs, `never ${count} fronts again`);
    await delay(50);
  }
}

interface World {
  readonly dataDir: string;
  readonly origin: Origin;
  readonly random: Random;
  readonly ledger: Ledger;
  readonly next: (repository: string) => Image;
  receivedBytes: number;
}

async function createWorld(t: HasAfter, random: Random, origin: Origin): Promise<World> {
  const ledger = new Ledger();
  let made = 0;
  // Every second image builds on the latest common base: layers are shared between repositories and versions.
  const next = (repository: string): Image => {
    made += 1;
    const base = contentOf(3 * MIB, `base ${random.seed} ${Math.floor(made / 4)}`);
    const own = [contentOf(200_000, `own ${random.seed} ${made}`), contentOf(2_000, `small ${random.seed} ${made}`)];
    return imageOf(repository, "1", [base, ...own]);
  };
  const world = { dataDir: await tempDir(t), origin, random, ledger, next, receivedBytes: 0 };
  for (const repository of REPOSITORIES) await ledger.publish(next(repository), origin);
  return world;
}

/** Traffic, a kill, then the proof with the upstream down; gives the number of partials that the kill left. */
async function killedRound(t: FaultTest, world: World): Promise<number> {
  // Something new in each round, or there would soon be nothing left to be written.
  for (const repository of REPOSITORIES) await world.ledger.publish(world.next(repository), world.origin);
  // In the long form half of the kills hit an owner behind whom fronts answer.
  const workers = isLong ? world.random.pick([1, FRONTS]) : 1;
  const subject = await startSubject(t, { ...configOf(world, world.origin.url), workers });
  const moment = momentFrom(world.random);
  const counting = await countdown(moment, world.dataDir);
  let isKilled = false;
  const onBytes = (count: number) => {
    world.receivedBytes += count;
    counting.onBytes(count);
  };
  const clients = Array.from({ length: CLIENTS }, async () => {
    const options = { ...trafficOf(world, subject), random: world.random.branch(), onBytes };
    await mixedClient(options, () => !isKilled);
  });
  const traffic = Promise.all(clients);
  // A client that got something wrong ends the round at once.
  await Promise.race([counting.come, traffic]);
  isKilled = true;
  const fronts = await subject.children();
  await subject.kill();
  // Fronts end with their owner, and not one of them answers for it.
  await eventually(async () => fronts.every((pid) => !existsSync(`/proc/${pid}`)));
  counting.close();
  await traffic;
  const partials = (await filesBelow(join(world.dataDir, "spool"))).filter((path) => !path.endsWith(".json"));
  await assertKept(t, world);
  return partials.length;
}

/** What was committed is served with nobody to ask, and store and catalog tell the same. */
async function assertKept(t: FaultTest, world: World): Promise<void> {
  const subject = await startSubject(t, configOf(world, await closedUrl()));
  const options = trafficOf(world, subject);
  for (const image of world.ledger.heldTags) {
    const manifest = await ask(`${subject.url}/v2/${image.repository}/manifests/${image.tag}`);
    assert.equal(manifest.status, 200, `${image.repository}:${image.tag}, which was held before the kill`);
    const now = world.ledger.find(image.repository, String(manifest.headers["docker-content-digest"]));
    world.ledger.assertNotBefore(now, world.ledger.heldPlace(image));
  }
  for (const image of world.ledger.committed) await pullByDigest(options, image);
  await subject.idle();
  const facts = await readStore(world.dataDir);
  // A blob whose link the kill prevented is linked by the next pull, so that not all need be linked yet.
  assertNothingWrong(facts);
  assertCatalogAgrees(world.dataDir, facts);
  await subject.kill();
}

function assertNothingWrong(facts: StoreFacts): void {
  const links = [...facts.manifests, ...facts.layers];
  const linked = new Set(links.map((link) => link.slice(link.lastIndexOf("@") + 1)));
  assertWhole({ ...facts, blobs: new Set([...facts.blobs].filter((digest) => linked.has(digest))) });
}

/** With the upstream back everything that ever was can be pulled, and nothing half-done remains. */
async function pulledAgain(t: FaultTest, world: World): Promise<void> {
  const subject = await startSubject(t, configOf(world, world.origin.url));
  const options = trafficOf(world, subject);
  for (const image of world.ledger.latest) await pullByTag(options, image);
  for (const image of world.ledger.images) await pullByDigest(options, image);
  await subject.idle();
  await assertNothingLeftOver(world.dataDir);
  assert.equal(await subject.terminate(), 0);
  const facts = await readStore(world.dataDir);
  assertWhole(facts);
  assertCatalogAgrees(world.dataDir, facts);
}

function trafficOf({ ledger, origin, random, next }: World, { url }: Subject): TrafficOptions {
  return { url, ledger, origin, random, next };
}

function configOf({ dataDir }: Pick<World, "dataDir">, upstreamUrl: string): Config {
  return testConfig(dataDir, [testRegistry(upstreamUrl, { tags: ALWAYS })]);
}

/** A port on which nobody listens. */
async function closedUrl(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return `http://127.0.0.1:${address.port}`;
}

/** This upstream never breaks off by itself. */
function resumptions({ requests }: FakeUpstream): number {
  return requests.filter(({ headers }) => headers.range !== undefined).length;
}

/** A killed cache's partial of a blob, as much of it as was held back by upstream. */
async function leavePartial(t: FaultTest, upstream: FakeUpstream, dataDir: string) {
  const layer = contentOf(4 * MIB, "partial");
  const image = imageOf("library/app", "1", [layer]);
  await fakeOrigin(upstream).publish(image);
  const heldUp = Promise.withResolvers<void>();
  t.after(async () => heldUp.resolve());
  upstream.script({ path: layer.digest, method: "GET" }, { kind: "hold", atByte: 3 * MIB, until: heldUp.promise });
  const subject = await startSubject(t, configOf({ dataDir }, upstream.url));
  const pulling = ask(`${subject.url}/v2/library/app/blobs/${layer.digest}`).catch(() => undefined);
  const spool = join(dataDir, "spool", layer.digest.replace(":", "-"));
  await eventually(async () => ((await stat(spool).catch(() => undefined))?.size ?? 0) > 2 * MIB);
  await subject.kill();
  heldUp.resolve();
  await pulling;
  return { image, layer, spool, bytes: (await stat(spool)).size };
}

fault("kill: a partial after kill -9", "resumed by Range from its last byte, and the bytes are right", async (t) => {
  await using upstream = await startFakeUpstream();
  const dataDir = await tempDir(t);
  const { layer, bytes } = await leavePartial(t, upstream, dataDir);
  const subject = await startSubject(t, configOf({ dataDir }, upstream.url));
  const before = upstream.requests.length;
  const answer = await ask(`${subject.url}/v2/library/app/blobs/${layer.digest}`);
  assert.ok(answer.body.equals(layer.bytes));
  const asked = upstream.requests
    .slice(before)
    .filter(({ path, method }) => path.includes("/blobs/") && method === "GET");
  assert.deepEqual(
    asked.map(({ headers }) => headers.range),
    [`bytes=${bytes}-`],
  );
  await subject.idle();
  await assertNothingLeftOver(dataDir);
  assertWhole(await readStore(dataDir));
  t.show(`${bytes} of ${layer.bytes.length} bytes were not fetched again`);
});

fault("kill: a partial that nobody wants for a day", "reaped at the next start", async (t) => {
  await using upstream = await startFakeUpstream();
  const dataDir = await tempDir(t);
  const { spool } = await leavePartial(t, upstream, dataDir);
  const yesterday = new Date(Date.now() - 25 * 60 * 60 * 1000);
  await utimes(spool, yesterday, yesterday);
  const subject = await startSubject(t, configOf({ dataDir }, upstream.url));
  await assertNothingLeftOver(dataDir);
  assert.equal(await subject.terminate(), 0);
});
