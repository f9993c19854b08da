import type { LookupFunction } from "node:net";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Logger } from "pino";
import { Bypassing } from "./access/bypassing.ts";
import { openAccess } from "./access/open.ts";
import { type Control, type LazyApi, listenForControl } from "./admin/control.ts";
import type { AskedApi } from "./admin/api/asked.ts";
import type { ApiParts } from "./admin/api/create.ts";
import { activityView } from "./admin/activity.ts";
import { apiParts } from "./admin/parts.ts";
import { publicApi } from "./admin/public-api.ts";
import { statisticsRoutes } from "./admin/statistics.ts";
import { Warming } from "./admin/warm.ts";
import { createWatching, metricsReaders } from "./admin/watching.ts";
import { WhoMay } from "./admin/who-may.ts";
import { withoutPrivate } from "./catalog/listed.ts";
import { connectHandler } from "./connect/routes.ts";
import { openCertificates } from "./certificates/certificates.ts";
import { doctorHandler } from "./doctor/routes.ts";
import { whoWeAre } from "./doctor/who.ts";
import type { Config } from "./config/config.ts";
import { type HeldFiles, openHeld } from "./held-files.ts";
import { compileTagGlob } from "./lib/glob.ts";
import { requestLogger } from "./lib/logger.ts";
import { packageVersion } from "./lib/version.ts";
import type { HeldNews } from "./pull/held.ts";
import { type Holds, HoldsInMemory } from "./pull/holds.ts";
import { createPull } from "./pull/pull.ts";
import { pullRegistries } from "./pull/registries.ts";
import { Api } from "./server/api.ts";
import { apiHosts } from "./server/api-hosts.ts";
import { RegistryTable } from "./server/find-registry.ts";
import { challengedOf, guard, noticing } from "./server/guard.ts";
import { KnownHosts } from "./server/known-hosts.ts";
import { LISTENER_LIMITS, type ListenerLimits } from "./server/listener-server.ts";
import { type LocalRoutes, localHandler } from "./server/local.ts";
import { Seen } from "./server/seen.ts";
import { tokenEndpoint } from "./server/token-endpoint.ts";
import { budgetsOf, createEvicting } from "./upkeep/evict/create.ts";
import { HeldTags } from "./upkeep/held-tags.ts";
import { createStoreChecks } from "./upkeep/scrub/create.ts";
import { reapPartialsStep } from "./upkeep/reap-partials.ts";
import { reindex, type ReindexReport } from "./upkeep/reindex.ts";
import { startUpkeep } from "./upkeep/steps.ts";
import { tellBypassingStep } from "./upkeep/tell-bypassing.ts";
import { warmPullBy } from "./upkeep/warm/by-pull.ts";
import { KeepFresh } from "./upkeep/warm/keep-fresh.ts";
import { traceParts } from "./traced.ts";
import { createUpstreams, type UpstreamsOptions } from "./upstream/create.ts";
import { observedBy } from "./upstream/observers.ts";
import { quotaText } from "./upstream/quota.ts";
import { FETCHED_BY_CLIENTS, type QuotaVerdict } from "./upstream/upstream.ts";
import { markedInUse, markLeft, rebuild } from "./whole-catalog.ts";
import { createDoors } from "./workers/doors.ts";

/** The cache as one thing that starts and stops. */
export interface App {
  /** Resolves when every address is listened on; rejects with the system's error. */
  start(): Promise<{ addresses: readonly string[] }>;
  /** Stops in reverse; requests that were not done within the configured time are cut. */
  stop(): Promise<{ readonly cutRequests: number }>;
  /** Waits until no fill and no question is under way. */
  idle(): Promise<void>;
}

/** What others bring in. */
export interface AppAdditions extends Pick<UpstreamsOptions, "observer" | "onQuota" | "onUpstream"> {
  /** Tags that are held at a digest, where that is not said by pins. */
  readonly holds?: Holds;
  readonly heldNews?: HeldNews;
}

