import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startCache, type TestCache, testRegistry } from "./support/cache.ts";
import { type Answer, ask, errorCode } from "./support/client.ts";
import { type FakeImage, type FakeUpstream, startFakeUpstream } from "./support/fake-upstream.ts";
import { Life } from "./support/life.ts";
import type { HasAfter } from "./support/temp.ts";

const PORTED = "registry.corp.example:5000";
const GO_ENCODING = { "Accept-Encoding": "gzip" };
const MANIFEST_TYPES = [
  "application/vnd.docker.distribution.manifest.v2+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.oci.image.index.v1+json",
].join(", ");

const DOCKER = { "User-Agent": "docker/24.0.7 go/go1.20.10 kernel/6.1.0 os/linux arch/amd64", ...GO_ENCODING };
const BUILDKIT = { "User-Agent": "buildkit/v0.12", "Accept-Encoding": "zstd,gzip,deflate" };
const CONTAINERD = { "User-Agent": "containerd/2.1.4", "Accept-Encoding": "zstd,gzip,deflate" };
const PODMAN = {
  "User-Agent": "containers/5.29.2 (github.com/containers/image)",
  "Docker-Distribution-Api-Version": "registry/2.0",
};
const CRANE = { "User-Agent": "go-containerregistry/v0.19.1", ...GO_ENCODING };
const REGCTL = { "User-Agent": "regclient/regctl (v0.8.0)", ...GO_ENCODING };

/** A row of the clients' URL shapes: what arrives when such a client pulls `repository` of `registry`. */
interface Shape {
  readonly client: string;
  readonly headers: Record<string, string>;
  readonly registry: "docker.io" | "ghcr.io" | typeof PORTED;
  /** As the client says it; `library/app` is what upstream must be asked for where it says `app`. */
  readonly repository: string;
  /** The path it pings, if it does. */
  readonly ping?: string;
  /** In front of `<repository>/manifests/...`. */
  readonly base: string;
  readonly query?: string;
  /** What `OCI-Namespace` must say; undefined: there must be none. */
  readonly namespace?: string;
  readonly host?: string;
}

const hub = { registry: "docker.io", repository: "library/app" } as const;
const ghcr = { registry: "ghcr.io", repository: "acme/tool" } as const;
const ported = { registry: PORTED, repository: "team/app" } as const;

