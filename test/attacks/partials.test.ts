import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { AccessConfig, RegistryConfig } from "../../src/config/config.ts";
import { seededBytes } from "../support/bytes.ts";
import { OPEN_ACCESS, startCache, testRegistry } from "../support/cache.ts";
import { type Answer, ask } from "../support/client.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { tempDir } from "../support/temp.ts";

const [HOST, OTHER_HOST] = ["corp.cache.test", "other.cache.test"];
const [HIDDEN, EVIL] = ["org/hidden", "mallory/evil"];
const USERS = { ann: "ann's password" };
const ANN = { Authorization: `Basic ${Buffer.from(`ann:${USERS.ann}`).toString("base64")}` };
const SECRET = seededBytes(3 * 1024 * 1024, "secret");
const PARTIAL_BYTES = 2 * 1024 * 1024;

interface World {
  /** Bytes of the secret that a killed cache has left. */
  readonly partialBytes?: number;
  /** What the manifest in mallory's public repository says. */
  readonly namedBytes?: number;
  /** Whether mallory's repository really has the blob. */
  readonly hasIt?: boolean;
  readonly registry?: Partial<RegistryConfig>;
  readonly access?: Partial<AccessConfig>;
}

/** A cache that has a partial of a private blob, and a public repository whose manifest names it. */
async function setUp(t: TestContext, its: World = {}) {
  const upstream = await startFakeUpstream({ auth: "bearer", users: USERS, privateRepositories: [HIDDEN] });
  t.after(async () => await upstream.stop());
  const digest = upstream.addBlob(HIDDEN, SECRET);
  const config = upstream.addBlob(HIDDEN, Buffer.from("{}"));
  if (its.hasIt === true) upstream.addBlob(EVIL, SECRET);
  for (const [repository, size] of [
    [HIDDEN, SECRET.length],
    [EVIL, its.namedBytes ?? SECRET.length],
  ] as const) {
    upstream.addManifest(
      repository,
      {
        schemaVersion: 2,
        mediaType: "application/vnd.oci.image.manifest.v1+json",
        config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: config, size: 2 },
        layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest, size }],
      },
      { tag: "1" },
    );
  }
  const registry = testRegistry(upstream.url, {
    hostnames: [HOST],
    passThrough: true,
    libraryPrefix: false,
    ...its.registry,
  });
  const other = testRegistry(upstream.url, { id: "other", serves: "other.test", aliases: [], hostnames: [OTHER_HOST] });
  const dataDir = await tempDir(t);
  const spool = join(dataDir, "spool", digest.replace(":", "-"));
  const left = SECRET.subarray(0, its.partialBytes ?? PARTIAL_BYTES);
  await mkdir(join(dataDir, "spool"), { recursive: true });
  await writeFile(spool, left);
  await writeFile(`${spool}.json`, JSON.stringify({ registryId: registry.id, repository: `docker.io/${HIDDEN}` }));
  const { url } = await startCache(t, [registry, other], {
    dataDir,
    config: { access: { ...OPEN_ACCESS, ...its.access } },
  });
  const get = async (path: string, headers: Record<string, string> = {}): Promise<Answer> =>
    await ask(`${url}/v2/${path}`, { headers: { Host: HOST, ...headers } });
  /** Mallory, nameless, pulls the blob by way of her repository. */
  const attack = async (host = HOST): Promise<Answer> => {
    assert.equal((await get(`${EVIL}/manifests/1`, { Host: host })).status, 200);
    return await get(`${EVIL}/blobs/${digest}`, { Host: host });
  };
  /** What was there is there still, and is gone on with by whom it belongs to. */
  const assertResumed = async () => {
    assert.ok((await readFile(spool)).equals(left));
    const before = upstream.requests.length;
    assert.equal((await get(`${HIDDEN}/manifests/1`, ANN)).status, 200);
    const answer = await get(`${HIDDEN}/blobs/${digest}`, ANN);
    assert.ok(answer.body.equals(SECRET));
    const gets = upstream.requests
      .slice(before)
      .filter(({ path, method }) => method === "GET" && path.includes(digest));
    const ranges = left.length === SECRET.length ? [] : [`bytes=${left.length}-`];
    assert.deepEqual(
      gets.map(({ headers }) => headers.range),
      ranges,
    );
  };
  return { upstream, digest, get, attack, assertResumed };
}

function assertNothingOfIt({ status, body }: Answer): void {
  assert.equal(status, 404);
  assert.ok(body.length < 1000 && !body.includes(SECRET.subarray(0, 16)), `${body.length} bytes`);
}

for (const [what, partialBytes] of [
  ["a partial of it", PARTIAL_BYTES],
  ["all of it, not yet committed,", SECRET.length],
] as const) {
  test(`attack: private blob by its digest: ${what} is not shown by a repository that only names it`, async (t) => {
    const { attack, assertResumed } = await setUp(t, { partialBytes });
    assertNothingOfIt(await attack());
    // Nor was it linked to hers.
    assertNothingOfIt(await attack());
    await assertResumed();
    assertNothingOfIt(await attack());
  });

  test(`attack: private blob by its digest: ${what} is not shown past a rule`, async (t) => {
    const refusal = {
      who: "anonymous",
      registry: undefined,
      repository: "org/**",
      tag: "*",
      allow: false,
      minAgeMs: 0,
    };
    const registry = { passThrough: false, credentials: undefined };
    const { digest, get, attack } = await setUp(t, { partialBytes, registry, access: { rules: [refusal] } });
    assert.equal((await get(`${HIDDEN}/blobs/${digest}`)).status, 403);
    assertNothingOfIt(await attack());
  });
}

for (const [what, partialBytes, namedBytes] of [
  ["smaller than a partial", PARTIAL_BYTES, 1000],
  ["that of a partial", PARTIAL_BYTES, PARTIAL_BYTES],
  ["larger than the blob", PARTIAL_BYTES, SECRET.length + 1],
  ["smaller than what is whole", SECRET.length, 1000],
  ["larger than any disk", PARTIAL_BYTES, Number.MAX_SAFE_INTEGER],
] as const) {
  for (const hasIt of [false, true]) {
    const whose = hasIt ? "has the blob" : "does not have the blob";
    test(`attack: a manifest with a false size: ${what}; it throws nothing away where the repository ${whose}`, async (t) => {
      const { attack, assertResumed } = await setUp(t, { partialBytes, namedBytes, hasIt });
      const { status, isWhole } = await attack();
      assert.ok(status >= 400 || !isWhole, `${status}`);
      await assertResumed();
    });
  }
}

test("attack: throwing partials away: a question by way of another registry leaves them", async (t) => {
  const { attack, assertResumed } = await setUp(t);
  assertNothingOfIt(await attack(OTHER_HOST));
  await assertResumed();
});
