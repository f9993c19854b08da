import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../support/property.ts";
import type { Catalog } from "../../../src/catalog/catalog.ts";
import { asTag, digest, latest, nginx, record, redis, repository, type SetUp } from "./samples.ts";

export function statistics(setUp: SetUp): void {
  const paths = async (catalog: Catalog, query: Parameters<Catalog["repositories"]>[0]) =>
    (await catalog.repositories(query)).map((one) => `${one.serves}/${one.name}`);

  it("lists held repositories in byte order of their store path, in pages, also of one registry", async (t) => {
    const { catalog } = await setUp(t);
    const all = ["a/b", "a-b", "a", "a.b", "a_b", "a0", "library/z"].map((name) => repository(name));
    for (const one of [...all, repository("actions/runner", "ghcr", "ghcr.io")]) {
      await catalog.recordManifest(record(one, "m"));
    }
    const blobOnly = { repository: repository("blob/only"), digest: digest("b"), size: 1, fetchedWith: undefined };
    await catalog.recordBlob({ ...blobOnly, atMs: 10 });
    const hub = ["a", "a-b", "a.b", "a/b", "a0", "a_b", "library/z"].map((name) => `docker.io/${name}`);
    assert.deepEqual(await paths(catalog, { limit: 100 }), [...hub, "ghcr.io/actions/runner"]);
    assert.deepEqual(await paths(catalog, { limit: 2, last: "docker.io/a.b" }), ["docker.io/a/b", "docker.io/a0"]);
    assert.deepEqual(await paths(catalog, { limit: 9, last: "docker.io/nowhere" }), ["ghcr.io/actions/runner"]);
    assert.deepEqual(await paths(catalog, { limit: 9, registryId: "ghcr" }), ["ghcr.io/actions/runner"]);
    assert.deepEqual(await paths(catalog, { limit: 9, registryId: "quay" }), []);
  });

  it("counts a tag while its manifest is held, whichever was recorded first", async (t) => {
    const { catalog } = await setUp(t);
    await catalog.recordTag(nginx, latest, digest("m"), 10);
    assert.deepEqual([...(await catalog.countImages())], []);
    assert.deepEqual(await catalog.inventory({ registryId: "dockerhub", limit: 9 }), []);
    await catalog.recordManifest(record(redis, "m"));
    assert.deepEqual([...(await catalog.countImages())], []);
    await catalog.recordManifest(record(nginx, "m"));
    assert.deepEqual([...(await catalog.countImages())], [["dockerhub", 1]]);
    await catalog.recordTag(nginx, latest, digest("not held"), 20);
    assert.deepEqual([...(await catalog.countImages())], []);
  });

  it("lists what a registry holds by repository and tag, in pages", async (t) => {
    const { catalog } = await setUp(t);
    const runner = repository("actions/runner", "ghcr", "ghcr.io");
    for (const [where, tag] of [
      [runner, "latest"],
      [redis, "7-alpine"],
      [nginx, "latest"],
      [nginx, "Z"],
      [nginx, "1.27"],
      [nginx, "1.9"],
    ] as const) {
      await catalog.recordManifest(record(where, "m"));
      await catalog.recordTag(where, asTag(tag), digest("m"), 10);
    }
    await catalog.recordManifest(record(repository("library/untagged"), "m"));
    const hub = [
      { name: "library/nginx", tags: ["1.27", "1.9", "Z", "latest"] },
      { name: "library/redis", tags: ["7-alpine"] },
    ];
    assert.deepEqual(await catalog.inventory({ registryId: "dockerhub", limit: 9 }), hub);
    assert.deepEqual(await catalog.inventory({ registryId: "dockerhub", limit: 1 }), hub.slice(0, 1));
    assert.deepEqual(
      await catalog.inventory({ registryId: "dockerhub", last: "library/nginx", limit: 9 }),
      hub.slice(1),
    );
    assert.deepEqual(await catalog.inventory({ registryId: "dockerhub", last: "library/redis", limit: 9 }), []);
    assert.deepEqual(await catalog.inventory({ registryId: "ghcr", limit: 9 }), [
      { name: "actions/runner", tags: ["latest"] },
    ]);
    assert.deepEqual(Object.fromEntries(await catalog.countImages()), { dockerhub: 5, ghcr: 1 });
  });

  it("leaves out what some credentials have fetched, and of some registries what any have", async (t) => {
    const { catalog } = await setUp(t);
    const own = (name: string) => repository(name, "corp", "corp.example");
    const withCredentials = [
      [nginx, undefined],
      [redis, "bot"],
      [repository("library/clients"), "clients"],
      [own("open"), undefined],
      [own("shared-once"), "bot"],
      [own("clients"), "clients"],
    ] as const;
    for (const [where, fetchedWith] of withCredentials) {
      await catalog.recordManifest(record(where, "m", { fetchedWith }));
      await catalog.recordTag(where, latest, digest("m"), 10);
    }
    // One such manifest among others is enough.
    await catalog.recordManifest(record(own("shared-once"), "public"));
    const all = { fetchedWith: "clients", privateOf: [] };
    const ofCorp = { fetchedWith: "clients", privateOf: ["corp", "unknown"] };
    const shared = ["docker.io/library/nginx", "docker.io/library/redis"];
    assert.deepEqual(await paths(catalog, { limit: 9, except: all }), [
      "corp.example/open",
      "corp.example/shared-once",
      ...shared,
    ]);
    assert.deepEqual(await paths(catalog, { limit: 9, except: ofCorp }), ["corp.example/open", ...shared]);
    const names = async (registryId: string, except: typeof ofCorp) =>
      (await catalog.inventory({ registryId, limit: 9, except })).map(({ name }) => name);
    assert.deepEqual(await names("corp", all), ["open", "shared-once"]);
    assert.deepEqual(await names("corp", ofCorp), ["open"]);
    assert.deepEqual(await names("dockerhub", ofCorp), ["library/nginx", "library/redis"]);
    assert.deepEqual(Object.fromEntries(await catalog.countImages()), { corp: 3, dockerhub: 3 });
  });

  it("agrees with a plain model after any sequence of records", async (t) => {
    const { catalog } = await setUp(t);
    let run = 0;
    const step = fc.record({ tags: fc.boolean(), tag: fc.nat(3), manifest: fc.nat(3), where: fc.nat(1) });
    await prove(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
        run += 1;
        const held = new Set<string>();
        const pointed = new Map<string, string>();
        for (const { tags: isTag, tag, manifest, where } of steps) {
          const of = repository(`run${run}/r${where}`, `registry${run}`, `host${run}`);
          if (isTag) await catalog.recordTag(of, asTag(`t${tag}`), digest(`m${manifest}`), 10);
          else await catalog.recordManifest(record(of, `m${manifest}`));
          if (isTag) pointed.set(`${of.name} t${tag}`, `${of.name} m${manifest}`);
          else held.add(`${of.name} m${manifest}`);
        }
        const expected = [...pointed].filter(([, manifest]) => held.has(manifest)).map(([tag]) => tag);
        const found = await catalog.inventory({ registryId: `registry${run}`, limit: 9 });
        assert.deepEqual(
          found.flatMap(({ name, tags }) => tags.map((tag) => `${name} ${tag}`)),
          expected.toSorted(),
        );
        assert.equal((await catalog.countImages()).get(`registry${run}`) ?? 0, expected.length);
      }),
      25,
    );
  });
}
