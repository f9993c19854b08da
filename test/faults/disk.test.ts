import assert from "node:assert/strict";
import { stat, symlink } from "node:fs/promises";
import { join } from "node:path";
import { testConfig, testRegistry } from "../support/cache.ts";
import { type Answer, ask } from "../support/client.ts";
import { type FakeUpstream, startFakeUpstream } from "../support/fake-upstream.ts";
import { eventually } from "../support/open-files.ts";
import { tempDir } from "../support/temp.ts";
import { assertCatalogAgrees, assertNothingLeftOver, assertWhole, readStore } from "./support/agreement.ts";
import { fault, type FaultTest, inForm, isLong } from "./support/fault.ts";
import { type Content, contentOf, fakeOrigin, type Image, imageOf } from "./support/images.ts";
import { mountObstacle, type SmallDisk, smallDisk } from "./support/small-disk.ts";
import { ERROR_LEVEL, startSubject, type Subject } from "./support/subject.ts";
import { isHit } from "./support/traffic.ts";

const MIB = 1024 * 1024;
const REPOSITORY = "library/app";
const SKIP = { skip: mountObstacle() };
const KINDS = inForm<readonly ("tmpfs" | "ext4")[]>({ short: ["tmpfs"], long: ["tmpfs", "ext4"] });

interface World {
  readonly upstream: FakeUpstream;
  readonly dataDir: string;
  start(): Promise<Subject>;
}

async function createWorld(t: FaultTest, dataDir: string): Promise<World> {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream[Symbol.asyncDispose]());
  // A full disk has what is unused evicted; what is pinned is there to see that it goes on being served.
  const config = testConfig(dataDir, [testRegistry(upstream.url)], { pins: [`docker.io/${REPOSITORY}:held`] });
  return { upstream, dataDir, start: async () => await startSubject(t, config) };
}

async function get({ url }: Subject, path: string): Promise<Answer> {
  return await ask(`${url}/v2/${REPOSITORY}/${path}`);
}

/** Everything of an image, byte for byte; gives what became of each part. */
async function pull(subject: Subject, image: Image): Promise<Answer[]> {
  const wanted: [string, Content][] = [
    [`manifests/${image.tag}`, image],
    ...image.blobs.map((blob): [string, Content] => [`blobs/${blob.digest}`, blob]),
  ];
  return await Promise.all(
    wanted.map(async ([path, { bytes }]) => {
      const answer = await get(subject, path);
      assert.equal(answer.status, 200, `${path}: ${answer.body.subarray(0, 300).toString()}`);
      assert.ok(answer.body.equals(bytes), `${path}: ${answer.body.length} bytes`);
      return answer;
    }),
  );
}

async function assertAlive(subject: Subject): Promise<void> {
  assert.equal((await ask(`${subject.url}/healthz`)).status, 200);
  assert.ok(subject.isAlive());
}

/** With room again: the next pull keeps it, the one after finds it. */
async function assertKeepsAgain(subject: Subject, image: Image): Promise<void> {
  await pull(subject, image);
  await subject.idle();
  for (const answer of await pull(subject, image)) assert.ok(isHit(answer), String(answer.headers["cache-status"]));
}

/** After another start, which mends what the catalog could not be told of. */
async function assertSoundAfterRestart(world: World, subject: Subject): Promise<void> {
  assert.equal(await subject.terminate(), 0);
  const again = await world.start();
  await again.idle();
  const facts = await readStore(world.dataDir);
  assertWhole(facts);
  await assertNothingLeftOver(world.dataDir);
  assertCatalogAgrees(world.dataDir, facts);
  assert.equal(await again.terminate(), 0);
}

/** Upstream sends all of a blob up to a byte, and the rest when it is told to. */
function holdUp(t: FaultTest, { upstream }: World, { digest }: Content, atByte: number): () => void {
  const held = Promise.withResolvers<void>();
  t.after(async () => held.resolve());
  upstream.script({ path: digest, method: "GET" }, { kind: "hold", atByte, until: held.promise });
  return () => held.resolve();
}

async function spooled({ dataDir }: World, { digest }: Content, bytes: number): Promise<void> {
  const path = join(dataDir, "spool", digest.replace(":", "-"));
  await eventually(async () => ((await stat(path).catch(() => undefined))?.size ?? 0) >= bytes);
}