const SHAPES: readonly Shape[] = [
  {
    client: "Docker graphdriver >= 24.0, mirror with a path",
    headers: DOCKER,
    ...hub,
    ping: "/docker.io/v2/",
    base: "/docker.io/v2/",
  },
  { client: "Docker graphdriver <= 23, mirror without a path", headers: DOCKER, ...hub, ping: "/v2/", base: "/v2/" },
  {
    client: "Docker graphdriver <= 23, mirror with its own host name",
    headers: DOCKER,
    ...hub,
    ping: "/v2/",
    base: "/v2/",
    host: "hub.cache.example",
  },
  {
    client: "dockerd >= 28 with the containerd store",
    headers: DOCKER,
    ...hub,
    base: "/docker.io/v2/",
    query: "ns=docker.io",
  },
  { client: "BuildKit of dockerd >= 28", headers: BUILDKIT, ...hub, base: "/docker.io/v2/", query: "ns=docker.io" },
  { client: "BuildKit of dockerd 24-27", headers: BUILDKIT, ...hub, base: "/v2/docker.io/", query: "ns=docker.io" },
  {
    client: "dockerd 24-27 with the containerd store",
    headers: DOCKER,
    ...hub,
    base: "/v2/docker.io/",
    query: "ns=docker.io",
  },
  {
    client: "containerd hosts.toml with a path",
    headers: CONTAINERD,
    ...ghcr,
    base: "/ghcr.io/v2/",
    query: "ns=ghcr.io",
  },
  {
    client: "containerd hosts.toml with a path, registry with a port",
    headers: CONTAINERD,
    ...ported,
    base: `/${PORTED}/v2/`,
    query: "ns=registry.corp.example%3A5000",
  },
  {
    client: "containerd hosts.toml with override_path",
    headers: CONTAINERD,
    ...ghcr,
    base: "/v2/ghcr.io/",
    query: "ns=ghcr.io",
  },
  {
    client: "containerd hosts.toml for one endpoint and all registries",
    headers: CONTAINERD,
    ...ghcr,
    base: "/v2/",
    query: "ns=ghcr.io",
    namespace: "ghcr.io",
  },
  {
    client: "containerd with ns and a port",
    headers: CONTAINERD,
    ...ported,
    base: "/v2/",
    query: "ns=registry.corp.example%3A5000",
    namespace: PORTED,
  },
  {
    client: "containerd with a host name of ours",
    headers: CONTAINERD,
    ...ghcr,
    base: "/v2/",
    query: "ns=ghcr.io",
    host: "ghcr.cache.example",
  },
  { client: "k3s with /v2 and a path", headers: CONTAINERD, ...ghcr, base: "/v2/ghcr.io/", query: "ns=ghcr.io" },
  { client: "buildkitd with a path", headers: BUILDKIT, ...ghcr, base: "/v2/ghcr.io/", query: "ns=ghcr.io" },
  { client: "Podman", headers: PODMAN, ...ghcr, ping: "/v2/", base: "/v2/ghcr.io/" },
  { client: "Podman, registry with a port", headers: PODMAN, ...ported, ping: "/v2/", base: `/v2/${PORTED}/` },
  { client: "Podman, Docker Hub", headers: PODMAN, ...hub, ping: "/v2/", base: "/v2/docker.io/" },
  {
    client: "Podman with a host name of ours",
    headers: PODMAN,
    ...ghcr,
    ping: "/v2/",
    base: "/v2/",
    host: "ghcr.cache.example",
  },
  { client: "kaniko", headers: CRANE, ...ghcr, ping: "/v2/", base: "/v2/ghcr.io/" },
  { client: "crane with a rewritten reference", headers: CRANE, ...ghcr, ping: "/v2/", base: "/v2/ghcr.io/" },
  {
    client: "crane with a rewritten reference that leaves library/ out",
    headers: CRANE,
    registry: "docker.io",
    repository: "app",
    ping: "/v2/",
    base: "/v2/docker.io/",
  },
  { client: "oras with a rewritten reference", headers: { "User-Agent": "oras-go" }, ...ghcr, base: "/v2/ghcr.io/" },
  {
    client: "helm with a rewritten reference",
    headers: { "User-Agent": "Helm/3.14.0" },
    ...ghcr,
    base: "/v2/ghcr.io/",
  },
  {
    client: "regctl with --path-prefix and the upstream's own host name",
    headers: REGCTL,
    ...hub,
    base: "/v2/docker.io/",
    query: "ns=registry-1.docker.io",
  },
  {
    client: "regctl without a prefix",
    headers: REGCTL,
    ...hub,
    base: "/v2/",
    query: "ns=registry-1.docker.io",
    namespace: "registry-1.docker.io",
  },
];

interface World {
  readonly cache: TestCache;
  readonly upstreams: Readonly<Record<Shape["registry"], FakeUpstream>>;
  readonly images: Readonly<Record<Shape["registry"], FakeImage>>;
}

/** Three registries with one image each; quay.io is known to nobody. */
async function setUp(t: HasAfter): Promise<World> {
  const [one, two, three] = await Promise.all([startFakeUpstream(), startFakeUpstream(), startFakeUpstream()]);
  const upstreams = { "docker.io": one, "ghcr.io": two, [PORTED]: three };
  t.after(async () => void (await Promise.all(Object.values(upstreams).map((upstream) => upstream.stop()))));
  const cache = await startCache(t, [
    testRegistry(one.url, { hostnames: ["Hub.Cache.Example"] }),
    registry("ghcr", "ghcr.io", two, ["ghcr.cache.example", "ghcr.cache.example.net:8443"]),
    registry("corp", PORTED, three, []),
  ]);
  return {
    cache,
    upstreams,
    images: {
      "docker.io": one.addImage("library/app", "1.0"),
      "ghcr.io": two.addImage("acme/tool", "1.0"),
      [PORTED]: three.addImage("team/app", "1.0"),
    },
  };
}

function registry(id: string, serves: string, upstream: FakeUpstream, hostnames: readonly string[]) {
  return testRegistry(upstream.url, { id, serves, aliases: [], hostnames, libraryPrefix: false });
}

function assertNobodyAsked({ upstreams }: World, why: string): void {
  for (const [name, upstream] of Object.entries(upstreams)) {
    assert.deepEqual(
      upstream.requests.map((one) => one.path),
      [],
      `${why}: ${name} was asked`,
    );
  }
}

function assertOnlyAsked({ upstreams }: World, registryName: string, repository: string): void {
  for (const [name, upstream] of Object.entries(upstreams)) {
    const foreign = upstream.requests.filter(
      (one) => name !== registryName || !one.path.startsWith(`/v2/${repository}/`),
    );
    assert.deepEqual(
      foreign.map((one) => one.path),
      [],
      `${name} was asked for something else`,
    );
  }
}

