import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { BUILT_IN_REGISTRIES } from "../src/config/built-in.ts";
import { configFolder } from "./support/config-folder.ts";

async function example(): Promise<string> {
  const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
  const block = /^```yaml\n(listen:.*?)^```$/ms.exec(readme)?.[1];
  assert.ok(block !== undefined, "the README shows a configuration");
  return block;
}

describe("the README's configuration", () => {
  it("works as it stands", async (t) => {
    const folder = await configFolder(t);
    const config = await folder.load({ files: { "registry-cache.yaml": await example() } });
    assert.equal(config.registries.length, BUILT_IN_REGISTRIES.length);
    assert.deepEqual(config.registries[0]?.hostnames, ["hub.cache.example.com"]);
  });

  it("works with all that is commented out", async (t) => {
    const text = (await example()).replaceAll(/^( *)# ([a-z ])/gm, "$1$2");
    const folder = await configFolder(t);
    const environment = { REGISTRY_CACHE_DOCKERHUB_PASSWORD: "secret" };
    const config = await folder.load({ files: { "registry-cache.yaml": text }, environment });
    assert.equal(
      config.registries.some(({ id }) => id === "codeberg"),
      false,
    );
    assert.equal(config.registries.find(({ id }) => id === "corp")?.serves, "registry.corp.example");
    assert.deepEqual(config.registries[0]?.credentials, { kind: "basic", username: "me", password: "secret" });
  });
});
