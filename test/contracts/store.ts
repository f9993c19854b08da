import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import { type Digest, digestOf, hasherFor } from "../../src/oci/digest.ts";
import type { ForeignBlob, Store } from "../../src/store/store.ts";
import { seededBytes } from "../support/bytes.ts";
import { leavingTests } from "./store-leaving.ts";
import { ORIGIN, repo, tagOf } from "./store-samples.ts";

export { ORIGIN, repo, tagOf } from "./store-samples.ts";

export async function readAll(store: Pick<Store, "openBlob">, digest: Digest): Promise<Buffer | undefined> {
  const blob = await store.openBlob(digest);
  if (blob === undefined) return undefined;
  try {
    const whole = Buffer.alloc(blob.size);
    for (let at = 0; at < whole.length;) at += await blob.read(whole.subarray(at), at);
    return whole;
  } finally {
    await blob.close();
  }
}

/** Bytes that lie elsewhere; `size` is what is said of them. */
function foreign(bytes: Buffer, size = bytes.length): ForeignBlob {
  return {
    size,
    open: async () => ({
      read: async (buffer, position) => bytes.copy(buffer, 0, position),
      close: async () => undefined,
    }),
  };
}

function adopting(): { signal: AbortSignal; onBytes: (bytes: number) => void; read: () => number } {
  let read = 0;
  return { signal: new AbortController().signal, onBytes: (bytes) => void (read += bytes), read: () => read };
}

async function listed(paths: AsyncIterable<string>): Promise<string[]> {
  const all: string[] = [];
  for await (const path of paths) all.push(path);
  return all;
}

const APP = repo("library/app");
const BYTES = seededBytes(300_000, "store");
const DIGEST = digestOf(BYTES);
const OTHER_BYTES = Buffer.from("other");
const OTHER = digestOf(OTHER_BYTES);