for (const kind of KINDS) {
  fault(
    `disk: full in mid-fill (${kind})`,
    "every reader gets right bytes, un-kept; the process lives; held content is served; it keeps again when there is room",
    async (t) => {
      const disk = await smallDisk(t, { kind, bytes: 32 * MIB });
      const world = await createWorld(t, disk.folder);
      const [held, image] = [
        imageOf(REPOSITORY, "held", [contentOf(2 * MIB, "held")]),
        imageOf(REPOSITORY, "1", [contentOf(8 * MIB, "big"), contentOf(50_000, "small")]),
      ];
      for (const one of [held, image]) await fakeOrigin(world.upstream).publish(one);
      const subject = await world.start();
      await assertKeepsAgain(subject, held);
      const big = image.blobs[1] as Content;
      const goOn = holdUp(t, world, big, 3 * MIB);
      const readers = [pull(subject, image), get(subject, `blobs/${big.digest}`)] as const;
      await spooled(world, big, 2 * MIB);
      disk.fill();
      goOn();
      await readers[0];
      assert.ok((await readers[1]).body.equals(big.bytes));
      await subject.idle();
      const unkept = await pull(subject, image);
      const of = (answer: Answer | undefined) => String(answer?.headers["cache-status"]);
      assert.match(of(unkept[2]), /no-room/);
      assert.ok((await pull(subject, held)).every(isHit), "held content is served from a full disk");
      await assertAlive(subject);
      await subject.idle();
      assert.equal(await isStored(world, big), false);
      await disk.makeRoom();
      await assertKeepsAgain(subject, image);
      await assertSoundAfterRestart(world, subject);
      t.show("3 pulls right on the full disk, kept afterwards");
    },
    SKIP,
  );
}

async function isStored({ dataDir }: World, { digest }: Content): Promise<boolean> {
  return (await readStore(dataDir)).blobs.has(digest);
}

/** Files and folders that a disk has place for, where they are to run out. */
const FILES = 900;
/** The short form takes every third step only. */
const STEP = inForm({ short: 3, long: 1 });
/** What a commit makes: folders of the blob, the unfinished link, folders of the link. */
const FILES_OF_A_COMMIT = 9;
/** And of a manifest with its tag: blob, link, tag, and the tag's index. */
const FILES_OF_A_MANIFEST = 21;

fault(
  "disk: full at commit, at every one of its steps (tmpfs without files left)",
  "the pull is right whatever can not be made; the process lives; the same blob is kept when there is room",
  async (t) => {
    const disk = await smallDisk(t, { kind: "tmpfs", bytes: 64 * MIB, files: FILES });
    const world = await createWorld(t, disk.folder);
    const subject = await world.start();
    let [kept, unkept] = [0, 0];
    for (let left = 0; left <= FILES_OF_A_COMMIT; left += STEP) {
      const blob = contentOf(200_000, `commit ${left}`);
      world.upstream.addBlob(REPOSITORY, blob.bytes);
      const goOn = holdUp(t, world, blob, blob.bytes.length - 1);
      const reading = get(subject, `blobs/${blob.digest}`);
      await spooled(world, blob, blob.bytes.length - 1);
      disk.fillFiles(left);
      goOn();
      assert.ok((await reading).body.equals(blob.bytes), `with place for ${left} files`);
      await subject.idle();
      if (await isStored(world, blob)) kept += 1;
      else unkept += 1;
      await assertAlive(subject);
      await disk.makeRoom();
      assert.ok((await get(subject, `blobs/${blob.digest}`)).body.equals(blob.bytes));
      await subject.idle();
      assert.ok(isHit(await get(subject, `blobs/${blob.digest}`)));
    }
    assert.ok(unkept > 0, "some commits had no place");
    assert.ok(kept > 0, "some had");
    await assertSoundAfterRestart(world, subject);
    t.show(
      `${FILES_OF_A_COMMIT + 1} commits with place for 0 to ${FILES_OF_A_COMMIT} files: ${unkept} un-kept, all right`,
    );
  },
  SKIP,
);

fault(
  "disk: full while a manifest is kept, at every one of its steps (tmpfs without files left)",
  "the manifest is right; a tag never points into nothing; it is kept when there is room",
  async (t) => {
    const disk = await smallDisk(t, { kind: "tmpfs", bytes: 64 * MIB, files: FILES });
    const world = await createWorld(t, disk.folder);
    const subject = await world.start();
    let [kept, unkept] = [0, 0];
    for (let left = 0; left <= FILES_OF_A_MANIFEST; left += STEP) {
      const image = imageOf(REPOSITORY, `v${left}`, [contentOf(1_000, `manifest ${left}`)]);
      await fakeOrigin(world.upstream).publish(image);
      disk.fillFiles(left);
      const answer = await get(subject, `manifests/${image.tag}`);
      assert.equal(answer.status, 200, `with place for ${left} files`);
      assert.ok(answer.body.equals(image.bytes));
      if (/no-room/.test(String(answer.headers["cache-status"]))) unkept += 1;
      else kept += 1;
      await subject.idle();
      const { tags, manifests } = await readStore(world.dataDir);
      for (const digest of tags.values()) assert.ok(manifests.has(`docker.io/${REPOSITORY}@${digest}`));
      await assertAlive(subject);
      await disk.makeRoom();
      await assertKeepsAgain(subject, image);
    }
    assert.ok(unkept > 0, "some had no place");
    assert.ok(kept > 0, "some had");
    await assertSoundAfterRestart(world, subject);
    t.show(`manifests with place for 0 to ${FILES_OF_A_MANIFEST} files: ${kept} kept, ${unkept} un-kept, all right`);
  },
  SKIP,
);

