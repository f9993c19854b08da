import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import * as fc from "fast-check";
import {
  asTag,
  digest,
  latest,
  nginx,
  once,
  record,
  redis,
  repository,
} from "../../../test/contracts/catalog/samples.ts";
import { prove } from "../../../test/support/property.ts";
import type { Catalog } from "../../catalog/catalog.ts";
import { IN_MEMORY, openSqliteCatalog } from "../../catalog/sqlite.ts";
import { compileRepositoryGlob, compileTagGlob } from "../../lib/glob.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Descriptor, Manifest } from "../../oci/manifest.ts";
import * as types from "../../oci/media-types.ts";
import type { Repository } from "../../oci/reference.ts";
import { InventoryError } from "./errors.ts";
import { IMAGE_SORTS, type ImageFilter, type ImagesAsked, type ImageSort, type InventoryImage } from "./image.ts";
import { imagesView } from "./view.ts";

const NEVER = new AbortController().signal;
const PLATFORMS = ["linux/amd64", "linux/arm64/v8", "unknown/unknown"];
const REPOSITORIES = [nginx, redis, repository("org/app", "ghcr", "ghcr.io")];
const TAGS = ["1", "1-alpine", "Latest"].map(asTag);
const BLOBS = ["a", "b", "c", "d"];
const BLOB_BYTES = new Map(BLOBS.map((name, at) => [digest(name), 1_000 * (at + 1)]));

async function newCatalog(t: TestContext): Promise<Catalog> {
  const catalog = await openSqliteCatalog(IN_MEMORY);
  t.after(async () => await catalog.close());
  return catalog;
}

function viewOf(catalog: Catalog, except?: Parameters<typeof imagesView>[0]["except"]) {
  return imagesView({ catalog, except, platformOf: async () => undefined });
}

function described(name: string, more: Partial<Descriptor> = {}): Descriptor {
  return { mediaType: "", digest: digest(name), size: 7, ...more };
}

/** What may become held; by name, so that indexes can have each of the images, in each repository. */
const MANIFESTS: Readonly<Record<string, Manifest>> = {
  one: { mediaType: types.OCI_MANIFEST, manifests: [], blobs: [described("a"), described("b")] },
  two: { mediaType: types.OCI_MANIFEST, manifests: [], blobs: [described("b"), described("c")] },
  chart: { mediaType: types.OCI_MANIFEST, manifests: [], blobs: [described("d")], artifactType: "application/x.chart" },
  signature: { mediaType: types.OCI_MANIFEST, manifests: [], blobs: [described("d")], subject: digest("index") },
  index: {
    mediaType: types.OCI_INDEX,
    blobs: [],
    manifests: ["one", "two", "nowhere"].map((name, at) => described(name, { platform: PLATFORMS[at] ?? "" })),
  },
};
const NAMES = Object.keys(MANIFESTS);
const nameOf = new Map(NAMES.map((name) => [digest(name), name]));

/** The very same facts without SQL: what each repository has, by digest. */
class Model {
  readonly manifests = REPOSITORIES.map(() => new Map<string, { heldAtMs: number; pulls: number; lastMs?: number }>());
  readonly blobs = REPOSITORIES.map(() => new Set<string>());
  readonly tags = REPOSITORIES.map(() => new Map<string, string>());

