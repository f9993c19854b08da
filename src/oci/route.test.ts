import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import type { Digest } from "./digest.ts";
import { RegistryError } from "./errors.ts";
import type { Tag } from "./reference.ts";
import { type ApiPath, type Endpoint, parseApiPath } from "./route.ts";

const DIGEST = `sha256:${"a".repeat(64)}` as Digest;
const latest: Endpoint = { kind: "manifest", reference: { kind: "tag", tag: "latest" as Tag } };

function route(name: readonly string[], endpoint: Endpoint, prefix?: string): ApiPath {
  return { prefix, name, endpoint };
}

test("each endpoint of the specification is known", () => {
  assert.deepEqual(parseApiPath("/v2/"), route([], { kind: "ping" }));
  assert.deepEqual(parseApiPath("/v2"), route([], { kind: "ping" }));
  assert.deepEqual(parseApiPath("/v2/_catalog"), route([], { kind: "catalog" }));
  assert.deepEqual(parseApiPath("/v2/a/b/manifests/latest"), route(["a", "b"], latest));
  assert.deepEqual(parseApiPath(`/v2/a/blobs/${DIGEST}`), route(["a"], { kind: "blob", digest: DIGEST }));
  assert.deepEqual(parseApiPath("/v2/a/tags/list"), route(["a"], { kind: "tags" }));
  assert.deepEqual(parseApiPath(`/v2/a/referrers/${DIGEST}`), route(["a"], { kind: "referrers", digest: DIGEST }));
  for (const path of ["/v2/a/blobs/uploads", "/v2/a/blobs/uploads/", "/v2/a/blobs/uploads/1-2-3"]) {
    assert.deepEqual(parseApiPath(path), route(["a"], { kind: "upload" }), path);
  }
});

test("one component may stand before v2", () => {
  assert.deepEqual(parseApiPath("/ghcr.io/v2/"), route([], { kind: "ping" }, "ghcr.io"));
  assert.deepEqual(parseApiPath("/ghcr.io/v2/_catalog"), route([], { kind: "catalog" }, "ghcr.io"));
  assert.deepEqual(parseApiPath("/ghcr.io/v2/a/manifests/latest"), route(["a"], latest, "ghcr.io"));
  assert.deepEqual(parseApiPath("/r%3A5000/v2/a/manifests/latest"), route(["a"], latest, "r:5000"));
  assert.deepEqual(parseApiPath("/v2/v2/manifests/latest"), route(["v2"], latest));
});

test("what is not below v2 is not of this API", () => {
  for (const path of ["/", "", "/summary", "/v1/", "/v2x/", "/a/b/v2/", "/V2/", "/a/v22/"]) {
    assert.equal(parseApiPath(path), undefined, path);
  }
});

test("words of the API are names too, since a path is read from its end", () => {
  assert.deepEqual(parseApiPath("/v2/manifests/blobs/manifests/latest"), route(["manifests", "blobs"], latest));
  assert.deepEqual(parseApiPath("/v2/tags/list/tags/list"), route(["tags", "list"], { kind: "tags" }));
  assert.deepEqual(parseApiPath("/v2/a/blobs/uploads/manifests/latest"), route(["a", "blobs", "uploads"], latest));
});

test("bad digests are 400, tags that cannot exist 404, other endpoints 404", () => {
  const refusals = {
    "/v2/a/manifests/sha256:x": [400, "DIGEST_INVALID"],
    "/v2/a/blobs/x": [400, "DIGEST_INVALID"],
    "/v2/a/referrers/x": [400, "DIGEST_INVALID"],
    "/v2/a/manifests/.x": [404, "MANIFEST_UNKNOWN"],
    "/v2/a/manifests/": [404, "NAME_UNKNOWN"],
    "/v2/a/other/x": [404, "NAME_UNKNOWN"],
    "/v2/a/tags/other": [404, "NAME_UNKNOWN"],
    "/v2/a%2Fb/manifests/1": [400, "NAME_INVALID"],
    "/v2/a%zz/manifests/1": [400, "NAME_INVALID"],
    "/v2/%c0%ae/manifests/1": [400, "NAME_INVALID"],
    [`/v2/${"a/".repeat(200)}manifests/1`]: [400, "NAME_INVALID"],
  } as const;
  for (const [path, [status, code]] of Object.entries(refusals)) {
    assert.throws(() => parseApiPath(path), { status, code }, path);
  }
});

