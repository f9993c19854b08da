import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import type { RegistryConfig } from "../config/config.ts";
import { RegistryError } from "../oci/errors.ts";
import { type FoundRegistry, type RegistryHints, RegistryTable, repositoryOf } from "./find-registry.ts";

function registry(id: string, serves: string, differs: Partial<RegistryConfig> = {}): RegistryConfig {
  return {
    id,
    serves,
    aliases: [],
    upstream: `https://${serves}`,
    hostnames: [],
    anonymous: undefined,
    libraryPrefix: false,
    credentials: undefined,
    sharedRepositories: [],
    passThrough: false,
    tags: [],
    whenDeleted: "serve",
    realms: [],
    allowPrivateAddresses: false,
    upstreamIsOwn: false,
    ca: undefined,
    questionsMax: 1,
    transfersMax: 1,
    requestsPerSecond: undefined,
    bytesPerSecond: undefined,
    maxSizeBytes: undefined,
    quotaReserveShare: 0.1,
    timeouts: { connectMs: 1, headersMs: 1, idleMs: 1, askBudgetMs: 1 },
    ...differs,
  };
}

const REGISTRIES = [
  registry("dockerhub", "docker.io", {
    aliases: ["index.docker.io", "registry-1.docker.io"],
    hostnames: ["hub.example"],
    anonymous: undefined,
    libraryPrefix: true,
  }),
  registry("ghcr", "ghcr.io", { hostnames: ["GHCR.Example", "ghcr.example.net:8443"] }),
  registry("corp", "registry.corp.example:5000"),
];
const table = new RegistryTable(REGISTRIES, "dockerhub");

function find(hints: Partial<RegistryHints>): FoundRegistry {
  return table.find({ host: "cache.example", prefix: undefined, name: [], ns: [], ...hints });
}

const id = (hints: Partial<RegistryHints>) => find(hints).registry.id;

test("nothing said means the default registry, and that is not explicit", () => {
  assert.deepEqual(find({ name: ["library", "app"] }), {
    registry: REGISTRIES[0],
    name: ["library", "app"],
    namespace: undefined,
    isExplicit: false,
    isByHost: false,
  });
  assert.equal(id({ host: undefined }), "dockerhub");
});

test("each place can say it, and all that agree are fine together", () => {
  assert.equal(id({ host: "ghcr.example" }), "ghcr");
  assert.equal(id({ prefix: "ghcr.io" }), "ghcr");
  assert.equal(id({ name: ["ghcr.io", "a"] }), "ghcr");
  assert.equal(id({ ns: ["ghcr.io"] }), "ghcr");
  const all = find({ host: "ghcr.example", prefix: "ghcr.io", name: ["ghcr.io", "a"], ns: ["ghcr.io", "GHCR.io"] });
  assert.deepEqual([all.registry.id, all.name, all.namespace], ["ghcr", ["a"], undefined]);
});

test("ns is told back only where it alone chose", () => {
  assert.equal(find({ name: ["a"], ns: ["registry.corp.example:5000"] }).namespace, "registry.corp.example:5000");
  assert.equal(find({ name: ["a"], ns: ["docker.io"] }).namespace, "docker.io");
  assert.equal(find({ name: ["docker.io", "a"], ns: ["docker.io"] }).namespace, undefined);
});

test("host names compare without case, port and final dot; a configured port must be there", () => {
  for (const host of [
    "ghcr.example",
    "GHCR.example:5000",
    "ghcr.example.",
    "ghcr.example.:443",
    "ghcr.example.net:8443",
  ]) {
    assert.equal(id({ host }), "ghcr", host);
  }
  for (const host of [
    "ghcr.example.net",
    "ghcr.example.net:8444",
    "x.ghcr.example",
    "[::1]:5000",
    "[::1]",
    ":80",
    "",
  ]) {
    assert.equal(id({ host }), "dockerhub", host);
  }
});

test("what is unknown is 404 and never the default", () => {
  for (const hints of [
    { prefix: "quay.io" },
    { ns: ["quay.io"] },
    { ns: [""] },
    { ns: ["docker.io", "quay.io"] },
    { name: ["quay.io", "a"] },
    { name: ["localhost", "a"] },
    { name: ["127.0.0.1:5000", "a"] },
    { ns: ["registry.corp.example"] },
    { ns: ["constructor"] },
    { ns: ["doc\u212Aer.io"] },
  ]) {
    assert.throws(() => find(hints), { status: 404, code: "NAME_UNKNOWN" }, JSON.stringify(hints));
  }
});

test("a first component with a dot is the registry's own business once a registry is named", () => {
  assert.deepEqual(repositoryOf(find({ name: ["ghcr.io", "example.com", "project"] })).name, "example.com/project");
});

test("library/ is put in front of Docker Hub's one-component names only", () => {
  assert.equal(repositoryOf(find({ name: ["app"] })).name, "library/app");
  assert.equal(repositoryOf(find({ name: ["docker.io", "app"] })).name, "library/app");
  assert.equal(repositoryOf(find({ name: ["me", "app"] })).name, "me/app");
  assert.equal(repositoryOf(find({ name: ["ghcr.io", "app"] })).name, "app");
});

test("the default must be among the registries", () => {
  assert.throws(() => new RegistryTable(REGISTRIES, "quay"), /quay/);
});

const NAME = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const known = fc.constantFrom("docker.io", "index.docker.io", "ghcr.io", "GHCR.IO", "registry.corp.example:5000");
const anything = fc.oneof(fc.string({ unit: "binary" }), fc.string(), known, fc.domain());
const anyHints = fc.record({
  host: fc.option(fc.oneof(anything, fc.constantFrom("hub.example", "ghcr.example:1")), { nil: undefined }),
  prefix: fc.option(anything, { nil: undefined }),
  name: fc.array(fc.oneof(anything, fc.stringMatching(/^[a-z0-9]{1,8}$/)), { maxLength: 5 }),
  ns: fc.array(anything, { maxLength: 3 }),
});

test("whatever is said: a configured registry and a name of the specification, or a refusal", () => {
  prove(
    fc.property(anyHints, (hints) => {
      try {
        const found = table.find(hints);
        assert.ok(REGISTRIES.includes(found.registry));
        if (found.namespace !== undefined) assert.match(found.namespace, /^[\x21-\x7e]+$/);
        const { name, serves } = repositoryOf(found);
        assert.match(name, NAME);
        assert.ok(name.length <= 255);
        assert.equal(serves, found.registry.serves);
      } catch (error) {
        assert.ok(error instanceof RegistryError, String(error));
        assert.ok([400, 404].includes(error.status));
      }
    }),
    1000,
  );
});

test("two places that name different registries are always refused", () => {
  const names = fc.shuffledSubarray(["docker.io", "ghcr.io", "registry.corp.example:5000"], {
    minLength: 2,
    maxLength: 2,
  });
  const places = fc.shuffledSubarray(["prefix", "name", "ns"] as const, { minLength: 2, maxLength: 2 });
  prove(
    fc.property(names, places, (said, where) => {
      const at = (place: (typeof where)[number]) => said[where.indexOf(place)];
      const [prefix, name, ns] = [at("prefix"), at("name"), at("ns")];
      const hints = { prefix, name: name === undefined ? ["a"] : [name, "a"], ns: ns === undefined ? [] : [ns] };
      assert.throws(() => find(hints), { status: 404, code: "NAME_UNKNOWN" });
    }),
  );
});