  roots(at: number): string[] {
    const held = [...(this.manifests[at]?.keys() ?? [])];
    const below = new Set(held.flatMap((name) => this.#below(at, name)));
    return held.filter((name) => !below.has(name));
  }

  /** What is held directly below: named manifests, and those whose subject it is. */
  #below(at: number, name: string): string[] {
    const named = MANIFESTS[name]?.manifests.map((one) => nameOf.get(one.digest) ?? "") ?? [];
    const referring = NAMES.filter((one) => MANIFESTS[one]?.subject === digest(name));
    return [...named, ...referring].filter((one) => this.manifests[at]?.has(one) === true);
  }

  closure(at: number, name: string): string[] {
    return [...new Set([name, ...this.#below(at, name).flatMap((one) => this.closure(at, one))])];
  }

  /** Contents, as `digest`, of some manifests. */
  contents(at: number, names: readonly string[]): Set<string> {
    const blobs = names.flatMap((name) => MANIFESTS[name]?.blobs.map((one) => one.digest) ?? []);
    return new Set([...names.map((name) => digest(name)), ...blobs.filter((one) => this.blobs[at]?.has(one) === true)]);
  }

  /** What nothing else of any repository has. */
  own(at: number, root: string): Set<string> {
    const mine = this.contents(at, this.closure(at, root));
    for (const [where, repositoryRoots] of REPOSITORIES.map((_, one) => [one, this.roots(one)] as const)) {
      for (const other of repositoryRoots) {
        if (where === at && other === root) continue;
        for (const one of this.contents(where, this.closure(where, other))) mine.delete(one);
      }
      // Of blobs that no manifest names nobody is the owner.
      const named = new Set(this.roots(where).flatMap((one) => [...this.contents(where, this.closure(where, one))]));
      for (const one of this.blobs[where] ?? []) if (!named.has(one)) mine.delete(one);
    }
    return mine;
  }
}

function sum(contents: ReadonlySet<string>): number {
  return [...contents].reduce((bytes, one) => bytes + (BLOB_BYTES.get(one as Digest) ?? sizeOf(one)), 0);
}

function sizeOf(manifest: string): number {
  return 100 + NAMES.indexOf(nameOf.get(manifest as Digest) ?? "");
}

const event = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("manifest"), at: fc.nat(2), name: fc.constantFrom(...NAMES) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("blob"), at: fc.nat(2), name: fc.constantFrom(...BLOBS) }) },
  fc.record({
    kind: fc.constant("tag"),
    at: fc.nat(2),
    name: fc.constantFrom(...NAMES),
    tag: fc.constantFrom(...TAGS),
  }),
  fc.record({ kind: fc.constant("pull"), at: fc.nat(2), name: fc.constantFrom(...NAMES) }),
);

async function live(
  catalog: Catalog,
  model: Model,
  events: readonly (typeof event extends fc.Arbitrary<infer T> ? T : never)[],
) {
  let nowMs = 1_000;
  for (const one of events) {
    nowMs += 10;
    const where = REPOSITORIES[one.at] as Repository;
    const atMs = nowMs;
    const isHeld = model.manifests[one.at]?.has(one.name) === true;
    if (one.kind === "manifest") {
      const size = sizeOf(digest(one.name));
      await catalog.recordManifest(record(where, one.name, { manifest: MANIFESTS[one.name] as Manifest, size, atMs }));
      if (!isHeld) model.manifests[one.at]?.set(one.name, { heldAtMs: atMs, pulls: 0 });
    } else if (one.kind === "blob") {
      const size = BLOB_BYTES.get(digest(one.name)) ?? 0;
      await catalog.recordBlob({ repository: where, digest: digest(one.name), size, fetchedWith: undefined, atMs });
      model.blobs[one.at]?.add(digest(one.name));
    } else if (one.kind === "tag" && "tag" in one) {
      await catalog.recordTag(where, one.tag, digest(one.name), atMs);
      model.tags[one.at]?.set(one.tag, one.name);
    } else {
      await catalog.notePulls([
        { repository: where, digest: digest(one.name), tag: undefined, puller: "ann", pulls: 2, atMs },
      ]);
      const held = model.manifests[one.at]?.get(one.name);
      if (held === undefined) continue;
      model.manifests[one.at]?.set(one.name, { heldAtMs: held.heldAtMs, pulls: held.pulls + 2, lastMs: atMs });
    }
  }
}