test("percent encoding is taken off once", () => {
  assert.deepEqual(parseApiPath(`/v2/a/blobs/${DIGEST.replace(":", "%3a")}`)?.endpoint, {
    kind: "blob",
    digest: DIGEST,
  });
  assert.throws(() => parseApiPath(`/v2/a/blobs/${DIGEST.replace(":", "%253a")}`), { code: "DIGEST_INVALID" });
  assert.deepEqual(parseApiPath("/v2/%252e%252e/manifests/latest")?.name, ["%2e%2e"]);
});

const component = fc.stringMatching(/^[a-z0-9]{1,6}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,6}){0,2}$/);
const words = fc.constantFrom("manifests", "blobs", "tags", "list", "referrers", "uploads", "v2");
const names = fc.array(fc.oneof({ weight: 3, arbitrary: component }, words), { minLength: 1, maxLength: 6 });
const digests = fc
  .array(fc.constantFrom(..."0123456789abcdef".split("")), { minLength: 64, maxLength: 64 })
  .map((hex) => `sha256:${hex.join("")}` as Digest);
const tags = fc.stringMatching(/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/).map((tag) => tag as Tag);
const endpoints: fc.Arbitrary<Endpoint> = fc.oneof(
  tags.map((tag): Endpoint => ({ kind: "manifest", reference: { kind: "tag", tag } })),
  digests.map((digest): Endpoint => ({ kind: "manifest", reference: { kind: "digest", digest } })),
  digests.map((digest): Endpoint => ({ kind: "blob", digest })),
  digests.map((digest): Endpoint => ({ kind: "referrers", digest })),
  fc.constant<Endpoint>({ kind: "tags" }),
);

/** The URL that a client builds, written without the code under test. */
function built({ prefix, name, endpoint }: ApiPath, encode: (text: string) => string): string {
  const last = () => {
    switch (endpoint.kind) {
      case "manifest":
        return `manifests/${encode(endpoint.reference.kind === "tag" ? endpoint.reference.tag : endpoint.reference.digest)}`;
      case "blob":
        return `blobs/${encode(endpoint.digest)}`;
      case "referrers":
        return `referrers/${encode(endpoint.digest)}`;
      default:
        return "tags/list";
    }
  };
  return `${prefix === undefined ? "" : `/${encode(prefix)}`}/v2/${name.map(encode).join("/")}/${last()}`;
}

test("every URL that a client can build is read back as what it was built from, encoded or not", () => {
  const prefixes = fc.option(fc.constantFrom("docker.io", "ghcr.io", "r.example:5000"), { nil: undefined });
  prove(
    fc.property(prefixes, names, endpoints, (prefix, name, endpoint) => {
      const path: ApiPath = { prefix, name, endpoint };
      assert.deepEqual(parseApiPath(built(path, (text) => text)), path);
      assert.deepEqual(parseApiPath(built(path, encodeURIComponent)), path);
    }),
    500,
  );
});

const anyPath = fc.oneof(
  fc.string({ unit: "binary" }),
  fc
    .array(fc.oneof(words, fc.string(), component, fc.constantFrom("", "..", "%2e", "%2f", "_catalog")), {
      maxLength: 8,
    })
    .map((parts) => `/v2/${parts.join("/")}`),
);

test("no path throws anything but a refusal, and no reference leaves the specification's expressions", () => {
  prove(
    fc.property(anyPath, (path) => {
      try {
        const parsed = parseApiPath(path);
        if (parsed === undefined) return;
        const { endpoint } = parsed;
        for (const part of parsed.name) assert.ok(!part.includes("/"));
        if (endpoint.kind === "manifest" && endpoint.reference.kind === "tag") {
          assert.match(endpoint.reference.tag, /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/);
        }
        if (endpoint.kind === "blob") assert.match(endpoint.digest, /^sha(?:256:[a-f0-9]{64}|512:[a-f0-9]{128})$/);
      } catch (error) {
        assert.ok(error instanceof RegistryError, String(error));
        assert.ok([400, 404].includes(error.status));
      }
    }),
    2000,
  );
});