function assertPlain(answer: Answer, shape: Shape): void {
  assert.equal(answer.headers["content-encoding"], undefined, "content is never encoded, although asked for");
  assert.equal(answer.headers["transfer-encoding"], undefined);
  assert.equal(answer.headers["location"], undefined);
  assert.equal(answer.headers["docker-distribution-api-version"], "registry/2.0");
  assert.equal(answer.headers["oci-namespace"], shape.namespace);
}

/** The whole pull as the client does it. */
async function pull(cache: TestCache, shape: Shape, image: FakeImage): Promise<void> {
  const host: Record<string, string> = shape.host === undefined ? {} : { Host: shape.host };
  const query = shape.query === undefined ? "" : `?${shape.query}`;
  const send = async (path: string, method: string, headers: Record<string, string> = {}) =>
    await ask(`${cache.url}${path}`, { method, headers: { ...shape.headers, ...host, ...headers } });

  if (shape.ping !== undefined) {
    const ping = await send(shape.ping, "GET");
    assert.equal(ping.status, 200);
    assertPlain(ping, shape);
  }
  const at = (rest: string) => `${shape.base}${shape.repository}/${rest}${query}`;
  const accept = { Accept: `${MANIFEST_TYPES}, */*` };
  const head = await send(at("manifests/1.0"), "HEAD", accept);
  const byTag = await send(at("manifests/1.0"), "GET", accept);
  const byDigest = await send(at(`manifests/${image.digest}`), "GET", accept);
  for (const answer of [head, byTag, byDigest]) {
    assert.equal(answer.status, 200);
    assertPlain(answer, shape);
    assert.equal(answer.headers["docker-content-digest"], image.digest);
    assert.equal(answer.headers["content-length"], String(image.size));
    assert.equal(answer.headers["content-type"], image.mediaType);
  }
  assert.equal(head.body.length, 0);
  assert.deepEqual(byTag.body, Buffer.from(image.bytes));
  assert.deepEqual(byDigest.body, Buffer.from(image.bytes));
  for (const blob of [image.config, ...image.layers]) {
    const known = await send(at(`blobs/${blob.digest}`), "HEAD");
    assert.equal(known.status, 200);
    assert.equal(known.headers["content-length"], String(blob.size));
    const answer = await send(at(`blobs/${blob.digest}`), "GET");
    assert.equal(answer.status, 200);
    assertPlain(answer, shape);
    assert.equal(answer.headers["docker-content-digest"], blob.digest);
    assert.deepEqual(answer.body, Buffer.from(blob.bytes));
  }
}

describe("the request of", () => {
  const life = new Life();
  let world: World;
  before(async () => {
    world = await setUp(life);
  });
  after(async () => await life.end());

  for (const [index, shape] of SHAPES.entries()) {
    const shown = `${shape.base}<repo>${shape.query === undefined ? "" : `?${shape.query}`}`;
    test(`${shape.client}, ${shown}, pulls from ${shape.registry}`, async () => {
      // Content of its own, so that nothing is held yet.
      const own = { ...shape, repository: `${shape.repository}${index}` };
      const upstreamName = own.repository.includes("/") ? own.repository : `library/${own.repository}`;
      const image = world.upstreams[shape.registry].addImage(upstreamName, "1.0");
      for (const upstream of Object.values(world.upstreams)) upstream.requests.length = 0;
      await pull(world.cache, own, image);
      assertOnlyAsked(world, shape.registry, upstreamName);
    });
  }
});

test("a missing library/ is the same repository as a said one: nothing is fetched twice", async (t) => {
  const world = await setUp(t);
  for (const path of [
    "/v2/app",
    "/v2/library/app",
    "/v2/docker.io/app",
    "/docker.io/v2/app",
    "/v2/docker.io/library/app",
  ]) {
    assert.equal((await ask(`${world.cache.url}${path}/manifests/1.0`)).status, 200, path);
  }
  assert.equal(world.upstreams["docker.io"].count({ path: "/v2/library/app/manifests/1.0" }), 1);
  assert.equal(world.upstreams["docker.io"].requests.length, 1);
});

test("library/ is Docker Hub's own: elsewhere one component stays one", async (t) => {
  const world = await setUp(t);
  world.upstreams["ghcr.io"].addImage("tool", "1.0");
  assert.equal((await ask(`${world.cache.url}/v2/ghcr.io/tool/manifests/1.0`)).status, 200);
});

