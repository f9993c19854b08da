import { createHash } from "node:crypto";
import type { LookupFunction } from "node:net";
import type { Dispatcher } from "undici";
import type { Credentials, ProxySettings, RegistryConfig } from "../config/config.ts";
import { compileShared } from "../lib/glob.ts";
import { Authorization } from "./authorization.ts";
import { UpstreamClient } from "./client.ts";
import { Exchange } from "./exchange.ts";
import { Gate } from "./gate.ts";
import { Pace } from "./limits.ts";
import { OpenToAll } from "./open-to-all.ts";
import { isOwnUpstream, mayDial, type RedirectPolicy } from "./redirects.ts";
import { PassThrough } from "./pass-through.ts";
import { createSend, type Send } from "./request.ts";
import { createTokenFetch } from "./token-service.ts";
import { type IssuedToken, TokenCache, type TokenRequest } from "./tokens.ts";
import { createTransport } from "./transport.ts";
import type { RealmPolicy } from "./trust.ts";
import type { OfferedCredentials, Upstream, UpstreamError } from "./upstream.ts";

export interface UpstreamsOptions {
  /** For the User-Agent. */
  readonly version: string;
  /** By default upstreams are reached directly. */
  readonly proxy?: ProxySettings;
  /** Milliseconds of a monotonic clock; by default the process's. */
  readonly nowMs?: () => number;
  /** Replaces DNS. */
  readonly lookup?: LookupFunction | undefined;
  /** Hears once in a while for each upstream that it does not take the configured credentials, and why. */
  readonly onRefused?: (registryId: string, reason: string) => void;
}

/** It says the same with each pull. */
const REFUSED_TOLD_MS = 10 * 60_000;

const NO_PROXY: ProxySettings = { httpProxy: "", httpsProxy: "", noProxy: "" };

/**
 * An upstream for each registry, by registry id. Registries that lead to the same place as the same user share one, with
 * its tokens, limits and breaker: lscr.io is ghcr.io under another name.
 */
export function createUpstreams(
  registries: readonly RegistryConfig[],
  options: UpstreamsOptions,
): ReadonlyMap<string, Upstream> {
  const groups = Map.groupBy(registries, shareKey);
  const upstreams = new Map<string, Upstream>();
  for (const group of groups.values()) {
    const upstream = createCareful(merge(group), options);
    for (const { id } of group) upstreams.set(id, upstream);
  }
  return upstreams;
}

/** What must be the same, for nothing of one registry may serve another that trusts less or logs in as somebody else. */
function shareKey(registry: RegistryConfig): string {
  const { upstream, credentials, ca, allowPrivateAddresses, upstreamIsOwn, sharedRepositories, passThrough } = registry;
  const { origin } = new URL(upstream);
  const shared = credentials === undefined ? [] : sharedRepositories;
  return JSON.stringify([
    origin,
    credentials ?? null,
    ca ?? null,
    allowPrivateAddresses,
    upstreamIsOwn,
    shared,
    passThrough,
  ]);
}

/** The rest is merged: all realms, the strictest limits, the timeouts of the first. */
function merge(group: readonly RegistryConfig[]): RegistryConfig {
  const [first] = group;
  if (first === undefined) throw new RangeError("a group of registries is never empty");
  const paces = group.flatMap(({ requestsPerSecond }) => requestsPerSecond ?? []);
  return {
    ...first,
    realms: [...new Set(group.flatMap(({ realms }) => realms))],
    questionsMax: Math.min(...group.map(({ questionsMax }) => questionsMax)),
    transfersMax: Math.min(...group.map(({ transfersMax }) => transfersMax)),
    requestsPerSecond: paces.length === 0 ? undefined : Math.min(...paces),
  };
}

/** With credentials, what they alone open is given out only where it is shared, or to clients whose own ones open it as well. */
function createCareful(registry: RegistryConfig, options: UpstreamsOptions): Upstream {
  const { credentials, passThrough, sharedRepositories } = registry;
  const own = createUpstream(registry, options)(credentials);
  if (credentials === undefined && !passThrough) return own;
  const unnamed = createUpstream({ ...registry, credentials: undefined }, options);
  const stranger = unnamed(undefined);
  const nowMs = options.nowMs ?? (() => performance.now());
  if (!passThrough) return new OpenToAll({ own, stranger, shares: compileShared(sharedRepositories), nowMs });
  // What one client's account is refused, or limited, says nothing about the others.
  const clientOf = ({ user: username, password }: OfferedCredentials) =>
    unnamed({ kind: "basic", username, password }, { isApart: true });
  return new PassThrough({ own, stranger, clientOf, nowMs });
}

