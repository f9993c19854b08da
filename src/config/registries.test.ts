import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { configFolder, yaml } from "../../test/support/config-folder.ts";
import type { RegistryConfig } from "./config.ts";

async function registries(t: TestContext, text: string): Promise<ReadonlyMap<string, RegistryConfig>> {
  const folder = await configFolder(t);
  const config = await folder.load({ files: yaml(text) });
  return new Map(config.registries.map((registry) => [registry.id, registry]));
}

describe("registries", () => {
  it("of the user come after the built-in ones, and those that are switched off are left out", async (t) => {
    const found = await registries(
      t,
      `registries:
  b: { serves: b.example, upstream: "https://b.example" }
  a: { serves: a.example, upstream: "https://a.example", enabled: false }
  quay: { enabled: false }
  ghcr: { enabled: true }`,
    );
    assert.deepEqual([...found.keys()], ["dockerhub", "ghcr", "gcr", "k8s", "gitlab", "ecr", "lscr", "codeberg", "b"]);
  });

  it("answer to their upstream's host as well", async (t) => {
    const found = await registries(
      t,
      `registries:
  corp: { serves: hub.corp.example, upstream: "https://registry.corp.example:8443" }
  same: { serves: same.example, upstream: "https://same.example" }
  dockerhub: { upstream: "https://mirror.example" }`,
    );
    assert.deepEqual(found.get("corp")?.aliases, ["registry.corp.example:8443"]);
    assert.deepEqual(found.get("same")?.aliases, []);
    assert.deepEqual(found.get("dockerhub")?.aliases, ["index.docker.io", "registry-1.docker.io", "mirror.example"]);
  });

  it("do not answer to a host that another registry serves, be that switched off or not", async (t) => {
    assert.deepEqual((await registries(t, "")).get("lscr")?.aliases, []);
    assert.deepEqual((await registries(t, "registries: { ghcr: { enabled: false } }")).get("lscr")?.aliases, []);
    const moved = await registries(
      t,
      `registries:
  quay: { upstream: "https://mirror.example", enabled: false }
  corp: { serves: corp.example, upstream: "https://quay.io" }`,
    );
    assert.deepEqual(moved.get("corp")?.aliases, []);
  });

  it("at one and the same host do not answer to it", async (t) => {
    const found = await registries(
      t,
      `registries:
  one: { serves: one.example, upstream: "http://127.0.0.1:5001" }
  two: { serves: two.example, upstream: "http://127.0.0.1:5001" }
  hub: { serves: hub.example, upstream: "https://registry-1.docker.io" }`,
    );
    assert.deepEqual(found.get("one")?.aliases, []);
    assert.deepEqual(found.get("two")?.aliases, []);
    assert.deepEqual(found.get("hub")?.aliases, []);
  });

  it("know which upstream the user named, and keep realms that the user does not replace", async (t) => {
    const found = await registries(
      t,
      `registries:
  dockerhub: { upstream: "https://mirror.example" }
  gitlab: { realms: [login.example] }
  k8s: { realms: }`,
    );
    assert.equal(found.get("dockerhub")?.upstreamIsOwn, true);
    assert.equal(found.get("gitlab")?.upstreamIsOwn, false);
    assert.deepEqual(found.get("dockerhub")?.realms, ["auth.docker.io"]);
    assert.deepEqual(found.get("gitlab")?.realms, ["login.example"]);
    assert.deepEqual(found.get("k8s")?.realms, []);
    assert.deepEqual(found.get("lscr")?.realms, ["ghcr.io"]);
  });

  it("ask about tags after a minute where no rule of the user's matches", async (t) => {
    const found = await registries(
      t,
      `registries:
  dockerhub: { tags: [{ match: "v*", revalidate_after: 30d }] }
  ghcr: { tags: [{ match: "*", revalidate_after: 5s }] }
  quay: { tags: [] }`,
    );
    const minute = { match: "*", revalidate: { kind: "after", ms: 60_000 } };
    assert.deepEqual(found.get("dockerhub")?.tags.at(-1), minute);
    assert.equal(found.get("dockerhub")?.tags.length, 2);
    assert.deepEqual(found.get("ghcr")?.tags, [{ match: "*", revalidate: { kind: "after", ms: 5_000 } }]);
    assert.deepEqual(found.get("quay")?.tags, [minute]);
  });

  it("may have a name of another as their host name, or take over the name of none that is left", async (t) => {
    const found = await registries(
      t,
      `registries:
  dockerhub: { hostnames: [quay.io, docker.io], serves: hub.example }
  quay: { hostnames: [quay.example] }`,
    );
    assert.deepEqual(found.get("dockerhub")?.hostnames, ["quay.io", "docker.io"]);
    assert.equal(found.get("dockerhub")?.serves, "hub.example");
  });
});
