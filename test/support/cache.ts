import type { LookupFunction } from "node:net";
import { type Logger, pino } from "pino";
import { type App, type AppAdditions, createApp } from "../../src/app.ts";
import type { AccessConfig, Config, RegistryConfig } from "../../src/config/config.ts";
import { LISTENER_LIMITS } from "../../src/server/listener-server.ts";
import { type HasAfter, tempDir } from "./temp.ts";

/** Everybody may pull. */
export const OPEN_ACCESS: AccessConfig = {
  anonymous: true,
  networks: [],
  hosts: [],
  htpasswd: undefined,
  bearer: false,
  mtls: undefined,
  paths: [],
  rules: [],
};

/** A registry in front of a fake upstream on loopback; tests say only what differs. */
export function testRegistry(upstream: string, differs: Partial<RegistryConfig> = {}): RegistryConfig {
  return {
    id: "dockerhub",
    serves: "docker.io",
    aliases: ["index.docker.io", "registry-1.docker.io"],
    upstream,
    hostnames: [],
    anonymous: undefined,
    libraryPrefix: true,
    credentials: undefined,
    // Nobody's credentials open what there would be to share.
    sharedRepositories: differs.credentials === undefined ? [] : ["**"],
    passThrough: false,
    tags: [{ match: "*", revalidate: { kind: "after", ms: 60_000 } }],
    whenDeleted: "serve",
    realms: ["127.0.0.1"],
    allowPrivateAddresses: true,
    upstreamIsOwn: true,
    ca: undefined,
    questionsMax: 16,
    transfersMax: 16,
    requestsPerSecond: undefined,
    bytesPerSecond: undefined,
    maxSizeBytes: undefined,
    quotaReserveShare: 0.1,
    timeouts: { connectMs: 2_000, headersMs: 5_000, idleMs: 5_000, askBudgetMs: 1_000 },
    ...differs,
  };
}

export interface TestCache {
  readonly url: string;
  readonly app: App;
  readonly dataDir: string;
  /** Stops this one and starts another on the same data. */
  restart(): Promise<TestCache>;
  stop(): Promise<void>;
}

export interface TestCacheOptions {
  readonly dataDir?: string;
  readonly config?: Partial<Config>;
  /** By default what `TEST_LOG_LEVEL` says. */
  readonly log?: Logger;
  /** Replaces DNS. */
  readonly lookup?: LookupFunction;
  readonly more?: AppAdditions;
}

export function testConfig(
  dataDir: string,
  registries: readonly RegistryConfig[],
  differs: Partial<Config> = {},
): Config {
  return {
    source: undefined,
    listen: [{ host: "127.0.0.1", port: 0, methods: undefined, tls: true }],
    dataDir,
    minFreeDiskBytes: 0,
    maxSizeBytes: undefined,
    maxAgeMs: undefined,
    pins: [],
    api: { hostnames: [], read: "pullers", metrics: "pullers", admins: [] },
    webhooks: [],
    defaultRegistry: registries[0]?.id ?? "",
    registries,
    fillsMax: 32,
    keepFreshEveryMs: 3_600_000,
    workers: 1,
    tls: undefined,
    acme: undefined,
    access: OPEN_ACCESS,
    trustedProxies: [],
    url: undefined,
    tlsCa: undefined,
    warnings: [],
    log: { format: "json", level: "silent" },
    stopTimeoutMs: 2_000,
    proxy: { httpProxy: "", httpsProxy: "", noProxy: "" },
    ...differs,
  };
}

/** The whole cache in this process, on a port of its own. It stops with the test. */
export async function startCache(
  t: HasAfter,
  registries: readonly RegistryConfig[],
  options: TestCacheOptions = {},
): Promise<TestCache> {
  const dataDir = options.dataDir ?? (await tempDir(t));
  const config = testConfig(dataDir, registries, options.config);
  const log = options.log ?? pino({ level: process.env["TEST_LOG_LEVEL"] ?? "silent" });
  const app = await createApp(config, log, LISTENER_LIMITS, options.lookup, options.more);
  const { addresses } = await app.start();
  let stopping: Promise<unknown> | undefined;
  const stop = async () => void (await (stopping ??= app.stop()));
  t.after(stop);
  return {
    url: `${config.tls === undefined ? "http" : "https"}://${addresses[0]}`,
    app,
    dataDir,
    stop,
    restart: async () => {
      await stop();
      return await startCache(t, registries, { ...options, dataDir });
    },
  };
}