/** As the list shows it, as far as the model knows it. */
function expected(model: Model) {
  return REPOSITORIES.flatMap((where, at) =>
    model.roots(at).map((name) => {
      const held = model.manifests[at] ?? new Map();
      const led = model.closure(at, name);
      const children = MANIFESTS[name]?.manifests.map((one) => nameOf.get(one.digest) ?? "") ?? [];
      const last = [name, ...children].flatMap((one) => (held.get(one)?.lastMs as number | undefined) ?? []);
      const tags = [...(model.tags[at] ?? [])].filter(([, to]) => led.includes(to)).map(([tag]) => tag);
      return {
        image: `${where.serves}/${where.name}@${digest(name)}`,
        registryId: where.registryId,
        repository: where.name,
        tags: tags.toSorted(),
        size: sum(model.contents(at, led)),
        own: sum(model.own(at, name)),
        pulls: held.get(name)?.pulls as number,
        lastPulledAtMs: last.length === 0 ? undefined : Math.max(...last),
        heldSinceMs: held.get(name)?.heldAtMs as number,
      };
    }),
  );
}

type Expected = ReturnType<typeof expected>[number];

function told(image: InventoryImage): Expected {
  const { registryId, repository: name, size, own, pulls, lastPulledAtMs, heldSinceMs } = image;
  const tags = image.tags.map(({ tag }) => tag as string);
  const at = `${image.serves}/${name}@${image.digest}`;
  return { image: at, registryId, repository: name, tags, size, own, pulls, lastPulledAtMs, heldSinceMs };
}

function fits(one: Expected, filter: ImageFilter): boolean {
  const { registryId, repository: glob, tag, notPulledSinceMs, largerThan } = filter;
  return (
    (registryId === undefined || one.registryId === registryId) &&
    (glob === undefined || compileRepositoryGlob(glob)(one.repository)) &&
    (tag === undefined || one.tags.some(compileTagGlob(tag))) &&
    (notPulledSinceMs === undefined || (one.lastPulledAtMs ?? one.heldSinceMs) < notPulledSinceMs) &&
    (largerThan === undefined || one.size > largerThan)
  );
}

function sorted(images: readonly Expected[], sort: ImageSort): Expected[] {
  const key = (one: Expected) =>
    ({ name: 0, size: one.size, pulls: one.pulls, lastPulled: one.lastPulledAtMs ?? -1 })[sort];
  return images.toSorted((a, b) => key(b) - key(a) || (a.image < b.image ? -1 : 1));
}

async function pages(
  view: ReturnType<typeof imagesView>,
  asked: Omit<ImagesAsked, "after">,
): Promise<InventoryImage[]> {
  const found: InventoryImage[] = [];
  let after: string | undefined;
  do {
    const page = await view.images({ ...asked, after }, NEVER);
    assert.ok(page.images.length <= asked.limit && (page.images.length === asked.limit || page.next === undefined));
    found.push(...page.images);
    after = page.next;
  } while (after !== undefined);
  return found;
}

const filters = fc.record(
  {
    registryId: fc.constantFrom("dockerhub", "ghcr", "quay"),
    repository: fc.constantFrom("library/*", "org/**", "*/nginx"),
    tag: fc.constantFrom("1*", "Latest", "*"),
    notPulledSinceMs: fc.integer({ min: 1_000, max: 1_400 }),
    largerThan: fc.nat(7_000),
  },
  { requiredKeys: [] },
);

