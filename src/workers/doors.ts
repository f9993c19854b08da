import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { Logger } from "pino";
import type { Access } from "../access/access.ts";
import type { AccessNews } from "../access/open.ts";
import type { ClientAuthorities, Config, Listen, RegistryConfig, ShownCertificate } from "../config/config.ts";
import type { ProcessFacts } from "../lib/process-facts.ts";
import { Connections } from "../server/connections.ts";
import {
  CERTIFICATE_HEADER,
  CLIENT_HEADER,
  FAULT_HEADER,
  LISTEN_HEADER,
  SECURE_HEADER,
} from "../server/front-headers.ts";
import { type Callers, type Handler, requestListener } from "../server/handler.ts";
import { type Entrance, openEntrance, type Screening } from "../server/entrance.ts";
import {
  createListenerServer,
  LISTENER_LIMITS,
  type ListenerLimits,
  type ListenerSetup,
} from "../server/listener-server.ts";
import { newsAt, openAt, setupsOf, stopAll } from "../server/at-addresses.ts";
import { listen, listenLocally, type Listener } from "../server/listener.ts";
import { tracedHandlers, tracedListener } from "../server/request-span.ts";
import type { OnRequest } from "../server/request-facts.ts";
import type { Seen, SeenRequest } from "../server/seen.ts";
import type { Gone } from "../pull/gone.ts";
import { Fronts, type OwnerSide } from "./fronts.ts";
import type { FrontConfig, InUse, QuotaNews, TagNews } from "./messages.ts";

/** Where clients come in: into this process, or into fronts that ask it. */
export interface Doors {
  /** Resolves with the addresses when all are listened on; rejects with the system's error. */
  open(): Promise<readonly string[]>;
  /** Where a tag points now, for whoever answers for it elsewhere. */
  tell(news: TagNews): void;
  /** What is held no longer, for whoever remembers it elsewhere. */
  forget(gone: Gone): void;
  /** Another certificate, or other authorities of clients, for whoever comes from now on. */
  useTls(news: { readonly certificate: ShownCertificate; readonly clients: ClientAuthorities | undefined }): void;
  /** Users or secret paths are others than before. */
  accessChanged(news: AccessNews): void;
  /** How many pulls an upstream has left. */
  quotaChanged(news: QuotaNews): void;
  /** What a client has lately asked for, the oldest first, whichever process has answered. */
  seen(client: string): Promise<readonly SeenRequest[]>;
  /** What clients have open, whichever process serves them; readers are those of other processes than this one. Up to a second old. */
  inUse(): InUse;
  /** How the other processes fare, by their numbers, from 1 on. */
  fares(): Promise<ReadonlyMap<number, ProcessFacts>>;
  /** Lets responses finish within the configured time; says how many were cut. */
  close(): Promise<number>;
}

export interface DoorsOptions {
  readonly config: Config;
  /** The file that a front runs. */
  readonly frontEntry: string;
  readonly handlers: readonly Handler[];
  readonly owner: OwnerSide;
  /** What clients are spoken to with at first; undefined: plain HTTP. */
  readonly certificate: ShownCertificate | undefined;
  /** What takes some connections for itself, before TLS. */
  readonly screening: Screening | undefined;
  /** Who may come in at each address. */
  readonly accesses: readonly Access[];
  /** Users and secret paths as they are now. */
  readonly news: () => AccessNews;
  /** What tokens are signed with, where there are any; a secret. */
  readonly tokenKey: Buffer | undefined;
  /** What a connection may cost. */
  readonly limits: ListenerLimits;
  readonly log: Logger;
  /** For the one line a request. */
  readonly requestLog: Logger;
  /** What this process has answered. */
  readonly seen: Seen;
  /** Hears of what this process has answered. */
  readonly onRequest: OnRequest;
}

/** With one worker this process answers by itself; with more it is the owner behind so many fronts. */
export function createDoors(options: DoorsOptions): Doors {
  return options.config.workers === 1 ? ownDoors(options) : frontDoors(options);
}

function ownDoors(options: DoorsOptions): Doors {
  const { config, accesses, screening, limits } = options;
  const listeners: Listener[] = [];
  const setups = setupsOf(options);
  return {
    open: async () => {
      for (const [index, setup] of setups.entries()) {
        const address = config.listen[index] as Listen;
        listeners.push(await listen(address, { ...setup, limits }, address.tls ? screening : undefined));
      }
      return listeners.map(({ address }) => address);
    },
    tell: () => undefined,
    forget: () => undefined,
    accessChanged: () => undefined,
    quotaChanged: () => undefined,
    useTls: (news) => listeners.forEach((listener, index) => listener.useTls(newsAt(accesses[index], news))),
    seen: async (client) => options.seen.of(client),
    fares: async () => new Map(),
    inUse: () => ({ ...openAt(setups), storedReaders: 0 }),
    close: async () => await stopAll(listeners, config.stopTimeoutMs),
  };
}