test("Docker Hub's other names mean docker.io, as ns and as path", async (t) => {
  const world = await setUp(t);
  for (const name of ["docker.io", "index.docker.io", "registry-1.docker.io", "Docker.IO", "INDEX.docker.io"]) {
    for (const path of [`/v2/${name}/library/app/manifests/1.0`, `/${name}/v2/library/app/manifests/1.0`]) {
      assert.equal((await ask(`${world.cache.url}${path}`)).status, 200, path);
    }
    const byNs = await ask(`${world.cache.url}/v2/library/app/manifests/1.0?ns=${name}`);
    assert.equal(byNs.status, 200, name);
    assert.equal(byNs.headers["oci-namespace"], name);
  }
  assert.equal(world.upstreams["docker.io"].requests.length, 1);
});

test("a host name chooses with any port and in upper case; one that is configured with a port needs it", async (t) => {
  const world = await setUp(t);
  for (const host of [
    "ghcr.cache.example",
    "ghcr.cache.example:5000",
    "GHCR.Cache.Example:443",
    "ghcr.cache.example.",
    "ghcr.cache.example.net:8443",
  ]) {
    const answer = await ask(`${world.cache.url}/v2/acme/tool/manifests/1.0`, { headers: { Host: host } });
    assert.equal(answer.status, 200, host);
    assert.equal(answer.headers["oci-namespace"], undefined);
  }
  assertOnlyAsked(world, "ghcr.io", "acme/tool");
  const elsewhere = { Host: "ghcr.cache.example.net" };
  const answer = await ask(`${world.cache.url}/v2/acme/tool/manifests/1.0`, { headers: elsewhere });
  assert.equal(answer.status, 404, "that is the default registry, which has no such image");
  assert.equal(world.upstreams["docker.io"].requests.length, 1);
});

test("an unknown host name is no choice at all: the default registry answers", async (t) => {
  const world = await setUp(t);
  for (const host of ["cache.example", "10.0.0.7:5000", "[::1]:5000", "ghcr.io.evil.example", ""]) {
    const answer = await ask(`${world.cache.url}/v2/library/app/manifests/1.0`, { headers: { Host: host } });
    assert.equal(answer.status, 200, host);
  }
});

const HUB_HOST = { Host: "hub.cache.example" };
const CONTRADICTIONS: readonly {
  readonly says: string;
  readonly path: string;
  readonly headers?: Record<string, string>;
}[] = [
  { says: "ns and path", path: "/v2/docker.io/acme/tool/manifests/1.0?ns=ghcr.io" },
  { says: "ns and the path before v2", path: "/docker.io/v2/acme/tool/manifests/1.0?ns=ghcr.io" },
  { says: "ns and host", path: "/v2/acme/tool/manifests/1.0?ns=ghcr.io", headers: HUB_HOST },
  { says: "host and path", path: "/v2/ghcr.io/acme/tool/manifests/1.0", headers: HUB_HOST },
  { says: "host and the path before v2", path: "/ghcr.io/v2/acme/tool/manifests/1.0", headers: HUB_HOST },
  { says: "both places in the path", path: "/docker.io/v2/ghcr.io/acme/tool/manifests/1.0" },
  { says: "two ns", path: "/v2/acme/tool/manifests/1.0?ns=docker.io&ns=ghcr.io" },
  { says: "the port of ns and path", path: "/v2/docker.io/team/app/manifests/1.0?ns=registry.corp.example%3A5000" },
];

for (const { says, path, headers } of CONTRADICTIONS) {
  test(`a contradiction between ${says} is 404, and nobody is asked`, async (t) => {
    const world = await setUp(t);
    for (const one of [path, path.replace(/manifests\/1\.0/, `blobs/${world.images["ghcr.io"].config.digest}`)]) {
      const answer = await ask(`${world.cache.url}${one}`, { headers: headers ?? {} });
      assert.deepEqual([answer.status, errorCode(answer)], [404, "NAME_UNKNOWN"], one);
      assert.equal(answer.headers["oci-namespace"], undefined);
    }
    assertNobodyAsked(world, says);
  });
}