suite("images that are held", () => {
  test("are listed as a model says: what they are, in every order, through every filter, in pages of any length", async () => {
    await prove(
      fc.asyncProperty(
        fc.array(event, { maxLength: 40 }),
        filters,
        fc.constantFrom(...IMAGE_SORTS),
        fc.boolean(),
        fc.integer({ min: 1, max: 4 }),
        async (events, filter, sort, isReverse, limit) => {
          const catalog = await openSqliteCatalog(IN_MEMORY, { now: () => 5_000 });
          const model = new Model();
          await live(catalog, model, events);
          const listed = sorted(
            expected(model).filter((one) => fits(one, filter)),
            sort,
          );
          const wanted = isReverse ? listed.toReversed() : listed;
          assert.deepEqual((await pages(viewOf(catalog), { filter, sort, isReverse, limit })).map(told), wanted);
          await catalog.close();
        },
      ),
      60,
    );
  });

  test("come in pages of which none is missed or told twice while others come and go", async (t) => {
    const catalog = await newCatalog(t);
    const at = (name: string) => repository(`library/${name}`);
    for (const name of ["b", "d", "f", "h"]) await catalog.recordManifest(record(at(name), name));
    const view = viewOf(catalog);
    const names = async (after?: string) => {
      const { images, next } = await view.images({ filter: {}, sort: "name", limit: 2, after }, NEVER);
      return { names: images.map((one) => one.repository.slice(-1)), next };
    };
    const first = await names();
    assert.deepEqual(first.names, ["b", "d"]);
    await catalog.replaceHeld(once());
    for (const name of ["a", "c", "e", "f", "h", "i"]) await catalog.recordManifest(record(at(name), name));
    const second = await names(first.next);
    assert.deepEqual(second.names, ["e", "f"]);
    const third = await names(second.next);
    assert.deepEqual([third.names, third.next], [["h", "i"], undefined]);
  });

  test("say for which platforms they are, held or not, also after a rebuild from the store", async (t) => {
    const catalog = await newCatalog(t);
    const manifest = MANIFESTS["index"] as Manifest;
    await catalog.recordManifest(record(nginx, "index", { manifest }));
    await catalog.recordManifest(record(nginx, "two", { manifest: MANIFESTS["two"] as Manifest }));
    const platforms = [
      { os: "linux", architecture: "amd64", variant: undefined, digest: digest("one"), isHeld: false, size: 0 },
      { os: "linux", architecture: "arm64", variant: "v8", digest: digest("two"), isHeld: true, size: 100 },
    ];
    const view = viewOf(catalog);
    const list = async () => (await view.images({ filter: {}, sort: "name", limit: 9 }, NEVER)).images;
    const [index, ...others] = await list();
    assert.deepEqual([index?.kind, index?.platforms, others], ["index", platforms, []]);
    const manifests = ["index", "two"].map((name) => record(nginx, name, { manifest: MANIFESTS[name] as Manifest }));
    await catalog.replaceHeld(once({ repository: nginx, manifests, blobs: [], tags: [] }));
    assert.deepEqual((await list())[0]?.platforms, platforms);
  });

  test("are found by what leads to them, and one that stands alone says its platform from its configuration", async (t) => {
    const catalog = await newCatalog(t);
    for (const name of ["index", "one", "chart"])
      await catalog.recordManifest(record(nginx, name, { manifest: MANIFESTS[name] as Manifest }));
    await catalog.recordManifest(record(redis, "one", { manifest: MANIFESTS["one"] as Manifest }));
    await catalog.recordTag(nginx, latest, digest("index"), 50);
    await catalog.recordTag(nginx, asTag("amd"), digest("one"), 60);
    const view = imagesView({
      catalog,
      platformOf: async (of) => (of === digest("one") ? "linux/riscv64" : undefined),
    });
    const digestOf = async (path: string, reference: string) => (await view.image(path, reference))?.digest;
    for (const reference of ["latest", "amd", digest("index"), digest("one")])
      assert.equal(await digestOf("docker.io/library/nginx", reference), digest("index"));
    assert.equal((await view.image("docker.io/library/nginx", "latest"))?.confirmedAtMs, 50);
    const alone = await view.image("docker.io/library/redis", digest("one"));
    assert.deepEqual([alone?.kind, alone?.platforms[0]?.architecture], ["image", "riscv64"]);
    assert.equal((await view.image("docker.io/library/nginx", digest("chart")))?.kind, "artifact");
    for (const [path, reference] of [
      ["docker.io/library/nginx", "none"],
      ["docker.io/library/nginx", "sha256:0"],
      ["docker.io/library/none", "latest"],
      ["nginx", "latest"],
      ["", ""],
    ] as const)
      assert.equal(await view.image(path, reference), undefined);
  });

  test("with a text are those whose name, tag or digest has it", async (t) => {
    const catalog = await newCatalog(t);
    for (const where of [nginx, redis]) await catalog.recordManifest(record(where, `m of ${where.name}`));
    await catalog.recordTag(nginx, asTag("Bookworm"), digest(`m of ${nginx.name}`), 10);
    const view = viewOf(catalog);
    const found = async (text: string) => {
      const { images } = await view.images({ filter: { text }, sort: "name", limit: 9 }, NEVER);
      return images.map((one) => one.repository);
    };
    assert.deepEqual(await found("NGIN"), [nginx.name]);
    assert.deepEqual(await found("nginx:book"), [nginx.name]);
    assert.deepEqual(await found(digest(`m of ${redis.name}`).slice(7, 20)), [redis.name]);
    assert.deepEqual(await found(""), [nginx.name, redis.name]);
    assert.deepEqual(await found("postgres"), []);
  });

  test("that clients' own credentials have opened are in no list that is without them", async (t) => {
    const catalog = await newCatalog(t);
    await catalog.recordManifest(record(nginx, "open"));
    await catalog.recordManifest(record(redis, "secret", { fetchedWith: "clients" }));
    await catalog.recordTag(redis, latest, digest("secret"), 10);
    const view = viewOf(catalog, { fetchedWith: "clients", privateOf: [] });
    const { images } = await view.images({ filter: {}, sort: "pulls", limit: 9 }, NEVER);
    assert.deepEqual(
      images.map((one) => one.repository),
      [nginx.name],
    );
    assert.equal(await view.image("docker.io/library/redis", "latest"), undefined);
    const { repositories } = await view.repositories({ limit: 9 });
    assert.deepEqual(
      repositories.map((one) => one.repository),
      [nginx.name],
    );
    const [hub] = await view.registries(NEVER);
    assert.deepEqual([hub?.repositories, hub?.images, hub?.tags, hub?.bytes], [2, 2, 1, 200]);
  });

  test("are summed up by repository, in pages", async (t) => {
    const catalog = await newCatalog(t);
    for (const name of ["index", "one", "two"])
      await catalog.recordManifest(record(nginx, name, { manifest: MANIFESTS[name] as Manifest }));
    await catalog.recordBlob({ repository: nginx, digest: digest("b"), size: 11, fetchedWith: undefined, atMs: 5 });
    await catalog.recordManifest(record(redis, "chart", { manifest: MANIFESTS["chart"] as Manifest }));
    await catalog.recordTag(nginx, latest, digest("index"), 5);
    await catalog.notePulls([
      { repository: nginx, digest: digest("two"), tag: undefined, puller: "x", pulls: 1, atMs: 9 },
    ]);
    const view = viewOf(catalog);
    const first = await view.repositories({ limit: 1 });
    const summary = { registryId: "dockerhub", serves: "docker.io", repository: nginx.name };
    assert.deepEqual(first.repositories, [{ ...summary, images: 1, tags: 1, bytes: 311, lastPulledAtMs: 9 }]);
    const second = await view.repositories({ limit: 1, after: first.next });
    assert.deepEqual([second.repositories[0]?.repository, second.next], [redis.name, undefined]);
  });

  test("are not looked for by what is no pattern, or from a place in another list", async (t) => {
    const view = viewOf(await newCatalog(t));
    const asked = async (filter: ImageFilter, after?: string) =>
      await view.images({ filter, sort: "name", limit: 9, after }, NEVER);
    for (const filter of [{ repository: "{" }, { repository: "" }, { tag: "a:b" }])
      await assert.rejects(asked(filter), InventoryError);
    const other = Buffer.from(JSON.stringify(["size", 1, "a", "b"])).toString("base64url");
    for (const after of ["", "?", "e30", other]) await assert.rejects(asked({}, after), InventoryError);
  });

  test("are not looked for any longer when nobody waits", async (t) => {
    const catalog = await newCatalog(t);
    const reason = new Error("left");
    const asking = viewOf(catalog).images({ filter: {}, sort: "size", limit: 9 }, AbortSignal.abort(reason));
    await assert.rejects(asking, reason);
  });
});