/** Makes upstreams at one place that differ in nothing but credentials: they share connections, limits and tokens. */
function createUpstream(
  registry: RegistryConfig,
  options: UpstreamsOptions,
): (credentials: Credentials | undefined, more?: { readonly isApart: boolean }) => Upstream {
  const nowMs = options.nowMs ?? (() => performance.now());
  const { upstream, policy, closing, dispatcher, send, turn, tokens } = openConnection(registry, options);
  const onRefused = onRefusedOf(registry, options, nowMs);
  const ofGate = { ...registry, host: upstream.host, nowMs, closing: closing.signal, onRefused };
  const gate = new Gate(ofGate);
  return (credentials, { isApart } = { isApart: false }) =>
    new UpstreamClient({
      credentialId: credentialIdOf(upstream, credentials),
      gate: isApart ? new Gate(ofGate, gate) : gate,
      exchange: new Exchange(send, turn, new Authorization(policy, credentials, tokens), policy),
      dispatcher,
      closing,
    });
}

/** How an upstream is reached, whoever asks there. */
export interface Connection {
  readonly upstream: URL;
  readonly policy: RealmPolicy & RedirectPolicy;
  /** Its signal ends whatever is under way. */
  readonly closing: AbortController;
  readonly dispatcher: Dispatcher;
  readonly send: Send;
  /** Waits for the upstream's pace. */
  readonly turn: (signal: AbortSignal) => Promise<void>;
  readonly fetchToken: (request: TokenRequest) => Promise<IssuedToken>;
  readonly tokens: TokenCache;
}

/** Nothing is dialled yet; whoever opens it destroys the dispatcher. */
export function openConnection(registry: RegistryConfig, options: UpstreamsOptions): Connection {
  const { realms, upstreamIsOwn, allowPrivateAddresses, timeouts, ca, requestsPerSecond } = registry;
  const nowMs = options.nowMs ?? (() => performance.now());
  const upstream = new URL(registry.upstream);
  const policy = { upstream, realms, upstreamIsOwn, allowPrivateAddresses };
  const closing = new AbortController();
  const dispatcher = createTransport({
    timeouts,
    ca,
    mayBePrivate: (hostname, port) => allowPrivateAddresses || isOwnUpstream(hostname, port, policy),
    proxy: options.proxy ?? NO_PROXY,
    lookup: options.lookup,
  });
  const userAgent = `registry-cache/${options.version}`;
  const send = createSend({ dispatcher, timeouts, userAgent, mayDial: (url) => mayDial(url, policy) });
  const pace = requestsPerSecond === undefined ? undefined : new Pace(requestsPerSecond, upstream.host, nowMs);
  const turn = async (signal: AbortSignal) => await pace?.turn(signal);
  const fetchToken = createTokenFetch({ send, turn, policy, closing: closing.signal });
  return { upstream, policy, closing, dispatcher, send, turn, fetchToken, tokens: new TokenCache(fetchToken, nowMs) };
}

/** What clients' own credentials come to is between them and the upstream. */
function onRefusedOf(
  { id, credentials }: RegistryConfig,
  { onRefused }: UpstreamsOptions,
  nowMs: () => number,
): ((error: UpstreamError) => void) | undefined {
  if (credentials === undefined || onRefused === undefined) return undefined;
  let toldMs = -Infinity;
  return ({ message }) => {
    if (nowMs() - toldMs < REFUSED_TOLD_MS) return;
    toldMs = nowMs();
    onRefused(id, message);
  };
}

/**
 * Stays the same while a user's password changes, and tells nobody who it is: it is written into the catalog beside what
 * was fetched.
 */
function credentialIdOf(upstream: URL, credentials: Credentials | undefined): string | undefined {
  if (credentials === undefined) return undefined;
  const who = credentials.kind === "basic" ? credentials.username : credentials.token;
  const hash = createHash("sha256").update(JSON.stringify([upstream.origin, credentials.kind, who]));
  return `${credentials.kind}:${hash.digest("hex").slice(0, 16)}`;
}
