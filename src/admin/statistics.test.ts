import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { HeldTags } from "../catalog/catalog.ts";
import type { RepositoryName, Tag } from "../oci/reference.ts";
import { statisticsOf, statisticsRoutes, summaryOf } from "./statistics.ts";

const dockerhub = { id: "dockerhub", upstream: "https://registry-1.docker.io" };
const ghcr = { id: "ghcr", upstream: "https://ghcr.io" };
const quay = { id: "quay", upstream: "https://quay.io" };

function held(...repositories: readonly (readonly [string, ...string[]])[]): HeldTags[] {
  return repositories.map(([name, ...tags]) => ({ name: name as RepositoryName, tags: tags as Tag[] }));
}

const all = new Map([
  ["dockerhub", held(["library/nginx", "1.27", "latest"], ["library/redis", "7-alpine"])],
  ["ghcr", held(["actions/runner", "latest"])],
]);

/** The seed's own example. */
const seed = {
  registries: {
    dockerhub: {
      url: "https://registry-1.docker.io",
      images: 3,
      repositories: [
        { name: "library/nginx", tags: ["1.27", "latest"] },
        { name: "library/redis", tags: ["7-alpine"] },
      ],
    },
    ghcr: {
      url: "https://ghcr.io",
      images: 1,
      repositories: [{ name: "actions/runner", tags: ["latest"] }],
    },
  },
  summary: { dockerhub: 3, ghcr: 1, total: 4 },
};

describe("statistics", () => {
  it("have the seed's shape, members in its order", () => {
    assert.equal(JSON.stringify(statisticsOf([dockerhub, ghcr], all)), JSON.stringify(seed));
  });

  it("name enabled registries that hold nothing, in the order of the configuration", () => {
    const found = statisticsOf([quay, ghcr], all);
    assert.deepEqual(Object.keys(found.registries), ["quay", "ghcr"]);
    assert.deepEqual(found.registries["quay"], { url: "https://quay.io", images: 0, repositories: [] });
    assert.deepEqual(Object.entries(found.summary), [
      ["quay", 0],
      ["ghcr", 1],
      ["total", 1],
    ]);
  });

  it("leave out what is held of registries that are not enabled, of the total too", () => {
    const found = statisticsOf([ghcr], all);
    assert.deepEqual(found.registries, { ghcr: seed.registries.ghcr });
    assert.deepEqual(found.summary, { ghcr: 1, total: 1 });
    assert.deepEqual(summaryOf([ghcr], new Map(Object.entries({ dockerhub: 3, ghcr: 1 }))), {
      summary: { ghcr: 1, total: 1 },
    });
  });

  it("keep repositories of the same name in two registries apart", () => {
    const found = statisticsOf(
      [dockerhub, ghcr],
      new Map([
        ["dockerhub", held(["a/b", "x"])],
        ["ghcr", held(["a/b", "y"])],
      ]),
    );
    assert.deepEqual(found.registries["dockerhub"]?.repositories, [{ name: "a/b", tags: ["x"] }]);
    assert.deepEqual(found.registries["ghcr"]?.repositories, [{ name: "a/b", tags: ["y"] }]);
  });

  it("take an odd id for nothing but a name", () => {
    const odd = { id: "__proto__", upstream: "https://odd.example" };
    const found = statisticsOf([odd], new Map([["__proto__", held(["a", "x"])]]));
    assert.equal(
      JSON.stringify(found),
      '{"registries":{"__proto__":{"url":"https://odd.example","images":1,"repositories":[{"name":"a","tags":["x"]}]}},' +
        '"summary":{"__proto__":1,"total":1}}',
    );
  });

  it("are answered at / and /summary from the catalog", async () => {
    const catalog = {
      inventory: async ({ registryId }: { registryId: string }) => all.get(registryId) ?? [],
      countImages: async () => new Map([["dockerhub", 3]]),
    };
    const routes = statisticsRoutes(catalog, [dockerhub, ghcr]);
    assert.deepEqual(await routes["/"](new URLSearchParams()), { status: 200, body: seed });
    assert.deepEqual(await routes["/summary"](), {
      status: 200,
      body: { summary: { dockerhub: 3, ghcr: 0, total: 3 } },
    });
  });
});