if (isLong) {
  fault(
    "disk: full at commit, to the last byte (ext4)",
    "the pull is right; the process lives; the same blob is kept when there is room",
    async (t) => {
      const disk = await smallDisk(t, { kind: "ext4", bytes: 32 * MIB });
      const world = await createWorld(t, disk.folder);
      const subject = await world.start();
      // Its last byte falls into a block that the one before has taken: only folders and links find no room.
      const blob = contentOf(200_001, "to the byte");
      world.upstream.addBlob(REPOSITORY, blob.bytes);
      const goOn = holdUp(t, world, blob, blob.bytes.length - 1);
      const reading = get(subject, `blobs/${blob.digest}`);
      await spooled(world, blob, blob.bytes.length - 1);
      disk.fill();
      const freeBytes = await disk.freeBytes();
      goOn();
      assert.ok((await reading).body.equals(blob.bytes));
      await subject.idle();
      await assertAlive(subject);
      assert.equal(await isStored(world, blob), false);
      await disk.makeRoom();
      await keptAlone(subject, blob);
      await assertSoundAfterRestart(world, subject);
      t.show(`${freeBytes} bytes were free at the commit`);
    },
    SKIP,
  );
}

async function keptAlone(subject: Subject, { digest, bytes }: Content): Promise<void> {
  assert.ok((await get(subject, `blobs/${digest}`)).body.equals(bytes));
  await subject.idle();
  assert.ok(isHit(await get(subject, `blobs/${digest}`)));
}

fault(
  "disk: full at the start",
  "it starts, serves what is held, streams the rest through, and keeps again when there is room",
  async (t) => {
    const disk = await smallDisk(t, { kind: "tmpfs", bytes: 32 * MIB });
    const world = await createWorld(t, disk.folder);
    const [held, image] = ["held", "new"].map((tag) => imageOf(REPOSITORY, tag, [contentOf(2 * MIB, tag)])) as [
      Image,
      Image,
    ];
    for (const one of [held, image]) await fakeOrigin(world.upstream).publish(one);
    const first = await world.start();
    await assertKeepsAgain(first, held);
    assert.equal(await first.terminate(), 0);
    disk.fill();
    const subject = await world.start();
    assert.ok((await pull(subject, held)).every(isHit));
    await pull(subject, image);
    await subject.idle();
    await assertAlive(subject);
    await disk.makeRoom();
    await assertKeepsAgain(subject, image);
    await assertSoundAfterRestart(world, subject);
    t.show("both images right on the full disk");
  },
  SKIP,
);

fault(
  "disk: full for the catalog alone",
  "pulls are kept and found again, the log says it, and the catalog agrees with the store after the next start with room",
  async (t) => {
    const disk: SmallDisk = await smallDisk(t, { kind: "tmpfs", bytes: 2 * MIB });
    const dataDir = await tempDir(t);
    // SQLite follows the link, and puts its log beside the file.
    await symlink(join(disk.folder, "catalog.sqlite"), join(dataDir, "catalog.sqlite"));
    const world = await createWorld(t, dataDir);
    const images = ["1", "2", "3"].map((tag) =>
      imageOf(REPOSITORY, tag, [contentOf(500_000, tag), contentOf(900, tag)]),
    );
    for (const one of images) await fakeOrigin(world.upstream).publish(one);
    const subject = await world.start();
    await assertKeepsAgain(subject, images[0] as Image);
    disk.fill();
    for (const image of images) await assertKeepsAgain(subject, image);
    await assertAlive(subject);
    const errors = (await subject.log()).filter(({ level }) => level >= ERROR_LEVEL);
    assert.ok(errors.some(({ msg }) => msg.includes("the catalog could not be written")));
    await disk.makeRoom();
    assert.equal((await ask(`${subject.url}/summary`)).status, 200);
    await assertSoundAfterRestart(world, subject);
    const again = await world.start();
    const summary = JSON.parse((await ask(`${again.url}/summary`)).body.toString()) as { summary: { total: number } };
    assert.equal(summary.summary.total, images.length);
    t.show(`${images.length} images kept, ${errors.length} errors logged, all counted after the next start`);
  },
  SKIP,
);
