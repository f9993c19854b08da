import assert from "node:assert/strict";
import { mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { once } from "node:events";
import { suite, test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { pino } from "pino";
import type { WarmEvent } from "../src/admin/warm.ts";
import { askCache, type ControlQuestion, linesOfCache } from "../src/cli/control-client.ts";
import type { RegistryConfig } from "../src/config/config.ts";
import type { WarmImage } from "../src/upkeep/warm/warm.ts";
import { startCache, type TestCacheOptions, testRegistry } from "./support/cache.ts";
import { ask } from "./support/client.ts";
import { type FakeUpstream, type FakeUpstreamOptions, startFakeUpstream } from "./support/fake-upstream.ts";
import type { FakeImage } from "./support/fake-upstream/types.ts";
import { tempDir } from "./support/temp.ts";
import { startWhole } from "./support/whole.ts";

const APP = "library/app";
const AMD64 = ["linux/amd64"];
const { signal } = new AbortController();

async function setUp(
  t: TestContext,
  {
    upstream: ofUpstream = {},
    registry = {},
    ...options
  }: TestCacheOptions & {
    upstream?: FakeUpstreamOptions;
    registry?: Partial<RegistryConfig>;
  } = {},
) {
  const upstream = await startFakeUpstream(ofUpstream);
  t.after(async () => await upstream.stop());
  const cache = await startCache(t, [testRegistry(upstream.url, { sharedRepositories: [], ...registry })], options);
  return { upstream, cache, dataDir: cache.dataDir };
}

function question(body: object, until: AbortSignal = signal): ControlQuestion {
  return { method: "POST", path: "/api/v1/warm", body: { platforms: AMD64, ...body }, signal: until };
}

/** Warms, and gives the last news of each image, and of all. */
async function warmed(dataDir: string, body: object): Promise<{ images: WarmImage[]; last: WarmEvent | undefined }> {
  const images = new Map<string, WarmImage>();
  let last: WarmEvent | undefined;
  for await (const line of linesOfCache(dataDir, question(body)) as AsyncIterable<WarmEvent>) {
    last = line;
    for (const image of line.images) images.set(image.reference, image);
  }
  return { images: [...images.values()], last };
}

function blobsAsked(upstream: FakeUpstream): number {
  return upstream.count({ role: "registry", method: "GET", path: "/blobs/" });
}

async function pullAll(url: string, image: FakeImage, reference = "1"): Promise<void> {
  const paths = [`manifests/${reference}`, ...[image.config, ...image.layers].map(({ digest }) => `blobs/${digest}`)];
  for (const path of paths) assert.equal((await ask(`${url}/v2/${APP}/${path}`)).status, 200, path);
}

async function eventually(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  for (const lastMs = Date.now() + 10_000; Date.now() < lastMs; await delay(10)) if (await isTrue()) return;
  assert.fail(`never came true: ${isTrue.toString()}`);
}

suite("warm", () => {
  test("brings an image in, so that it is served without its registry", async (t) => {
    const { upstream, cache, dataDir } = await setUp(t);
    const image = upstream.addImage(APP, "1", { layers: [300_000, 5_000] });
    const { images, last } = await warmed(dataDir, { references: ["app:1"] });
    const bytes = image.size + image.config.size + image.layers.reduce((sum, { size }) => sum + size, 0);
    assert.deepEqual(images, [
      {
        reference: "app:1",
        state: "done",
        repository: `docker.io/${APP}`,
        digest: image.digest,
        bytes,
        bytesThere: bytes,
        blobs: 3,
        blobsFetched: 3,
      },
    ]);
    assert.equal(last?.isOver, true);
    await upstream.stop();
    await pullAll(cache.url, image);
  });

  test("is done by the owner where several processes answer clients", async (t) => {
    const upstream = await startFakeUpstream();
    t.after(async () => await upstream.stop());
    const image = upstream.addImage(APP, "1");
    const { url, dataDir } = await startWhole(t, [testRegistry(upstream.url)], { workers: 2 });
    assert.equal((await warmed(dataDir, { references: ["app:1"] })).images[0]?.state, "done");
    await upstream.stop();
    await pullAll(url, image);
  });

  test("of an index it fetches the platforms that are wanted", async (t) => {
    const { upstream, dataDir } = await setUp(t);
    const index = upstream.addIndex(APP, "1", ["linux/amd64", "linux/arm64", "linux/s390x"]);
    await warmed(dataDir, { references: ["app:1"], platforms: ["linux/amd64", "linux/arm64"] });
    const fetched = (image: FakeImage) =>
      image.layers.every(({ digest }) => upstream.count({ method: "GET", path: digest }) === 1);
    assert.deepEqual(index.images.map(fetched), [true, true, false]);
    const { images } = await warmed(dataDir, { references: ["app:1"], platforms: ["linux/riscv64"] });
    assert.match(
      images[0]?.error?.message ?? "",
      /none for linux\/riscv64, only for linux\/amd64, linux\/arm64, linux\/s390x/,
    );
    await warmed(dataDir, { references: ["app:1"], platforms: "all" });
    assert.deepEqual(index.images.map(fetched), [true, true, true]);
  });

  test("what is held already is not fetched again, whatever the number of names", async (t) => {
    const { upstream, dataDir } = await setUp(t);
    const image = upstream.addImage(APP, "1");
    upstream.setTag(APP, "same", image.digest);
    await warmed(dataDir, { references: ["app:1", "docker.io/library/app:same", `app@${image.digest}`] });
    const asked = blobsAsked(upstream);
    assert.equal(asked, 3);
    const { images } = await warmed(dataDir, { references: ["app:1"] });
    assert.deepEqual([images[0]?.state, images[0]?.blobsFetched, blobsAsked(upstream)], ["done", 0, asked]);
  });

  test("it shares the one transfer of a blob with clients that pull meanwhile", async (t) => {
    const { upstream, cache, dataDir } = await setUp(t);
    const image = upstream.addImage(APP, "1", { layers: [3_000_000] });
    const held = Promise.withResolvers<void>();
    upstream.script(
      { method: "GET", path: image.layers[0]?.digest ?? "" },
      { kind: "hold", atByte: 1_000_000, until: held.promise },
    );
    const warming = warmed(dataDir, { references: ["app:1"] });
    await upstream.until(() => blobsAsked(upstream) >= 2);
    const pulling = pullAll(cache.url, image);
    await delay(50);
    held.resolve();
    await Promise.all([warming, pulling]);
    assert.equal(blobsAsked(upstream), 2);
  });

  test("each failure has its reason, and the others are there all the same", async (t) => {
    const { upstream, cache, dataDir } = await setUp(t);
    const good = upstream.addImage(APP, "1");
    const bad = upstream.addImage("library/bad", "1", { seed: 9 });
    upstream.script(
      { method: "GET", path: bad.layers[0]?.digest ?? "" },
      { kind: "corrupt", atByte: 10, times: Infinity },
    );
    const references = ["app:1", "app:none", "NOT A NAME", "quay.io/a/b:1", "bad:1"];
    const { images } = await warmed(dataDir, { references });
    const outcomes = images.map(
      ({ reference, state, error }) => [reference, `${state} ${error?.status ?? ""}`] as const,
    );
    assert.deepEqual(Object.fromEntries(outcomes), {
      "app:1": "done ",
      "app:none": "failed 404",
      "NOT A NAME": "failed 400",
      "quay.io/a/b:1": "failed 404",
      "bad:1": "failed 502",
    });
    await pullAll(cache.url, good);
    // What was right of the bad one is held.
    assert.equal(upstream.count({ method: "GET", path: bad.config.digest }), 1);
  });

  test("without upstream, what is held is taken, with a warning", async (t) => {
    const { upstream, dataDir } = await setUp(t, {
      registry: { tags: [{ match: "*", revalidate: { kind: "always" } }] },
    });
    upstream.addImage(APP, "1");
    await warmed(dataDir, { references: ["app:1"] });
    await upstream.stop();
    const { images } = await warmed(dataDir, { references: ["app:1", "app:2"] });
    assert.deepEqual(
      images.map(({ state, stale }) => [state, stale]),
      [
        ["done", "unreachable"],
        ["failed", undefined],
      ],
    );
  });

  test("without room it fails, and says so", async (t) => {
    const { upstream, dataDir } = await setUp(t, { config: { minFreeDiskBytes: Number.MAX_SAFE_INTEGER } });
    upstream.addImage(APP, "1");
    const { images } = await warmed(dataDir, { references: ["app:1"] });
    assert.deepEqual([images[0]?.state, images[0]?.error?.status], ["failed", 507]);
  });

  test("a manifest whose blob is damaged upstream is no endless work", async (t) => {
    const { upstream, dataDir } = await setUp(t);
    const image = upstream.addImage(APP, "1");
    upstream.deleteContent(APP, image.layers[1]?.digest as NonNullable<FakeImage["layers"][number]>["digest"]);
    const { images } = await warmed(dataDir, { references: ["app:1"] });
    assert.deepEqual([images[0]?.state, images[0]?.error?.status], ["failed", 404]);
  });

  test("when the command leaves the run ends, and the fill that it has begun goes on", async (t) => {
    const { upstream, cache, dataDir } = await setUp(t);
    const first = upstream.addImage(APP, "1", { layers: [2_000_000] });
    const second = upstream.addImage("library/second", "1", { seed: 2 });
    const held = Promise.withResolvers<void>();
    const [layer] = first.layers;
    upstream.script(
      { method: "GET", path: layer?.digest ?? "" },
      { kind: "hold", atByte: 500_000, until: held.promise },
    );
    const leaving = new AbortController();
    const body = { references: ["app:1", "second:1"], concurrency: 1 };
    const lines = linesOfCache(dataDir, question(body, leaving.signal));
    const reading = (async () => {
      for await (const _ of lines);
    })();
    await upstream.until(() => upstream.count({ method: "GET", path: layer?.digest ?? "" }) === 1);
    leaving.abort(new Error("left"));
    await assert.rejects(reading, /left/);
    held.resolve();
    await cache.app.idle();
    await upstream.stop();
    const answer = await ask(`${cache.url}/v2/${APP}/blobs/${layer?.digest}`);
    assert.ok(answer.body.equals(layer?.bytes ?? Buffer.alloc(0)));
    assert.equal(upstream.count({ path: second.digest }), 0);
  });

  test("a stop of the cache ends it at once", async (t) => {
    const { upstream, cache, dataDir } = await setUp(t);
    const image = upstream.addImage(APP, "1");
    upstream.script({ method: "GET", path: image.layers[0]?.digest ?? "" }, { kind: "stall", atByte: 100 });
    const warming = warmed(dataDir, { references: ["app:1"] });
    warming.catch(() => undefined);
    await upstream.until(() => upstream.count({ method: "GET", path: image.layers[0]?.digest ?? "" }) === 1);
    await cache.stop();
    await assert.rejects(warming, /broken off/);
  });

  test("with credentials of the cache's own it fetches what the registry gives to everybody, and nothing else", async (t) => {
    const { upstream, dataDir } = await setUp(t, {
      upstream: { auth: "bearer", users: { me: "secret" }, privateRepositories: ["org/hidden"] },
      registry: { credentials: { kind: "basic", username: "me", password: "secret" } },
    });
    upstream.addImage(APP, "1");
    upstream.addImage("org/hidden", "1", { seed: 2 });
    const { images } = await warmed(dataDir, { references: ["app:1", "org/hidden:1"] });
    assert.deepEqual(
      images.map(({ state, error }) => [state, error?.status]),
      [
        ["done", undefined],
        ["failed", 403],
      ],
    );
    assert.equal(upstream.count({ method: "GET", path: "/org/hidden/blobs/" }), 0);
  });

  test("what only clients' own credentials open is not warmed by them", async (t) => {
    const { upstream, cache, dataDir } = await setUp(t, {
      upstream: { auth: "bearer", users: { me: "secret" }, privateRepositories: ["org/hidden"] },
      registry: { passThrough: true, hostnames: ["hub.cache.test"] },
    });
    upstream.addImage(APP, "1");
    const hidden = upstream.addImage("org/hidden", "1", { seed: 2 });
    const headers = { Host: "hub.cache.test", Authorization: `Basic ${Buffer.from("me:secret").toString("base64")}` };
    assert.equal((await ask(`${cache.url}/v2/org/hidden/manifests/1`, { headers })).status, 200);
    const { images } = await warmed(dataDir, { references: ["app:1", "org/hidden:1"] });
    assert.deepEqual(
      images.map(({ state, error }) => [state, error?.status]),
      [
        ["done", undefined],
        ["failed", 403],
      ],
    );
    assert.equal(upstream.count({ path: hidden.layers[0]?.digest ?? "" }), 0);
  });
});

suite("what is kept fresh", () => {
  const list = async (dataDir: string) =>
    ((await askCache(dataDir, { method: "GET", path: "/api/v1/keep-fresh", signal })) as { images: object[] }).images;

  test("is listed by the one name of each image, survives a restart, and is forgotten", async (t) => {
    const { upstream, cache, dataDir } = await setUp(t);
    upstream.addImage(APP, "1");
    const references = ["app:1", "docker.io/library/app:1", "app:none"];
    const { last } = await warmed(dataDir, { references, keepFresh: true });
    assert.equal(last?.keptFresh, 2);
    const expected = [{ reference: "docker.io/library/app:1", platforms: AMD64 }];
    assert.deepEqual(await list(dataDir), expected);
    await rm(join(dataDir, "catalog.sqlite"), { force: true });
    await cache.restart();
    assert.deepEqual(await list(dataDir), expected);
    assert.match(await readFile(join(dataDir, "keep-fresh.txt"), "utf8"), /^docker.io\/library\/app:1 linux\/amd64$/m);
    const forget = {
      method: "DELETE",
      path: "/api/v1/keep-fresh",
      body: { references: ["app:1", "other"] },
      signal,
    } as const;
    assert.deepEqual(await askCache(dataDir, forget), { removed: ["docker.io/library/app:1"] });
    assert.deepEqual(await list(dataDir), []);
  });
});

suite("rounds of what is kept fresh", () => {
  const EVERY = { config: { keepFreshEveryMs: 50 } };

  test("follow a tag that has moved, although the cache has it from a moment ago", async (t) => {
    const { upstream, cache, dataDir } = await setUp(t, EVERY);
    upstream.addImage(APP, "1");
    await warmed(dataDir, { references: ["app:1"], keepFresh: true });
    const newer = upstream.addImage(APP, "1", { seed: 2 });
    const isThere = ({ digest }: { digest: string }) => upstream.count({ method: "GET", path: digest }) === 1;
    await upstream.until(() => [newer, newer.config, ...newer.layers].every(isThere));
    await cache.app.idle();
    await upstream.stop();
    await pullAll(cache.url, newer, newer.digest);
    await eventually(async () => (await ask(`${cache.url}/v2/${APP}/manifests/1`)).body.equals(newer.bytes));
  });

  test("leave alone what never moves", async (t) => {
    const { upstream, dataDir } = await setUp(t, {
      ...EVERY,
      registry: {
        tags: [
          { match: "1", revalidate: { kind: "never" } },
          { match: "*", revalidate: { kind: "after", ms: 60_000 } },
        ],
      },
    });
    const image = upstream.addImage(APP, "1");
    upstream.setTag(APP, "moving", image.digest);
    await warmed(dataDir, { references: ["app:1", "app:moving"], keepFresh: true });
    const head = (tag: string) => upstream.count({ method: "HEAD", path: `/manifests/${tag}` });
    await upstream.until(() => head("moving") >= 3);
    assert.equal(head("1"), 0);
  });

  test("pass over what fails, tell of it, and go on", async (t) => {
    const { upstream, dataDir } = await setUp(t, EVERY);
    upstream.addImage(APP, "1");
    upstream.addImage(APP, "2", { seed: 2 });
    await warmed(dataDir, { references: ["app:1", "app:2"], keepFresh: true });
    upstream.script({ path: "/manifests/1" }, { kind: "status", status: 500, times: Infinity });
    const newer = upstream.addImage(APP, "2", { seed: 3 });
    await upstream.until(() =>
      newer.layers.every(({ digest }) => upstream.count({ method: "GET", path: digest }) === 1),
    );
    await eventually(async () => {
      const answer = await askCache(dataDir, { method: "GET", path: "/api/v1/keep-fresh", signal });
      const [first, second] = (answer as { images: { last?: { error?: string } }[] }).images;
      return (
        /could not be asked/.test(first?.last?.error ?? "") &&
        second?.last !== undefined &&
        second.last.error === undefined
      );
    });
  });

  test("read what people have written into the file, and say what they cannot read", async (t) => {
    const lines: string[] = [];
    const log = pino({ level: "warn" }, { write: (line: string) => void lines.push(line) });
    const { upstream, dataDir } = await setUp(t, { ...EVERY, log });
    const image = upstream.addImage(APP, "1");
    await writeFile(join(dataDir, "keep-fresh.txt"), "# by hand\nnot one of us\ndocker.io/library/app:1 linux/amd64\n");
    await upstream.until(() =>
      image.layers.every(({ digest }) => upstream.count({ method: "GET", path: digest }) === 1),
    );
    await eventually(() => lines.some((line) => line.includes('"lines":[2]')));
  });
});

suite("the local socket", () => {
  test("is for the cache's own user, and replaces what a killed process has left", async (t) => {
    const { cache, dataDir } = await setUp(t);
    const path = join(dataDir, "control.sock");
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    await cache.stop();
    await assert.rejects(stat(path), { code: "ENOENT" });
    await writeFile(path, "left over");
    await startCache(t, [testRegistry("http://127.0.0.1:1")], { dataDir });
    assert.ok((await stat(path)).isSocket());
  });

  test("is reached in a folder whose path is too long for one, too", async (t) => {
    const folder = join(
      await tempDir(t),
      ..."x"
        .repeat(5)
        .split("")
        .map((one) => one.repeat(40)),
    );
    await mkdir(folder, { recursive: true });
    const { upstream } = await setUp(t, { dataDir: folder });
    upstream.addImage(APP, "1");
    const { images } = await warmed(folder, { references: ["app:1"] });
    assert.equal(images[0]?.state, "done");
  });

  test("says what is wrong with a question, and has limits", async (t) => {
    const { dataDir } = await setUp(t);
    const refused = async (what: Partial<ControlQuestion>, message: RegExp) => {
      await assert.rejects(askCache(dataDir, { method: "POST", path: "/api/v1/warm", signal, ...what }), message);
    };
    await refused({ path: "/api/v1/nothing" }, /there is no \/api\/v1\/nothing here/);
    await refused({ path: "/api/v1/__proto__" }, /there is no/);
    await refused({ method: "GET" }, /takes POST/);
    await refused({}, /references/);
    await refused({ body: [] }, /the body/);
    await refused({ body: { references: [], platforms: AMD64 } }, /references/);
    await refused({ body: { references: ["a"], platforms: ["nowhere"] } }, /platforms/);
    await refused({ body: { references: ["a"], platforms: AMD64, concurrency: 1_000 } }, /concurrency/);
    await refused({ body: { references: ["a"], platforms: AMD64, more: 1 } }, /more/);
    await refused({ body: { references: Array(1_001).fill("a"), platforms: AMD64 } }, /references/);
    await refused({ body: { references: ["x".repeat(2 * 1024 * 1024)], platforms: AMD64 } }, /at most|broken off/);
    const odd = request({ socketPath: join(dataDir, "control.sock"), path: "/api/v1/warm", method: "POST" });
    odd.end("{");
    const [answer] = (await once(odd, "response")) as [
      { statusCode: number; headers: Record<string, string>; resume(): void },
    ];
    answer.resume();
    assert.deepEqual([answer.statusCode, answer.headers["content-type"]], [400, "application/problem+json"]);
  });

  test("takes only so many runs at once", async (t) => {
    const { upstream, dataDir } = await setUp(t);
    upstream.addImage(APP, "1");
    upstream.script({ path: "/manifests/" }, { kind: "hang", times: Infinity });
    const leaving = new AbortController();
    const runs = Array.from({ length: 4 }, async () => {
      for await (const _ of linesOfCache(dataDir, question({ references: ["app:1"] }, leaving.signal)));
    });
    for (const run of runs) run.catch(() => undefined);
    await eventually(async () => {
      const more = new AbortController();
      try {
        for await (const _ of linesOfCache(dataDir, question({ references: ["app:1"] }, more.signal)))
          more.abort(new Error("in"));
        return false;
      } catch (error) {
        return /4 runs are under way/.test(String(error));
      }
    });
    leaving.abort(new Error("left"));
    await Promise.allSettled(runs);
    await eventually(async () => {
      const more = new AbortController();
      try {
        for await (const _ of linesOfCache(dataDir, question({ references: ["app:1"] }, more.signal)))
          more.abort(new Error("in"));
        return false;
      } catch (error) {
        return String(error).includes("in");
      }
    });
  });

  test("without a cache a command is told so", async (t) => {
    const dataDir = await tempDir(t);
    const asking = askCache(dataDir, { method: "GET", path: "/api/v1/keep-fresh", signal });
    await assert.rejects(asking, { message: `no cache is running on ${dataDir}` });
  });

  test("connections that say nothing are no obstacle to a stop", async (t) => {
    const { cache, dataDir } = await setUp(t);
    const socket = connect(join(dataDir, "control.sock"));
    await once(socket, "connect");
    socket.on("error", () => undefined);
    const closed = once(socket, "close");
    await cache.stop();
    await closed;
  });
});
