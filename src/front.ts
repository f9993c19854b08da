import type { Socket } from "node:net";
import { LRUCache } from "lru-cache";
import type { Logger } from "pino";
import { accessAtAddresses } from "./access/at-addresses.ts";
import { KnownPasswords } from "./access/known-passwords.ts";
import type { AccessNews } from "./access/open.ts";
import { Tokens } from "./access/tokens.ts";
import { compileTagGlob } from "./lib/glob.ts";
import { requestLogger } from "./lib/logger.ts";
import { readersOf } from "./pull/activity.ts";
import { ChunkCache } from "./pull/chunks.ts";
import { TagPolicies } from "./pull/freshness.ts";
import { HeldContent } from "./pull/held-content.ts";
import { Hits } from "./pull/hits.ts";
import { Notebook } from "./pull/notebook.ts";
import { sharesOf } from "./pull/shared-repositories.ts";
import { StoredBlobs } from "./pull/stored-blobs.ts";
import { apiHosts } from "./server/api-hosts.ts";
import { newsAt, openAt, setupsOf, stopAll } from "./server/at-addresses.ts";
import { RegistryTable } from "./server/find-registry.ts";
import { KnownHosts } from "./server/known-hosts.ts";
import { forwardTo } from "./server/forward.ts";
import { HitApi } from "./server/hit-api.ts";
import { createListenerServer } from "./server/listener-server.ts";
import { RequestSums } from "./server/request-sums.ts";
import { Seen, type SeenRequest } from "./server/seen.ts";
import { filesystemReader } from "./store/filesystem.ts";
import { FollowedTags } from "./workers/followed-tags.ts";
import type { FrontSetup, QuotaNews, TagNews, TlsNews } from "./workers/messages.ts";
import { notesOf, type OwnerLink } from "./workers/owner-link.ts";
import { tellCounts } from "./workers/tell-counts.ts";

/** One of several processes that answer clients: hits by itself, everything else through the owner. */
export interface Front {
  /** Takes over a client's connection, which came in by the address at this position. */
  accept(socket: Socket, listen: number): void;
  hear(news: TagNews): void;
  accessChanged(news: AccessNews): void;
  quotaChanged(news: QuotaNews): void;
  useTls(news: TlsNews): void;
  /** What a client has lately been answered here, the oldest first. */
  seen(client: string): readonly SeenRequest[];
  stop(): Promise<{ readonly cutRequests: number }>;
}

/** Builds a front; it writes nothing to the disk and asks no upstream. */
export function createFront(setup: FrontSetup, link: OwnerLink, log: Logger): Front {
  const { config, ownerSocket, ticketKeys, tokenKey } = setup;
  const reader = filesystemReader(config.dataDir);
  const damaged = async (digest: Parameters<typeof reader.openBlob>[0]) => link.send({ kind: "damaged", digest });
  // The owner hashes it again, and it is the owner that reports it.
  const quiet: Pick<Logger, "error"> = { error: log.debug.bind(log) };
  const store = { ...bound(reader), removeBlob: damaged };
  const blobs = new StoredBlobs({ store, chunks: new ChunkCache(), log: quiet });
  const tags = new FollowedTags((repository, tag) => link.send({ kind: "follow", repository, tag }));
  const notebook = new Notebook(notesOf(link), log);
  const quotas = new Map<string, QuotaNews["verdict"]>();
  const hits = new Hits({
    content: new HeldContent({ store: reader, shares: sharesOf(config.registries), log }),
    blobs,
    tagState: (repository, tag) => tags.state(repository, tag),
    tagPolicies: new Map(config.registries.map((one) => [one.id, new TagPolicies(one.tags, compileTagGlob)])),
    quotaOf: (registryId) => quotas.get(registryId) ?? "plenty",
    notebook,
  });
  const passwords = new KnownPasswords();
  const tokens = tokenKey === undefined ? undefined : new Tokens(Buffer.from(tokenKey, "base64"));
  let users: ReadonlySet<string> = new Set(setup.access.users);
  const isUser = (name: string) => users.has(name);
  const { registries } = config;
  const accesses = accessAtAddresses(config.listen, { config: config.access, registries, isUser, passwords, tokens });
  const accessChanged = (news: AccessNews) => {
    users = new Set(news.users);
    passwords.forget();
    for (const access of accesses) access.replacePaths(news.paths);
  };
  accessChanged(setup.access);
  const welcomed = seldom((client) => link.send({ kind: "welcomed", client }));
  const table = new RegistryTable(config.registries, config.defaultRegistry);
  const api = new HitApi({ hits, welcomed, registries: table, hosts: new KnownHosts(config) });
  const forward = forwardTo(ownerSocket, accesses, (authorization) => passwords.remember(authorization));
  const handlers = [
    apiHosts(config.api.hostnames),
    async (exchange: Parameters<HitApi["handle"]>[0]) => await api.handle(exchange),
    forward.handle,
  ];
  const seen = new Seen();
  const { certificate } = setup;
  const sums = new RequestSums();
  const requestLog = requestLogger(log);
  const ofServers = { config, accesses, handlers, certificate, log, requestLog, seen, onRequest: sums.note };
  const setups = setupsOf(ofServers);
  const servers = setups.map((one) => createListenerServer({ ...one, ticketKeys: Buffer.from(ticketKeys, "base64") }));
  notebook.start();
  const telling = tellCounts({
    sums,
    inUse: () => ({ ...openAt(setups), storedReaders: readersOf(blobs.activity()) }),
    link,
  });
  return {
    accept: (socket, listen) => servers[listen]?.accept(socket),
    hear: (news) => tags.hear(news),
    accessChanged,
    quotaChanged: ({ registryId, verdict }) => void quotas.set(registryId, verdict),
    useTls: ({ ticketKeys: keys, ...news }) => {
      const use = { ...news, ticketKeys: Buffer.from(keys, "base64") };
      servers.forEach((server, index) => server.useTls(newsAt(accesses[index], use)));
    },
    seen: (client) => seen.of(client),
    stop: async () => {
      const cutRequests = await stopAll(servers, config.stopTimeoutMs);
      forward.close();
      await notebook.stop();
      telling.stop();
      return { cutRequests };
    },
  };
}

/** The owner needs to know it, and not at each hit. */
const WELCOMED_MS = 1_000;
const WELCOMED_MAX = 1_000;

function seldom(tell: (client: string) => void): (client: string) => void {
  const told = new LRUCache<string, true>({ max: WELCOMED_MAX, ttl: WELCOMED_MS });
  return (client) => {
    if (told.get(client) === true) return;
    told.set(client, true);
    tell(client);
  };
}

function bound(reader: ReturnType<typeof filesystemReader>) {
  return {
    openBlob: reader.openBlob.bind(reader),
    readBlob: reader.readBlob.bind(reader),
    statBlob: reader.statBlob.bind(reader),
  };
}