test("a registry that is unknown or switched off is 404 in every shape, and nobody is asked", async (t) => {
  const world = await setUp(t);
  const digest = world.images["docker.io"].config.digest;
  for (const rest of ["manifests/1.0", `manifests/${digest}`, `blobs/${digest}`, "tags/list", `referrers/${digest}`]) {
    for (const path of [
      `/v2/quay.io/acme/tool/${rest}`,
      `/quay.io/v2/acme/tool/${rest}`,
      `/v2/acme/tool/${rest}?ns=quay.io`,
      `/v2/acme/tool/${rest}?ns=registry.corp.example`,
      `/v2/acme/tool/${rest}?ns=registry.corp.example%3A5001`,
      `/v2/acme/tool/${rest}?ns=`,
      `/v2/acme/tool/${rest}?ns=http%3A%2F%2F127.0.0.1%3A1`,
      `/v2/127.0.0.1:5000/acme/tool/${rest}`,
      `/v2/localhost/acme/tool/${rest}`,
      `/v2/acme/tool/${rest}?ns=doc%E2%84%AAer.io`,
    ]) {
      for (const method of ["GET", "HEAD"]) {
        const answer = await ask(`${world.cache.url}${path}`, { method });
        assert.equal(answer.status, 404, `${method} ${path}`);
        if (method === "GET") assert.equal(errorCode(answer), "NAME_UNKNOWN");
        assert.equal(answer.headers["oci-namespace"], undefined);
      }
    }
  }
  assertNobodyAsked(world, "unknown");
});

test("an encoded slash does not smuggle a registry's name into a repository of another", async (t) => {
  const world = await setUp(t);
  for (const path of [
    "/v2/quay.io%2Facme/tool/manifests/1.0",
    "/v2/ghcr.io%2Facme%2Ftool/manifests/1.0",
    "/v2/docker.io/library%2fapp/manifests/1.0",
  ]) {
    const answer = await ask(`${world.cache.url}${path}`);
    assert.deepEqual([answer.status, errorCode(answer)], [400, "NAME_INVALID"], path);
  }
  assertNobodyAsked(world, "encoded");
});

test("the ping below a registry is for that registry; below anything else it is 404", async (t) => {
  const world = await setUp(t);
  for (const path of ["/v2/", "/v2", "/docker.io/v2/", "/ghcr.io/v2", "/v2/ghcr.io/", "/v2/?ns=ghcr.io"]) {
    const answer = await ask(`${world.cache.url}${path}`);
    assert.equal(answer.status, 200, path);
    assert.equal(answer.headers["docker-distribution-api-version"], "registry/2.0");
  }
  for (const path of [
    "/quay.io/v2/",
    "/v2/quay.io/",
    "/v2/?ns=quay.io",
    "/v2/library/",
    "/a/b/v2/",
    "/v2x/",
    "//v2/",
  ]) {
    assert.equal((await ask(`${world.cache.url}${path}`)).status, 404, path);
  }
  assertNobodyAsked(world, "ping");
});

test("a catalog below a repository is no endpoint", async (t) => {
  const world = await setUp(t);
  assert.equal((await ask(`${world.cache.url}/v2/_catalog`)).status, 200);
  assert.equal((await ask(`${world.cache.url}/v2/ghcr.io/_catalog`)).status, 200);
  assert.equal((await ask(`${world.cache.url}/v2/library/app/_catalog`)).status, 404);
});

test("names that look like endpoints are names", async (t) => {
  const world = await setUp(t);
  for (const name of ["manifests/blobs", "a/tags/list", "blobs/uploads", "v2/v2"]) {
    const image = world.upstreams["ghcr.io"].addImage(name, "manifests");
    const answer = await ask(`${world.cache.url}/v2/ghcr.io/${name}/manifests/manifests`);
    assert.deepEqual([answer.status, answer.headers["docker-content-digest"]], [200, image.digest], name);
  }
});

test("a percent-encoded colon in a digest or a registry's port is a colon", async (t) => {
  const world = await setUp(t);
  const image = world.images[PORTED];
  const encoded = image.digest.replace(":", "%3A");
  assert.equal(
    (await ask(`${world.cache.url}/v2/registry.corp.example%3A5000/team/app/manifests/${encoded}`)).status,
    200,
  );
});

test("the next page of a list keeps the shape that the client used", async (t) => {
  const world = await setUp(t);
  for (const tag of ["1.1", "1.2", "1.3"]) world.upstreams["ghcr.io"].addImage("acme/tool", tag);
  for (const start of [
    "/v2/ghcr.io/acme/tool/tags/list?n=2",
    "/ghcr.io/v2/acme/tool/tags/list?n=2",
    "/v2/acme/tool/tags/list?n=2&ns=ghcr.io",
  ]) {
    const tags: string[] = [];
    for (let path: string | undefined = start; path !== undefined;) {
      const answer: Answer = await ask(`${world.cache.url}${path}`);
      assert.equal(answer.status, 200, path);
      tags.push(...(JSON.parse(answer.body.toString()) as { tags: string[] }).tags);
      path = /^<([^>]+)>; rel="next"$/.exec(String(answer.headers["link"] ?? ""))?.[1];
    }
    assert.deepEqual(tags, ["1.0", "1.1", "1.2", "1.3"], start);
  }
});
