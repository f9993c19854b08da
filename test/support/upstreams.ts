import type { LookupFunction } from "node:net";
import type { RegistryConfig } from "../../src/config/config.ts";
import { type Reference, parseRepositoryName, parseTag } from "../../src/oci/reference.ts";
import { type UpstreamsOptions, createUpstreams } from "../../src/upstream/create.ts";
import { type Upstream, UpstreamError, type UpstreamErrorKind } from "../../src/upstream/upstream.ts";
import { type FakeUpstream, type FakeUpstreamOptions, type RequestMatch, startFakeUpstream } from "./fake-upstream.ts";
import type { HasAfter } from "./temp.ts";

/** The fake's hosts by name, so that another host is another host and not another port only. */
export const HOSTS = { registry: "registry.test", cdn: "cdn.test", token: "auth.test" };

export interface UpstreamBench {
  readonly fake: FakeUpstream;
  readonly upstream: Upstream;
}

export interface BenchOptions {
  readonly fake?: FakeUpstreamOptions;
  readonly registry?: Partial<RegistryConfig>;
  readonly upstreams?: Partial<UpstreamsOptions>;
}

/** A fake upstream and the real client that talks to it. By default redirects and realms may lead to the fake's hosts. */
export async function startBench(t: HasAfter, options: BenchOptions = {}): Promise<UpstreamBench> {
  const fake = await startFakeUpstream({ ...options.fake, hosts: { ...HOSTS, ...options.fake?.hosts } });
  const config = registryConfig({ upstream: fake.url, realms: [HOSTS.token], ...options.registry });
  const upstream = openUpstream(t, config, options.upstreams);
  t.after(() => fake.stop());
  return { fake, upstream };
}

/** The real client for one registry; closed after the test. */
export function openUpstream(t: HasAfter, config: RegistryConfig, options: Partial<UpstreamsOptions> = {}): Upstream {
  const upstreams = createUpstreams([config], { version: "test", lookup: lookupTest, ...options });
  const upstream = upstreams.get(config.id);
  if (upstream === undefined) throw new Error(`no upstream ${config.id}`);
  t.after(() => upstream.close());
  return upstream;
}

/** All of `.test` is this machine; nothing else exists. */
export const lookupTest: LookupFunction = (hostname, options, callback) => {
  if (!hostname.endsWith(".test")) {
    const error = Object.assign(new Error(`no such host: ${hostname}`), { code: "ENOTFOUND" });
    return callback(error, "");
  }
  return options.all === true ? callback(null, [{ address: "127.0.0.1", family: 4 }]) : callback(null, "127.0.0.1", 4);
};

export function registryConfig(changes: Partial<RegistryConfig> & { readonly upstream: string }): RegistryConfig {
  return {
    id: "test",
    serves: "registry.test",
    aliases: [],
    hostnames: [],
    anonymous: undefined,
    libraryPrefix: false,
    credentials: undefined,
    sharedRepositories: ["**"],
    passThrough: false,
    tags: [],
    whenDeleted: "serve",
    realms: [],
    allowPrivateAddresses: true,
    upstreamIsOwn: true,
    ca: undefined,
    questionsMax: 16,
    transfersMax: 16,
    requestsPerSecond: undefined,
    bytesPerSecond: undefined,
    maxSizeBytes: undefined,
    quotaReserveShare: 0.1,
    timeouts: { connectMs: 5_000, headersMs: 30_000, idleMs: 60_000, askBudgetMs: 3_000 },
    ...changes,
  };
}

/**
 * What was sent, one line a request: `registry GET manifests/1 token 200`. Queries are left out, digests and repository
 * names too; the fourth word is how the request was authorized.
 */
export function sent(fake: FakeUpstream, filter: Pick<RequestMatch, "role" | "method"> = {}): string[] {
  return fake.requests
    .filter(({ role, method }) => (filter.role ?? role) === role && (filter.method ?? method) === method)
    .map(({ role, method, path, headers, status }) => {
      const bare = path.replace(/\?.*$/, "").replaceAll(/sha256:[0-9a-f]{64}/g, "<digest>");
      const resource = bare.replace(/^\/v2\/.*\/(manifests|blobs|tags|referrers)\//, "$1/");
      return `${role} ${method} ${resource} ${schemeOf(headers.authorization)} ${status}`;
    });
}

function schemeOf(authorization: string | undefined): string {
  if (authorization === undefined) return "anonymous";
  return authorization.startsWith("Bearer ") ? "token" : "basic";
}

/** The query parameters of each token request, in order. */
export function tokenQueries(fake: FakeUpstream): URLSearchParams[] {
  return fake.requests
    .filter(({ role }) => role === "token")
    .map(({ path }) => new URL(path, "http://fake.invalid").searchParams);
}

export function name(text: string) {
  const parsed = parseRepositoryName(text);
  if (parsed === undefined) throw new Error(`no repository name: ${text}`);
  return parsed;
}

export function tag(text: string): Reference {
  const parsed = parseTag(text);
  if (parsed === undefined) throw new Error(`no tag: ${text}`);
  return { kind: "tag", tag: parsed };
}

/** For `assert.rejects`: an UpstreamError of this kind, and of this status if one is given. */
export function failsAs(kind: UpstreamErrorKind, status?: number) {
  return (error: unknown) => {
    if (!(error instanceof UpstreamError)) throw new Error("not an UpstreamError", { cause: error });
    if (error.kind !== kind) throw new Error(`${error.kind} instead of ${kind}: ${error.message}`, { cause: error });
    if (status !== undefined && error.status !== status) throw new Error(`status ${error.status}`, { cause: error });
    return true;
  };
}

/** A signal that nobody aborts. */
export function patient(): AbortSignal {
  return new AbortController().signal;
}