function frontDoors(options: DoorsOptions): Doors {
  const { config, accesses, frontEntry, owner, screening, log } = options;
  const ticketKeys = randomBytes(TICKET_KEYS_BYTES);
  const local = localSetup(options);
  // For clients that come while no front is there, or that were looked at.
  const setups = setupsOf(options);
  const own = setups.map((setup) => createListenerServer({ ...setup, ticketKeys }));
  const entrances: Entrance[] = [];
  let listener: Listener | undefined;
  let fronts: Fronts | undefined;
  return {
    open: async () => {
      const ownerSocket = await socketPath(config.dataDir);
      listener = await listenLocally(ownerSocket, local);
      const setup = {
        config: frontConfig(config),
        ownerSocket,
        ticketKeys: ticketKeys.toString("base64"),
        certificate: options.certificate,
        access: options.news(),
        ...(options.tokenKey === undefined ? {} : { tokenKey: options.tokenKey.toString("base64") }),
      };
      const running = new Fronts({
        count: config.workers,
        entry: frontEntry,
        setup,
        owner,
        serve: (socket, index) => own[index]?.accept(socket),
        log,
      });
      fronts = running;
      // An address in use shall be told before anything is started.
      for (const address of config.listen) {
        entrances.push(await openEntrance(address, address.tls ? screening : undefined));
      }
      await running.start();
      for (const [index, entrance] of entrances.entries()) {
        entrance.onConnection(
          (socket) => running.take(socket, index),
          (socket) => own[index]?.accept(socket),
        );
      }
      return entrances.map(({ address }) => address);
    },
    tell: (news) => fronts?.tell(news),
    forget: (gone) => fronts?.forget(gone),
    accessChanged: (news) => fronts?.accessChanged(news),
    quotaChanged: (news) => fronts?.quotaChanged(news),
    useTls: (news) => {
      // With the keys from before, a session could be resumed that a revoked certificate had begun.
      const keys = randomBytes(TICKET_KEYS_BYTES);
      own.forEach((server, index) => server.useTls(newsAt(accesses[index], { ...news, ticketKeys: keys })));
      fronts?.useTls({ ...news, ticketKeys: keys.toString("base64") });
    },
    seen: async (client) => {
      const byFronts = (await fronts?.seen(client)) ?? [];
      return [...options.seen.of(client), ...byFronts].toSorted((a, b) => a.atMs - b.atMs);
    },
    fares: async () => (await fronts?.fares()) ?? new Map<number, ProcessFacts>(),
    inUse: () => (fronts?.inUse() ?? []).reduce(together, { ...openAt(setups), storedReaders: 0 }),
    close: async () => {
      for (const entrance of entrances) entrance.close();
      const [byFronts = 0, byUs] = await Promise.all([fronts?.stop(), stopAll(own, config.stopTimeoutMs)]);
      await listener?.stop(0);
      await removeOwnFolder(listener?.address);
      return byFronts + byUs;
    },
  };
}

function together(one: InUse, other: InUse): InUse {
  return {
    requests: one.requests + other.requests,
    connections: one.connections + other.connections,
    storedReaders: one.storedReaders + other.storedReaders,
  };
}

/** Only fronts reach the local socket: each says who is asking, and has looked at the headers before it added its own. */
function toldByFronts(accesses: readonly Access[]): Callers {
  return {
    of: ({ headers }) => ({
      access: accesses[Number(headers[LISTEN_HEADER])] as Access,
      client: String(headers[CLIENT_HEADER]),
      isSecure: headers[SECURE_HEADER] !== undefined,
      certificateNames: String(headers[CERTIFICATE_HEADER] ?? "")
        .split(" ")
        .filter((name) => name !== ""),
      certificateFault: headers[FAULT_HEADER] === undefined ? undefined : String(headers[FAULT_HEADER]),
    }),
    assert: () => undefined,
  };
}

/** What a front adds to headers that were just not too many. */
const ADDED_HEADER_BYTES_MAX = 1_024;

function localSetup({ accesses, handlers, log, requestLog, seen, onRequest }: DoorsOptions): ListenerSetup {
  const connections = new Connections();
  const listener = requestListener(tracedHandlers(handlers), connections, requestLog, toldByFronts(accesses), {
    seen,
    onRequest,
  });
  const limits = { ...LISTENER_LIMITS, headerBytesMax: LISTENER_LIMITS.headerBytesMax + ADDED_HEADER_BYTES_MAX };
  return { handle: tracedListener(listener), connections, tls: undefined, log, limits };
}

/** As Node's `ticketKeys` wants it. */
const TICKET_KEYS_BYTES = 48;

/** What fronts need; upstream's secrets are none of it. */
function frontConfig(config: Config): FrontConfig {
  const { access, api, dataDir, defaultRegistry, listen: addresses, log, stopTimeoutMs, trustedProxies, url } = config;
  const registries = config.registries.map((registry): RegistryConfig => ({
    ...registry,
    credentials: undefined,
    ca: undefined,
  }));
  const rest = { access, api, defaultRegistry, log, registries, stopTimeoutMs, trustedProxies, url };
  return { ...rest, dataDir: resolve(dataDir), listen: addresses };
}

/** Operating systems cut the path of a local socket off at about a hundred bytes (unix(7)). */
const SOCKET_PATH_BYTES_MAX = 100;
const SOCKET_FILE = "owner.sock";
const SOCKET_FOLDER = "registry-cache-socket-";

async function socketPath(dataDir: string): Promise<string> {
  const path = join(resolve(dataDir), SOCKET_FILE);
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX) return path;
  return join(await mkdtemp(join(tmpdir(), SOCKET_FOLDER)), SOCKET_FILE);
}

/** The folder that was made for a socket whose path would have been too long. */
async function removeOwnFolder(path: string | undefined): Promise<void> {
  const folder = path === undefined ? "" : dirname(path);
  if (folder.startsWith(join(tmpdir(), SOCKET_FOLDER))) await rm(folder, { recursive: true, force: true });
}