/** Builds everything; nothing listens before `start`. What was built is stopped in reverse. `lookup` replaces DNS. */
export async function createApp(
  config: Config,
  log: Logger,
  limits: ListenerLimits = LISTENER_LIMITS,
  lookup?: LookupFunction,
  more: AppAdditions = {},
): Promise<App> {
  const { lock, store, catalog } = await openHeld(config, log);
  try {
    return await builtApp(config, log, { lock, store, catalog }, limits, lookup, more);
  } catch (error) {
    await catalog.close();
    lock.release();
    throw error;
  }
}

async function builtApp(
  config: Config,
  log: Logger,
  { lock, store, catalog }: HeldFiles,
  limits: ListenerLimits,
  lookup: LookupFunction | undefined,
  { holds: givenHolds, heldNews, ...ofUpstreams }: AppAdditions,
): Promise<App> {
  const { dataDir, listen, registries: ofAll } = config;
  const hosts = new KnownHosts(config);
  const activity = activityView({ pull: () => pull.activity(), doors: () => doors.inUse() });
  const watching = createWatching({
    config,
    catalog,
    version: packageVersion(),
    tags: async () => await catalog.countImages(),
    held: async () => await catalog.heldBytes(),
    activity: () => activity.now(),
    partials: async () => store.partials(),
    fronts: async () => await doors.fares(),
    assertMayRead: metricsReaders(config.api, hosts),
    log,
  });
  const { counting, sources } = watching;
  const certificates = await openCertificates(config, log, sources.onTrouble);
  watching.useCertificate(certificates.certificate);
  const ofAccess = { config: config.access, listen, dataDir, registries: ofAll, log };
  const opened = await openAccess(ofAccess, (news) => doors.accessChanged(news));
  const upstreams = createUpstreams(config.registries, {
    observer: observedBy(watching.observer, ofUpstreams.observer),
    onUpstream: (...what) => {
      sources.onUpstream(...what);
      ofUpstreams.onUpstream?.(...what);
    },
    onQuota: (registryId, verdict, quota) => {
      sources.onQuota(registryId, verdict, quota);
      log.info({ registry: registryId, left: quotaText(quota) }, QUOTA_WORDS[verdict]);
      doors.quotaChanged({ registryId, verdict });
      ofUpstreams.onQuota?.(registryId, verdict, quota);
    },
    version: packageVersion(),
    proxy: config.proxy,
    lookup,
    onRefused: (registry, reason) => log.warn({ registry, reason }, "the configured credentials were refused"),
  });
  const registries = pullRegistries(config.registries, upstreams, compileTagGlob);
  const pinnedTags = new HoldsInMemory();
  const holds = givenHolds ?? pinnedTags;
  const pull = createPull({
    store,
    catalog,
    registries,
    fillsMax: config.fillsMax,
    log,
    holds,
    ...sources,
    ...heldNews,
    onTag: (repository, tag, state) => doors.tell({ repository, tag, state }),
    onFill: counting.counters.fill,
    onGone: (gone) => doors.forget(gone),
    budgets: budgetsOf(config),
  });
  let isCatalogWhole = false;
  const { pins, evictor } = createEvicting({
    config,
    store,
    catalog,
    pull,
    catalogComplete: async () => await completing,
    isCatalogWhole: () => isCatalogWhole && !pull.hasMissedRecords,
    upstreamOf: (registryId) => {
      const upstream = upstreams.get(registryId);
      return upstream && { isReachable: upstream.available, countsPulls: upstream.state().quota.seen !== undefined };
    },
    onEvicted: (evicted) => {
      sources.onEvicted(evicted);
      counting.counters.evicted(evicted.repository.registryId, 1, evicted.bytes);
    },
    log,
  });
  const checks = createStoreChecks({
    config,
    store,
    catalog,
    pull,
    log,
    catalogComplete: async () => await completing,
    onDamaged: sources.onDamaged,
  });
  const listedHolds = async () => (await pins.now()).holds().values();
  const heldTags = new HeldTags({ listed: listedHolds, registries: ofAll, holds: pinnedTags, log });
  traceParts({ accesses: opened.accesses, pull, upstreams, store });
  const keepFresh = new KeepFresh({
    path: join(dataDir, KEEP_FRESH_FILE),
    registries: ofAll,
    pull: warmPullBy({ pull, registries, asksAnew: true }),
    log,
  });
  const warming = new Warming({
    registries: ofAll,
    pull: warmPullBy({ pull, registries, asksAnew: false }),
    keepFresh,
    log,
  });
  // Who may see what credentials have opened, the upstream says there, and not for lists; also of what was fetched before it was asked.
  const privateOf = config.registries.filter(({ passThrough }) => passThrough).map(({ id }) => id);
  const except = { fetchedWith: FETCHED_BY_CLIENTS, privateOf };
  const listed = withoutPrivate(catalog, except);
  const table = new RegistryTable(config.registries, config.defaultRegistry);
  const api = new Api({ pull, catalog, listed, registries: table, hosts });
  const life = new AbortController();
  const bypassing = new Bypassing();
  const seen = new Seen();
  const parts = apiParts({
    config,
    catalog,
    except,
    isListed: async (path) => (await listed.repositories({ path, limit: 1 })).length > 0,
    platformOf: async (digest) => await pull.platformOf(digest),
    holds,
    store,
    pins,
    presence: async (repository, digest) => await pull.presence(repository, digest),
    onPinned: async () => await heldTags.refresh(),
    evictor,
    counters: counting.counters,
    activity,
    upstreams,
    events: watching.events,
    bypassing,
    warming,
    scrubbing: checks.scrubber,
    reindexes: checks.reindexing,
    log,
  });
  const administration = lazily(parts);
  const statistics = statisticsRoutes(listed, config.registries);
  const doors = createDoors({
    config,
    frontEntry: FRONT_ENTRY,
    handlers: [
      apiHosts(config.api.hostnames),
      // Whoever watches over us has no password.
      localHandler(healthRoutes(life.signal, whoWeAre(dataDir))),
      guard({ registries: table, bypassing, log }),
      noticing(bypassing, (exchange) => api.handle(exchange)),
      tokenEndpoint(table),
      doctorHandler({
        config,
        assertOwn: (exchange) => hosts.assertOwn(exchange),
        seen: async (client) => await doors.seen(client),
        seenProbe: (nonce) => seen.ofProbe(nonce),
      }),
      connectHandler(config, (exchange) => hosts.assertOwn(exchange)),
      watching.handler,
      publicApi({ api: administration, whoMay: new WhoMay(config.api, hosts), life: life.signal }),
      localHandler(statistics, (exchange) => {
        exchange.access.assertInEverywhere(exchange.identity, () => challengedOf(exchange));
        hosts.assertOwn(exchange);
      }),
    ],
    owner: {
      tagState: async (repository, tag) => await pull.tagState(repository, tag),
      note: (uses) => pull.note(uses),
      counted: counting.hear,
      doubt: async (digest) => await pull.doubt(digest),
      welcomed: (client) => bypassing.welcomed(client, Date.now()),
    },
    certificate: certificates.certificate,
    screening: certificates.screening,
    accesses: opened.accesses,
    news: () => opened.news(),
    tokenKey: opened.tokenKey,
    limits,
    log,
    requestLog: requestLogger(log),
    seen,
    onRequest: counting.onRequest,
  });
  let upkeep: { stop(): Promise<void> } | undefined;
  let control: Control | undefined;
  let completing: Promise<boolean> = Promise.resolve(true);

  return {
    start: async () => {
      await store.reapPartials(PARTIAL_AGE_MAX_MS);
      await heldTags.refresh();
      const isWhole = await markedInUse(catalog, log);
      const addresses = await doors.open();
      await certificates.start((changed) => {
        watching.useCertificate(changed.certificate);
        doors.useTls(changed);
      });
      pull.start();
      watching.start();
      const refreshing = keepFresh.step(config.keepFreshEveryMs, Math.random);
      const reaping = reapPartialsStep(store, PARTIAL_AGE_MAX_MS, log);
      upkeep = startUpkeep(
        [reaping, tellBypassingStep(bypassing, log), refreshing, ...evictor.steps(), heldTags.step()],
        log,
      );
      completing = isWhole ? Promise.resolve(true) : rebuild({ config, store, catalog, log, signal: life.signal });
      await checks.scrubber.resume();
      control = await controlled(dataDir, administration, log);
      pull.room.awaitCatalog(completing.then((whole) => (isCatalogWhole = whole)));
      evictor.tend();
      return { addresses };
    },
    idle: async () => {
      await completing;
      await pull.idle();
      await evictor.idle();
      await checks.idle();
    },
    stop: async () => {
      life.abort();
      const [cutRequests] = await Promise.all([doors.close(), control?.stop()]);
      await Promise.all([evictor.stop(), checks.stop()]);
      await upkeep?.stop();
      await certificates.stop();
      await opened.stop();
      const wasCompleted = await completing;
      const { allRecorded } = await pull.stop();
      await Promise.all([...new Set(upstreams.values())].map((upstream) => upstream.close()));
      await watching.stop();
      await markLeft(catalog, wasCompleted && allRecorded, log);
      await catalog.close();
      lock.release();
      return { cutRequests };
    },
  };
}

