import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import type { Config } from "../../src/config/config.ts";
import { importImages, type ImportRequest } from "../../src/import.ts";
import { ImportTally } from "../../src/upkeep/import/report.ts";
import { testConfig, testRegistry } from "../support/cache.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import type { FakeImage } from "../support/fake-upstream/types.ts";
import { addToVolume, layoutFiles, tarOf } from "../support/foreign.ts";
import { importAndDie } from "../support/import-process.ts";
import { tempDir } from "../support/temp.ts";
import { assertCatalogAgrees, assertNothingLeftOver, assertWhole, readStore } from "./support/agreement.ts";
import { fault, type FaultTest, inForm } from "./support/fault.ts";
import { randomFrom, seedOfRun } from "./support/random.ts";
import { mountObstacle, smallDisk } from "./support/small-disk.ts";

const MIB = 1024 * 1024;
const KILLS = inForm({ short: 4, long: 40 });
const IMAGES = 12;
const LAYERS = [2 * MIB, MIB, 50_000];
/** A kill falls somewhere in the first images that are left, or in what is written of them. */
const BYTES_MAX = 4 * MIB;
const MS_MAX = 30;

interface Prepared {
  readonly images: readonly FakeImage[];
  readonly folder: string;
  /** The same images as links would be taken from it, and as they have to be copied. */
  readonly requests: readonly ImportRequest[];
  config(dataDir: string): Config;
}

async function prepared(t: FaultTest): Promise<Prepared> {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  const folder = await tempDir(t);
  const tags = Array.from({ length: IMAGES }, (_, at) => `v${at}`);
  const images = tags.map((tag) => upstream.addImage("library/app", tag, { layers: LAYERS }));
  const volume = join(folder, "volume");
  for (const [at, image] of images.entries()) await addToVolume(volume, "library/app", tags[at], image);
  const named = images.map((image, at) => ({
    image,
    annotations: { "org.opencontainers.image.ref.name": `docker.io/library/app:${tags[at]}` },
  }));
  const tar = join(folder, "images.tar");
  await writeFile(tar, tarOf(layoutFiles(named)));
  const request = { registryId: undefined, as: undefined, openness: "ask" } as const;
  return {
    images,
    folder,
    requests: [
      { ...request, path: volume, registryId: "dockerhub" },
      { ...request, path: tar },
    ],
    config: (dataDir) => testConfig(dataDir, [testRegistry(upstream.url, { sharedRepositories: [] })]),
  };
}

async function imported(config: Config, request: ImportRequest): Promise<void> {
  await importImages(config, request, {
    log: pino({ level: "silent" }),
    signal: new AbortController().signal,
    tally: new ImportTally(),
    onPlan: () => undefined,
    onCatalog: () => undefined,
  });
}

/** What is visible is right, and leads nowhere where nothing is. */
async function assertNothingHalf(dataDir: string): Promise<number> {
  const { wrong, blobs, layers, manifests, tags } = await readStore(dataDir);
  assert.deepEqual(wrong, []);
  for (const link of [...layers, ...manifests]) assert.ok(blobs.has(link.slice(link.lastIndexOf("@") + 1)), link);
  for (const [tag, digest] of tags) assert.ok(manifests.has(`docker.io/library/app@${digest}`), tag);
  return blobs.size;
}

async function assertAllThere(dataDir: string): Promise<void> {
  const facts = await readStore(dataDir);
  assertWhole(facts);
  assert.equal(facts.tags.size, IMAGES);
  assertCatalogAgrees(dataDir, facts);
  await assertNothingLeftOver(dataDir);
}

fault(
  `kill: ${KILLS} x kill -9 at random moments of imports`,
  "nothing half-written is visible, the next run goes on, in the end all is there and in the catalog",
  async (t) => {
    const seed = seedOfRun();
    t.show(`FAULTS_SEED=${seed}`);
    const random = randomFrom(seed);
    const its = await prepared(t);
    const seen: number[] = [];
    let kills = 0;
    for (const [at, request] of its.requests.entries()) {
      const dataDir = join(its.folder, `data-${at}`);
      for (let runs = 0; runs < KILLS / its.requests.length; runs += 1) {
        const death = { bytes: 1 + random.below(BYTES_MAX), ms: random.below(MS_MAX) };
        if (await importAndDie(its.config(dataDir), request, death)) kills += 1;
        seen.push(await assertNothingHalf(dataDir));
      }
      await imported(its.config(dataDir), request);
      await assertAllThere(dataDir);
    }
    t.show(`${kills} kills; blobs there after each run: ${seen.join(", ")}`);
    assert.ok(kills > 0);
  },
);

fault(
  "disk: full in the middle of an import",
  "stops with a word, what was taken stays whole, the next run goes on once there is room",
  async (t) => {
    const its = await prepared(t);
    const disk = await smallDisk(t, { kind: "tmpfs", bytes: 64 * MIB });
    const [, tar] = its.requests as [ImportRequest, ImportRequest];
    const free = await disk.freeBytes();
    const config = { ...its.config(disk.folder), minFreeDiskBytes: free - 12 * MIB };
    await assert.rejects(imported(config, tar), { name: "NoRoomError" });
    const there = await assertNothingHalf(disk.folder);
    t.show(`${there} blobs were there`);
    assert.ok(there > 0);
    disk.fill();
    await assert.rejects(imported(its.config(disk.folder), tar));
    await assertNothingHalf(disk.folder);
    await disk.makeRoom();
    await imported(its.config(disk.folder), tar);
    await assertAllThere(disk.folder);
  },
  { skip: mountObstacle() },
);
