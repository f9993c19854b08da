import { LRUCache } from "lru-cache";
import { RegistryError } from "../oci/errors.ts";
import { isApiPath } from "./asked.ts";
import type { Exchange } from "./exchange.ts";

/** A request of the registry API, as its own client is told of it afterwards. */
export interface SeenRequest {
  /** When its answer had gone out, milliseconds since the epoch. */
  readonly atMs: number;
  /** Its address. */
  readonly client: string;
  /** Whose name or credentials came with it; undefined: nobody's. */
  readonly who: string | undefined;
  readonly userAgent: string;
  readonly method: string;
  /** `manifest`, `blob`, ...; `tls` where the client did not trust our certificate; undefined where it was refused at once. */
  readonly endpoint: string | undefined;
  /** By id. */
  readonly registry: string | undefined;
  readonly repository: string | undefined;
  readonly reference: string | undefined;
  /** Undefined where the client left before it was answered. */
  readonly status: number | undefined;
  /** What `Cache-Status` says: `hit`, `miss`, ... */
  readonly outcome: string | undefined;
  /** Why it was refused, in the words of the answer. */
  readonly error: string | undefined;
}

/** Of each client so many requests are kept, of so many clients: two megabytes when all is full. */
const REQUESTS_PER_CLIENT_MAX = 32;
const CLIENTS_MAX = 256;
const PROBES_MAX = 64;
const AGENT_SHOWN_MAX = 120;
const ERROR_SHOWN_MAX = 300;
/** Texts that were cut out of a longer one keep all of it in memory. */
const LONG_CHARACTERS = 512;

/**
 * Repositories that nobody has: a client that is asked to pull `PROBES/NONCE` shows by which address it comes, and only whoever has
 * made the nonce up can ask for it.
 */
export const PROBES = "registry-cache-doctor";
const PROBE = new RegExp(`(?:^|/)${PROBES}/([0-9a-f]{32})(?:/|$)`);

/**
 * The last requests of each client, so that a host can find out whether it pulls through the cache. Busy clients push out nothing of
 * others. Each of several processes has its own.
 */
export class Seen {
  readonly #clients = new LRUCache<string, SeenRequest[]>({ max: CLIENTS_MAX });
  readonly #probes = new LRUCache<string, SeenRequest[]>({ max: PROBES_MAX });

  /** Called once for each request, when it is over. */
  note(exchange: Exchange): void {
    const { notes, client } = exchange;
    if (notes.isForwarded === true || client === undefined) return;
    if (notes.registry === undefined && !isApiPath(exchange.path)) return;
    const request = requestOf(exchange, client);
    keep(this.#clients, client, request);
    // Of what was refused at once nothing is known but the path.
    const name = request.repository ?? exchange.path;
    if (!name.includes(PROBES)) return;
    const nonce = PROBE.exec(name)?.[1];
    if (nonce !== undefined) keep(this.#probes, nonce, request);
  }

  /** Somebody has broken TLS off for want of trust in the certificate, before anything could be asked. */
  noteDistrust(client: string, alert: string): void {
    keep(this.#clients, client, { ...NOTHING, atMs: Date.now(), client, endpoint: "tls", error: alert });
  }

  /** The oldest first. */
  of(client: string): readonly SeenRequest[] {
    return this.#clients.peek(client) ?? [];
  }

  /** Whoever has asked for that probe, the oldest first. */
  ofProbe(nonce: string): readonly SeenRequest[] {
    return this.#probes.peek(nonce) ?? [];
  }
}

const NOTHING = {
  who: undefined,
  userAgent: "",
  method: "",
  registry: undefined,
  repository: undefined,
  reference: undefined,
  status: undefined,
  outcome: undefined,
} as const;

function keep(map: LRUCache<string, SeenRequest[]>, key: string, request: SeenRequest): void {
  const requests = map.get(key);
  if (requests === undefined) map.set(key, [request]);
  else if (requests.push(request) > REQUESTS_PER_CLIENT_MAX) requests.shift();
}

/** Nobody's name is this: credentials that are an upstream's affair say nothing of who it is. */
const UPSTREAMS_CLIENT = "";

function requestOf({ identity, req, res, notes }: Exchange, client: string): SeenRequest {
  const { endpoint, registry, repository, reference, outcome, error } = notes;
  const isLong = (req.url?.length ?? 0) > LONG_CHARACTERS;
  const kept = (text: string | undefined) => (isLong && text !== undefined ? copied(text) : text);
  const userAgent = req.headers["user-agent"] ?? "";
  return {
    atMs: Date.now(),
    client,
    who: identity.offer === undefined ? notes.principal : UPSTREAMS_CLIENT,
    userAgent: userAgent.length > AGENT_SHOWN_MAX ? copied(userAgent.slice(0, AGENT_SHOWN_MAX)) : userAgent,
    method: req.method ?? "",
    endpoint,
    registry,
    repository: kept(repository),
    reference: kept(reference),
    status: res.headersSent ? res.statusCode : undefined,
    outcome,
    error: error instanceof RegistryError ? error.message.slice(0, ERROR_SHOWN_MAX) : undefined,
  };
}

function copied(text: string): string {
  return Buffer.from(text).toString();
}