/** Made when it is first asked for: its libraries take memory, and most caches are never asked. */
function lazily(parts: ApiParts): LazyApi {
  let api: Promise<AskedApi> | undefined;
  return async () => await (api ??= import("./admin/api/create.ts").then(({ createApi }) => createApi(parts)));
}

/** Without the way in for commands the cache serves all the same. */
async function controlled(dataDir: string, api: LazyApi, log: Logger): Promise<Control | undefined> {
  try {
    return await listenForControl(dataDir, api, log);
  } catch (error) {
    log.warn({ err: error }, "commands on this machine cannot reach the cache: its local socket could not be made");
    return undefined;
  }
}

const QUOTA_WORDS: Record<QuotaVerdict, string> = {
  low: "few pulls are left at an upstream: tags stay fresh for longer, and warming waits",
  spent: "no pulls are left at an upstream: what is held is served, and nothing else",
  plenty: "there are enough pulls left at an upstream again",
};

/** Users' settings, which the catalog must not hold. */
const KEEP_FRESH_FILE = "keep-fresh.txt";

/** Beside this file, as a source and in the bundle. */
const FRONT_ENTRY = fileURLToPath(new URL(`front-main${extname(import.meta.url)}`, import.meta.url));

/** A partial that nobody has asked for in a day is given up. */
const PARTIAL_AGE_MAX_MS = 24 * 60 * 60 * 1000;

/** Rebuilds the catalog from the store, for `registry-cache reindex`. */
export async function reindexStore(config: Config, log: Logger): Promise<ReindexReport> {
  const { lock, store, catalog } = await openHeld(config, log);
  try {
    const report = await reindex(store, catalog, config.registries, log);
    await catalog.markSettled();
    return report;
  } finally {
    await catalog.close();
    lock.release();
  }
}

function healthRoutes(stopping: AbortSignal, headers: Record<string, string>): LocalRoutes {
  return {
    "/healthz": async () => ({ status: 200, body: { status: "ok" }, headers }),
    // 503 while stopping, so that a load balancer sends nobody here any more.
    "/readyz": async () =>
      stopping.aborted ? { status: 503, body: { status: "stopping" } } : { status: 200, body: { status: "ready" } },
  };
}
