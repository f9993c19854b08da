import assert from "node:assert/strict";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { testConfig, testRegistry } from "../support/cache.ts";
import { type Answer, ask } from "../support/client.ts";
import { type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { eventually } from "../support/open-files.ts";
import { tempDir } from "../support/temp.ts";
import { assertCatalogAgrees, assertNothingLeftOver, assertWhole, readStore } from "./support/agreement.ts";
import { DAMAGES, type Damage, flipBit } from "./support/damage.ts";
import { fault, type FaultTest, inForm, isLong } from "./support/fault.ts";
import { type Content, contentOf, fakeOrigin, type Image, imageOf } from "./support/images.ts";
import { randomFrom, seedOfRun } from "./support/random.ts";
import { ERROR_LEVEL, startSubject, type Subject } from "./support/subject.ts";
import { isHit } from "./support/traffic.ts";

const MIB = 1024 * 1024;
const REPOSITORY = "library/app";
/** Kept in memory, hashed before the first byte, hashed beside the readers. */
const SIZES = inForm<readonly number[]>({
  short: [50_000, 3 * MIB, 9 * MIB],
  long: [1, 50_000, 3 * MIB, 9 * MIB, 40 * MIB],
});
const READERS = 3;

interface World {
  readonly upstream: FakeUpstream;
  readonly dataDir: string;
  start(): Promise<Subject>;
}

interface Case {
  readonly blob: Content;
  readonly damage: Damage;
}

async function createWorld(t: FaultTest): Promise<World> {
  const [upstream, dataDir] = [await startFakeUpstream(), await tempDir(t)];
  t.after(async () => await upstream[Symbol.asyncDispose]());
  const config = testConfig(dataDir, [testRegistry(upstream.url)]);
  return { upstream, dataDir, start: async () => await startSubject(t, config) };
}

/** One blob for each size and damage, all in one image, so that their sizes are known. */
async function heldCases(world: World, subject: Subject, tag: string): Promise<{ image: Image; cases: Case[] }> {
  const cases = SIZES.flatMap((size, which) =>
    DAMAGES.filter((_, index) => isLong || (which + index) % 2 === 0).map((damage): Case => ({
      blob: contentOf(size, `${tag} ${size} ${damage.name}`),
      damage,
    })),
  ).filter(({ blob }, index, all) => all.findIndex((one) => one.blob.digest === blob.digest) === index);
  const image = imageOf(
    REPOSITORY,
    tag,
    cases.map(({ blob }) => blob),
  );
  await fakeOrigin(world.upstream).publish(image);
  await get(subject, `manifests/${tag}`);
  for (const { blob } of cases) assertRight(await get(subject, `blobs/${blob.digest}`), blob);
  await subject.idle();
  return { image, cases };
}

async function get({ url }: Subject, path: string, headers: Record<string, string> = {}): Promise<Answer> {
  return await ask(`${url}/v2/${REPOSITORY}/${path}`, { headers });
}

function dataOf({ dataDir }: World, digest: string): string {
  const [algorithm = "", hex = ""] = digest.split(":");
  return join(dataDir, "docker/registry/v2/blobs", algorithm, hex.slice(0, 2), hex, "data");
}

function linkOf({ dataDir }: World, ...path: string[]): string {
  return join(dataDir, "docker/registry/v2/repositories/docker.io", REPOSITORY, ...path, "link");
}

function assertRight(answer: Answer, { digest, bytes }: Content, about = ""): void {
  assert.equal(answer.status, 200, `${digest} ${about}: ${answer.body.subarray(0, 300).toString()}`);
  assert.ok(answer.isWhole && answer.body.equals(bytes), `${digest} ${about}: ${answer.body.length} bytes`);
}

/** A whole body that is not the right one is the one thing that must never come. */
function assertNeverWrong(answer: Answer, right: Buffer, about: string): void {
  const isGiven = answer.isWhole && (answer.status === 200 || answer.status === 206);
  assert.ok(!isGiven || answer.body.equals(right), `${about}: complete and wrong`);
}

async function reported(subject: Subject): Promise<ReadonlySet<string>> {
  const errors = (await subject.log()).filter(({ level }) => level >= ERROR_LEVEL);
  return new Set(errors.flatMap(({ digest }) => digest ?? []));
}

/** Readers at once, of the whole and of a part: none is given wrong bytes. The next request has the right ones. */
async function assertHealed(subject: Subject, { blob, damage }: Case): Promise<void> {
  const path = `blobs/${blob.digest}`;
  const about = `${blob.bytes.length} bytes, ${damage.name}`;
  const half = Math.floor(blob.bytes.length / 2);
  const [part, ...wholes] = await Promise.all([
    get(subject, path, { range: `bytes=${half}-` }),
    ...Array.from({ length: READERS }, async () => await get(subject, path)),
  ]);
  assertNeverWrong(part, blob.bytes.subarray(half), `${about}, second half`);
  for (const answer of wholes) assertNeverWrong(answer, blob.bytes, about);
  assertRight(await get(subject, path), blob, about);
}

async function assertStoreMended(world: World, subject: Subject): Promise<void> {
  await subject.idle();
  const facts = await readStore(world.dataDir);
  assertWhole(facts);
  assertCatalogAgrees(world.dataDir, facts);
  await assertNothingLeftOver(world.dataDir);
}

fault(
  "bits: blobs damaged while the cache was stopped",
  "never given out complete and wrong; reported; fetched anew by the next request; the store is whole again",
  async (t) => {
    const world = await createWorld(t);
    const first = await world.start();
    const { cases } = await heldCases(world, first, "1");
    assert.equal(await first.terminate(), 0);
    for (const { blob, damage } of cases) await damage.to(dataOf(world, blob.digest));
    const subject = await world.start();
    for (const one of cases) await assertHealed(subject, one);
    const found = await reported(subject);
    for (const { blob, damage } of cases) assert.ok(found.has(blob.digest), `${damage.name} is reported`);
    await assertStoreMended(world, subject);
    t.show(`${cases.length} damaged (sizes ${SIZES.join(", ")} bytes): ${found.size} found and healed`);
  },
);

fault(
  "bits: blobs damaged while the cache serves them",
  "what is in memory stays right; the rest is found on read, reported and fetched anew",
  async (t) => {
    const world = await createWorld(t);
    const subject = await world.start();
    const { cases } = await heldCases(world, subject, "1");
    for (const { blob, damage } of cases) await damage.to(dataOf(world, blob.digest));
    for (const one of cases) await assertHealed(subject, one);
    const found = await reported(subject);
    for (const { blob, damage } of cases) {
      if (blob.bytes.length > MIB) assert.ok(found.has(blob.digest), `${blob.bytes.length}, ${damage.name}`);
    }
    t.show(`${found.size} of ${cases.length} found and healed, none given out wrong`);
  },
);

fault(
  "bits: damaged blobs with the upstream away",
  "an error or a broken connection, never wrong bytes; whole blobs are served; healed when upstream is back",
  async (t) => {
    const world = await createWorld(t);
    const first = await world.start();
    const { cases } = await heldCases(world, first, "1");
    const sound = imageOf(REPOSITORY, "sound", [contentOf(2 * MIB, "sound")]);
    await fakeOrigin(world.upstream).publish(sound);
    const [soundBlob] = sound.blobs.slice(1) as [Content];
    assertRight(await get(first, "manifests/sound"), sound);
    assertRight(await get(first, `blobs/${soundBlob.digest}`), soundBlob);
    await first.idle();
    assert.equal(await first.terminate(), 0);
    for (const { blob, damage } of cases) await damage.to(dataOf(world, blob.digest));
    await world.upstream.stop();
    const away = await world.start();
    for (const { blob, damage } of cases) {
      for (let times = 0; times < 2; times++) {
        const answer = await get(away, `blobs/${blob.digest}`);
        assert.ok(
          answer.status !== 200 || !answer.isWhole,
          `${blob.bytes.length} bytes, ${damage.name}: ${answer.status}`,
        );
      }
    }
    assert.ok(isHit(await get(away, `blobs/${soundBlob.digest}`)));
    assert.equal(await away.terminate(), 0);
    await world.upstream.restart();
    const back = await world.start();
    for (const one of cases) await assertHealed(back, one);
    await assertStoreMended(world, back);
    t.show(`${cases.length} damaged blobs: 0 wrong bodies, all healed`);
  },
);

fault(
  "bits: a damaged manifest",
  "never given out; reported; fetched anew; an error with the upstream away",
  async (t) => {
    const world = await createWorld(t);
    const first = await world.start();
    const images = DAMAGES.map(({ name }, index) => imageOf(REPOSITORY, `v${index}`, [contentOf(10, name)]));
    for (const image of images) {
      await fakeOrigin(world.upstream).publish(image);
      assertRight(await get(first, `manifests/${image.tag}`), image);
    }
    assert.equal(await first.terminate(), 0);
    for (const [index, image] of images.entries()) await (DAMAGES[index] as Damage).to(dataOf(world, image.digest));
    await world.upstream.stop();
    const away = await world.start();
    for (const image of images) {
      for (const reference of [image.tag, image.digest]) {
        const { status } = await get(away, `manifests/${reference}`);
        assert.ok(status >= 500, `${reference}: ${status}`);
      }
    }
    assert.equal(await away.terminate(), 0);
    await world.upstream.restart();
    const subject = await world.start();
    for (const image of images) assertRight(await get(subject, `manifests/${image.tag}`), image);
    for (const image of images) assert.ok(isHit(await get(subject, `manifests/${image.digest}`)));
    const found = await reported(subject);
    for (const { digest } of images) assert.ok(found.has(digest));
    await subject.idle();
    assert.deepEqual((await readStore(world.dataDir)).wrong, []);
    t.show(`${images.length} damages: all reported and healed`);
  },
);

fault("bits: damaged links and tags", "never lead to other content; made anew with upstream's word", async (t) => {
  const world = await createWorld(t);
  const cases = DAMAGES.map((damage, index) => {
    const image = imageOf(REPOSITORY, `v${index}`, [contentOf(5_000, damage.name)]);
    const layer = image.blobs[1] as Content;
    const hexOf = ({ digest }: Content) => digest.slice("sha256:".length);
    const links = [
      linkOf(world, "_manifests/revisions/sha256", hexOf(image)),
      linkOf(world, "_layers/sha256", hexOf(layer)),
      linkOf(world, "_manifests/tags", image.tag, "current"),
    ];
    return { damage, image, layer, links };
  });
  const first = await world.start();
  for (const { image } of cases) {
    await fakeOrigin(world.upstream).publish(image);
    assertRight(await get(first, `manifests/${image.tag}`), image);
    for (const blob of image.blobs) assertRight(await get(first, `blobs/${blob.digest}`), blob);
  }
  assert.equal(await first.terminate(), 0);
  for (const { damage, links } of cases) for (const link of links) await damage.to(link);
  const subject = await world.start();
  for (const { damage, image, layer, links } of cases) {
    assertRight(await get(subject, `manifests/${image.tag}`), image, damage.name);
    assertRight(await get(subject, `manifests/${image.digest}`), image, damage.name);
    assertRight(await get(subject, `blobs/${layer.digest}`), layer, damage.name);
    await subject.idle();
    for (const link of links) assert.match(await readFile(link, "utf8"), /^sha256:[0-9a-f]{64}$/, damage.name);
  }
  const facts = await readStore(world.dataDir);
  assertWhole(facts);
  t.show(`${cases.length * 3} links of 3 kinds healed`);
});

fault("bits: a damaged partial", "never finished to a wrong blob; begun anew", async (t) => {
  const world = await createWorld(t);
  const blob = contentOf(4 * MIB, "partial");
  world.upstream.addBlob(REPOSITORY, blob.bytes);
  const held = Promise.withResolvers<void>();
  t.after(async () => held.resolve());
  world.upstream.script({ path: blob.digest }, { kind: "hold", atByte: 3 * MIB, until: held.promise });
  const first = await world.start();
  const reading = get(first, `blobs/${blob.digest}`).catch(() => undefined);
  const spool = join(world.dataDir, "spool", blob.digest.replace(":", "-"));
  await eventually(async () => ((await stat(spool).catch(() => undefined))?.size ?? 0) > 2 * MIB);
  await first.kill();
  held.resolve();
  await reading;
  await flipBit(spool, MIB);
  const subject = await world.start();
  assertNeverWrong(await get(subject, `blobs/${blob.digest}`), blob.bytes, "resumed over a flipped bit");
  assertRight(await get(subject, `blobs/${blob.digest}`), blob);
  await assertMendedBlob(world, subject, blob);
});

async function assertMendedBlob(world: World, subject: Subject, blob: Content): Promise<void> {
  await subject.idle();
  await assertNothingLeftOver(world.dataDir);
  const facts = await readStore(world.dataDir);
  assert.deepEqual(facts.wrong, []);
  assert.ok(facts.blobs.has(blob.digest));
}

const CATALOG_FLIPS = inForm({ short: 1, long: 40 });

fault("bits: flipped in the catalog", "it starts and serves what is held whatever the catalog says", async (t) => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  const world = await createWorld(t);
  const image = imageOf(REPOSITORY, "1", [contentOf(300_000, "catalog")]);
  await fakeOrigin(world.upstream).publish(image);
  const catalog = join(world.dataDir, "catalog.sqlite");
  const first = await world.start();
  await get(first, "manifests/1");
  for (const { digest } of image.blobs) await get(first, `blobs/${digest}`);
  await first.idle();
  assert.equal(await first.terminate(), 0);
  const sound = await readFile(catalog);
  for (let flips = 0; flips < CATALOG_FLIPS; flips++) {
    await writeFile(catalog, sound);
    await flipBit(catalog, random.below(sound.length));
    const subject = await world.start();
    assertRight(await get(subject, "manifests/1"), image);
    for (const blob of image.blobs) assertRight(await get(subject, `blobs/${blob.digest}`), blob);
    await subject.idle();
    assert.equal(await subject.terminate(), 0);
  }
  t.show(`${CATALOG_FLIPS} flips (FAULTS_SEED=${seed}): started and served each time`);
});