/** What every store must do; `open` gives a new handle on the same held bytes each time, as after a restart. */
export function storeContract(kind: string, prepare: (t: TestContext) => Promise<() => Promise<Store>>): void {
  suite(`${kind} keeps the store's contract`, () => {
    test("what was never written is not there", async (t) => {
      const store = await (await prepare(t))();
      assert.equal(await store.openBlob(DIGEST), undefined);
      assert.equal(await store.statBlob(DIGEST), undefined);
      assert.equal(await store.readBlob(DIGEST, 10), undefined);
      assert.equal(await store.hasLink("layer", APP, DIGEST), false);
      assert.equal(await store.tag(APP, tagOf("1")), undefined);
      assert.equal(await store.fetchedWith("manifest", APP, DIGEST), undefined);
      assert.deepEqual(await listed(store.repositories()), []);
      assert.deepEqual(await store.contents(APP), {
        manifests: [],
        layers: [],
        tags: [],
        damaged: [],
        damagedLinks: [],
        damagedTags: [],
      });
    });

    test("a small blob is put at once and read whole, in parts, and not past its end", async (t) => {
      const store = await (await prepare(t))();
      await store.putBlob(DIGEST, BYTES);
      assert.equal(await store.statBlob(DIGEST), BYTES.length);
      assert.ok((await store.readBlob(DIGEST, BYTES.length))?.equals(BYTES));
      await assert.rejects(store.readBlob(DIGEST, BYTES.length - 1), RangeError);
      const blob = await store.openBlob(DIGEST);
      assert.ok(blob !== undefined);
      const part = Buffer.alloc(10);
      assert.equal(await blob.read(part, 1000), 10);
      assert.ok(part.equals(BYTES.subarray(1000, 1010)));
      assert.equal(await blob.read(part, BYTES.length - 3), 3);
      assert.equal(await blob.read(part, BYTES.length), 0);
      await blob.close();
    });

    test("a blob that is taken away is not there, also where it was never; who has it open reads on", async (t) => {
      const store = await (await prepare(t))();
      await store.removeBlob(DIGEST);
      await store.putBlob(DIGEST, BYTES);
      const blob = await store.openBlob(DIGEST);
      await store.removeBlob(DIGEST);
      assert.equal(await store.statBlob(DIGEST), undefined);
      assert.equal(await readAll(store, DIGEST), undefined);
      assert.equal(await blob?.read(Buffer.alloc(10), BYTES.length - 10), 10);
      await blob?.close();
      await store.putBlob(DIGEST, BYTES);
      assert.ok((await readAll(store, DIGEST))?.equals(BYTES));
    });

    test("an empty blob is held too", async (t) => {
      const store = await (await prepare(t))();
      const empty = digestOf(Buffer.alloc(0));
      await store.putBlob(empty, Buffer.alloc(0));
      assert.equal(await store.statBlob(empty), 0);
      assert.equal((await readAll(store, empty))?.length, 0);
    });

    test("bytes from elsewhere are taken over once they were hashed, and not a second time", async (t) => {
      const store = await (await prepare(t))();
      const first = adopting();
      assert.equal(await store.adopt(DIGEST, foreign(BYTES), first), "copied");
      assert.equal(first.read(), BYTES.length);
      assert.ok((await readAll(store, DIGEST))?.equals(BYTES));
      assert.equal(await store.adopt(DIGEST, foreign(BYTES), adopting()), "held");
      assert.equal(await store.roomToAdopt(foreign(BYTES)), BYTES.length);
    });

    test("what is not what its digest says is not taken over, whatever it says of its size", async (t) => {
      const store = await (await prepare(t))();
      const wrong = Buffer.from(BYTES);
      wrong[BYTES.length - 1] = (wrong.at(-1) ?? 0) ^ 1;
      for (const bytes of [foreign(wrong), foreign(BYTES, BYTES.length - 1), foreign(BYTES, BYTES.length + 1)]) {
        assert.equal(await store.adopt(DIGEST, bytes, adopting()), "damaged");
        assert.equal(await store.statBlob(DIGEST), undefined);
      }
    });

    test("who names what is held without having it is found out, and takes nothing away", async (t) => {
      const store = await (await prepare(t))();
      await store.putBlob(DIGEST, BYTES);
      assert.equal(await store.adopt(DIGEST, foreign(Buffer.alloc(BYTES.length)), adopting()), "damaged");
      assert.equal(await store.adopt(DIGEST, foreign(OTHER_BYTES), adopting()), "damaged");
      assert.ok((await readAll(store, DIGEST))?.equals(BYTES));
    });

    test("a held blob of another length gives way to the right bytes", async (t) => {
      const store = await (await prepare(t))();
      await store.putBlob(DIGEST, BYTES.subarray(1));
      assert.equal(await store.adopt(DIGEST, foreign(BYTES), adopting()), "copied");
      assert.ok((await readAll(store, DIGEST))?.equals(BYTES));
    });

    test("an empty blob can be taken over too", async (t) => {
      const store = await (await prepare(t))();
      const empty = digestOf(Buffer.alloc(0));
      assert.equal(await store.adopt(empty, foreign(Buffer.alloc(0)), adopting()), "copied");
      assert.equal(await store.statBlob(empty), 0);
    });

    test("taking over ends when it is told to, and leaves nothing", async (t) => {
      const store = await (await prepare(t))();
      const reason = new Error("enough");
      const ending = { ...adopting(), signal: AbortSignal.abort(reason) };
      await assert.rejects(store.adopt(DIGEST, foreign(BYTES), ending), reason);
      assert.equal(await store.statBlob(DIGEST), undefined);
    });

    test("a sha512 digest is a digest like any other", async (t) => {
      const store = await (await prepare(t))();
      const digest = digestOf(BYTES, "sha512");
      await store.putBlob(digest, BYTES);
      await store.link("manifest", APP, digest, undefined);
      assert.ok((await readAll(store, digest))?.equals(BYTES));
      assert.deepEqual((await store.contents(APP)).manifests[0]?.digest, digest);
    });

    test("nothing of a spool is visible before its commit, all of it afterwards", async (t) => {
      const store = await (await prepare(t))();
      const spool = await store.openSpool(DIGEST, ORIGIN);
      assert.equal(spool.existingBytes, 0);
      await spool.append(BYTES.subarray(0, 100_000));
      await spool.append(BYTES.subarray(100_000));
      assert.equal(await store.statBlob(DIGEST), undefined);
      assert.equal(await store.openBlob(DIGEST), undefined);
      const part = Buffer.alloc(10);
      assert.equal(await spool.read(part, 99_995), 10, "the spool itself is readable while it grows");
      assert.ok(part.equals(BYTES.subarray(99_995, 100_005)));
      await spool.commit();
      assert.ok((await readAll(store, DIGEST))?.equals(BYTES));
      assert.equal(await spool.read(part, 0), 10, "readers in flight notice nothing");
      await spool.close();
    });

    test("a kept spool is a partial for the next store, which hashes it before it goes on", async (t) => {
      const open = await prepare(t);
      const first = await (await open()).openSpool(DIGEST, ORIGIN);
      await first.append(BYTES.subarray(0, 200_000));
      await first.keep();
      await first.close();
      const store = await open();
      const second = await store.openSpool(DIGEST, ORIGIN);
      assert.equal(second.existingBytes, 200_000);
      const hash = hasherFor(DIGEST);
      const progress: number[] = [];
      await second.rehash(hash, new AbortController().signal, (bytes) => progress.push(bytes));
      assert.equal(progress.at(-1), 200_000);
      await second.append(BYTES.subarray(200_000));
      assert.equal(`sha256:${hash.update(BYTES.subarray(200_000)).digest("hex")}`, DIGEST);
      await second.commit();
      await second.close();
      assert.ok((await readAll(store, DIGEST))?.equals(BYTES));
    });

    test("a partial of another registry is begun anew: what it sent was never verified", async (t) => {
      const open = await prepare(t);
      const first = await (await open()).openSpool(DIGEST, { ...ORIGIN, registryId: "other" });
      await first.append(OTHER_BYTES);
      await first.keep();
      await first.close();
      const store = await open();
      const second = await store.openSpool(DIGEST, ORIGIN);
      assert.equal(second.existingBytes, 0);
      await second.append(BYTES);
      await second.commit();
      await second.close();
      assert.ok((await readAll(store, DIGEST))?.equals(BYTES));
    });

    test("a partial of another registry is left alone until the first byte comes", async (t) => {
      const store = await (await prepare(t))();
      const first = await store.openSpool(DIGEST, ORIGIN);
      await first.append(BYTES.subarray(0, 200_000));
      await first.keep();
      await first.close();
      for (const how of ["keep", "discard"] as const) {
        const other = await store.openSpool(DIGEST, { ...ORIGIN, registryId: "other" });
        assert.equal(other.existingBytes, 0);
        await other[how]();
        await other.close();
      }
      const again = await store.openSpool(DIGEST, ORIGIN);
      assert.equal(again.existingBytes, 200_000);
      await again.keep();
      await again.close();
      const other = await store.openSpool(DIGEST, { ...ORIGIN, registryId: "other" });
      await other.append(BYTES.subarray(0, 10));
      await other.keep();
      await other.close();
      const last = await store.openSpool(DIGEST, ORIGIN);
      assert.equal(last.existingBytes, 0);
      await last.discard();
      await last.close();
    });

    test("hashing a partial stops when it is told to", async (t) => {
      const store = await (await prepare(t))();
      const first = await store.openSpool(DIGEST, ORIGIN);
      await first.append(BYTES);
      await first.keep();
      await first.close();
      const again = await store.openSpool(DIGEST, ORIGIN);
      const reason = new Error("enough");
      await assert.rejects(
        again.rehash(hasherFor(DIGEST), AbortSignal.abort(reason), () => assert.fail()),
        reason,
      );
      await again.discard();
      await again.close();
    });

    test("a discarded spool leaves nothing; its readers go on to the end", async (t) => {
      const store = await (await prepare(t))();
      const spool = await store.openSpool(DIGEST, ORIGIN);
      await spool.append(BYTES);
      await spool.discard();
      const part = Buffer.alloc(10);
      assert.equal(await spool.read(part, 5), 10);
      await spool.close();
      assert.equal(await store.statBlob(DIGEST), undefined);
      const next = await store.openSpool(DIGEST, ORIGIN);
      assert.equal(next.existingBytes, 0);
      await next.discard();
      await next.close();
    });

    test("keeping a spool without a byte leaves nothing", async (t) => {
      const store = await (await prepare(t))();
      const spool = await store.openSpool(DIGEST, ORIGIN);
      await spool.keep();
      await spool.close();
      assert.deepEqual(await store.reapPartials(-60_000), { partials: 0, bytes: 0 });
    });

    leavingTests(prepare);

    test("links say which repository has what, by kind, also after a restart", async (t) => {
      const open = await prepare(t);
      const store = await open();
      await store.putBlob(DIGEST, BYTES);
      await store.link("layer", APP, DIGEST, undefined);
      const again = await open();
      assert.equal(await again.hasLink("layer", APP, DIGEST), true);
      assert.equal(await again.hasLink("manifest", APP, DIGEST), false);
      assert.equal(await again.hasLink("layer", repo("library/other"), DIGEST), false);
      assert.equal(await again.hasLink("layer", repo("library/app", "ghcr.io"), DIGEST), false);
    });

    test("a tag points where it was set last, and others stay", async (t) => {
      const store = await (await prepare(t))();
      await store.setTag(APP, tagOf("1"), OTHER);
      await store.setTag(APP, tagOf("2"), OTHER);
      await store.setTag(APP, tagOf("1"), DIGEST);
      assert.equal(await store.tag(APP, tagOf("1")), DIGEST);
      assert.equal(await store.tag(APP, tagOf("2")), OTHER);
      const { tags } = await store.contents(APP);
      assert.deepEqual(
        tags.map(({ tag, digest }) => [tag, digest]),
        [
          ["1", DIGEST],
          ["2", OTHER],
        ],
      );
    });

    test("a tag by nobody's word was never confirmed, but is as old as it is here; a later word counts", async (t) => {
      const store = await (await prepare(t))();
      const startMs = Date.now() - 1_000;
      await store.setTag(APP, tagOf("1"), DIGEST, "unconfirmed");
      assert.equal(await store.tag(APP, tagOf("1")), DIGEST);
      const [unconfirmed] = (await store.contents(APP)).tags;
      assert.equal(unconfirmed?.confirmedAtMs, 0);
      assert.ok((unconfirmed?.atMs ?? 0) > startMs);
      await store.setTag(APP, tagOf("1"), DIGEST);
      const [confirmed] = (await store.contents(APP)).tags;
      assert.ok((confirmed?.confirmedAtMs ?? 0) > startMs);
    });

    test("whose credentials fetched something is remembered, replaced, and forgotten when nobody's did", async (t) => {
      const store = await (await prepare(t))();
      for (const who of ["basic:1", "basic:2", undefined]) {
        await store.link("manifest", APP, DIGEST, who);
        assert.equal(await store.fetchedWith("manifest", APP, DIGEST), who);
        assert.equal((await store.contents(APP)).manifests[0]?.fetchedWith, who);
      }
    });

    test("all that is linked is found, repository by repository, however odd the name", async (t) => {
      const store = await (await prepare(t))();
      const names = [
        "a",
        "a/a",
        "a/b/c/d/e",
        "link",
        "tags/list",
        "blobs/manifests",
        "current/index",
        "a__b/c--d.e",
        "x".repeat(255),
      ];
      for (const name of names) await store.link("layer", repo(name), DIGEST, undefined);
      await store.link("manifest", repo("a", "localhost:5000"), DIGEST, undefined);
      const expected = [...names.map((name) => `docker.io/${name}`), "localhost:5000/a"];
      assert.deepEqual((await listed(store.repositories())).toSorted(), expected.toSorted());
      for (const name of names) assert.equal((await store.contents(repo(name))).layers.length, 1, name);
    });

    test("the same content put, linked or tagged twice at once is there once and whole", async (t) => {
      const store = await (await prepare(t))();
      const twice = async (run: () => Promise<void>) => void (await Promise.all([run(), run(), run()]));
      await twice(async () => await store.putBlob(DIGEST, BYTES));
      await twice(async () => await store.link("layer", APP, DIGEST, "basic:1"));
      await twice(async () => await store.setTag(APP, tagOf("1"), DIGEST));
      assert.ok((await readAll(store, DIGEST))?.equals(BYTES));
      assert.equal((await store.contents(APP)).layers.length, 1);
      assert.equal(await store.tag(APP, tagOf("1")), DIGEST);
    });

    test("there is room, in bytes", async (t) => {
      const store = await (await prepare(t))();
      assert.ok(Number.isSafeInteger(await store.room()));
    });
  });
}
