import { createHash } from "node:crypto";
import type { LookupFunction } from "node:net";
import type { Dispatcher } from "undici";
import type { Credentials, ProxySettings, RegistryConfig } from "../config/config.ts";
import { compileShared } from "../lib/glob.ts";
import { Authorization } from "./authorization.ts";
import { Bandwidth } from "./bandwidth.ts";
import { UpstreamClient } from "./client.ts";
import { Exchange } from "./exchange.ts";
import { Gate, type GateOptions } from "./gate.ts";
import { Pace } from "./limits.ts";
import { Observed } from "./observed.ts";
import type { UpstreamObserver } from "./observer.ts";
import { OpenToAll } from "./open-to-all.ts";
import { isOwnUpstream, mayDial, type RedirectPolicy } from "./redirects.ts";
import { PassThrough } from "./pass-through.ts";
import type { Quota } from "./quota.ts";
import { QuotaWatch, type QuotaWatchOptions } from "./quota-watch.ts";
import { createSend, type Send } from "./request.ts";
import { createTokenFetch } from "./token-service.ts";
import { type IssuedToken, TokenCache, type TokenRequest } from "./tokens.ts";
import { createTransport } from "./transport.ts";
import type { RealmPolicy } from "./trust.ts";
import type { OfferedCredentials, QuotaVerdict, Upstream, UpstreamError } from "./upstream.ts";
import { Visibility } from "./visibility.ts";

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
  /** Hears of all that is asked and comes. What belongs to nobody's question (tokens) is told of the first registry at a place. */
  readonly observer?: UpstreamObserver | undefined;
  /** Hears when an upstream as a whole is taken for broken (`down`, and why), or no longer. */
  readonly onUpstream?: (registryId: string, state: "down" | "up", why: string | undefined) => void;
  /** Hears when the pulls that are left have become few, none, or enough again. */
  readonly onQuota?: (registryId: string, verdict: QuotaVerdict, quota: Quota) => void;
}

/** It says the same with each pull. */
const REFUSED_TOLD_MS = 10 * 60_000;

const NO_PROXY: ProxySettings = { httpProxy: "", httpsProxy: "", noProxy: "" };

/**
 * An upstream for each registry, by registry id. Registries that lead to the same place as the same user share all of it, its
 * tokens, limits and breaker, and differ in who is told to have asked: lscr.io is ghcr.io under another name.
 */
export function createUpstreams(
  registries: readonly RegistryConfig[],
  options: UpstreamsOptions,
): ReadonlyMap<string, Upstream> {
  const groups = Map.groupBy(registries, shareKey);
  const upstreams = new Map<string, Upstream>();
  for (const group of groups.values()) {
    const upstreamOf = createCareful(group, options);
    for (const { id } of group) upstreams.set(id, upstreamOf(id));
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
  const widths = group.flatMap(({ bytesPerSecond }) => bytesPerSecond ?? []);
  return {
    ...first,
    realms: [...new Set(group.flatMap(({ realms }) => realms))],
    questionsMax: Math.min(...group.map(({ questionsMax }) => questionsMax)),
    transfersMax: Math.min(...group.map(({ transfersMax }) => transfersMax)),
    requestsPerSecond: paces.length === 0 ? undefined : Math.min(...paces),
    bytesPerSecond: widths.length === 0 ? undefined : Math.min(...widths),
    quotaReserveShare: Math.max(...group.map(({ quotaReserveShare }) => quotaReserveShare)),
  };
}

/** An upstream as one of the registries at its place has it, by the registry's id. */
type UpstreamOf = (registryId: string) => Upstream;

/** With credentials, what they alone open is given out only where it is shared, or to clients whose own ones open it as well. */
function createCareful(group: readonly RegistryConfig[], options: UpstreamsOptions): UpstreamOf {
  const registry = merge(group);
  const { credentials, passThrough, sharedRepositories } = registry;
  const ids = group.map(({ id }) => id);
  const ownOf = createUpstream(registry, options, tellAll(ids, options))(credentials);
  if (credentials === undefined && !passThrough) return ownOf;
  // Whether a stranger is let in, or has pulls left, says nothing of what is pulled.
  const unnamed = createUpstream({ ...registry, credentials: undefined }, options, {});
  const strangerOf = unnamed(undefined);
  const nowMs = options.nowMs ?? (() => performance.now());
  if (!passThrough) {
    const shared = { shares: compileShared(sharedRepositories), nowMs };
    const visibility = new Visibility({ stranger: strangerOf(registry.id), nowMs });
    return (id) => new OpenToAll({ ...shared, own: ownOf(id), stranger: strangerOf(id), visibility });
  }
  return (id) => {
    // What one client's account is refused, or limited, says nothing about the others.
    const clientOf = ({ user: username, password }: OfferedCredentials) =>
      unnamed({ kind: "basic", username, password }, { isApart: true })(id);
    return new PassThrough({ own: ownOf(id), stranger: strangerOf(id), clientOf, nowMs });
  };
}

/** What is told of an upstream as a whole. */
interface Tellers {
  readonly onAvailability?: GateOptions["onAvailability"];
  readonly onSeen?: QuotaWatchOptions["onSeen"];
  readonly onVerdict?: QuotaWatchOptions["onVerdict"];
}

/** It is true of each registry that leads there. */
function tellAll(ids: readonly string[], { observer, onUpstream, onQuota }: UpstreamsOptions): Tellers {
  return {
    onAvailability: (isAvailable, why) =>
      ids.forEach((id) => {
        observer?.availability?.(id, { isAvailable, why });
        onUpstream?.(id, isAvailable ? "up" : "down", why);
      }),
    onSeen: (quota) => ids.forEach((id) => observer?.quota?.(id, quota)),
    onVerdict: (verdict, quota) => ids.forEach((id) => onQuota?.(id, verdict, quota)),
  };
}

/** Makes upstreams at one place that differ in nothing but credentials, and in who asks: they share connections, limits and tokens. */
function createUpstream(
  registry: RegistryConfig,
  options: UpstreamsOptions,
  { onAvailability, ...ofQuota }: Tellers,
): (credentials: Credentials | undefined, more?: { readonly isApart: boolean }) => UpstreamOf {
  const nowMs = options.nowMs ?? (() => performance.now());
  const { upstream, policy, closing, dispatcher, send, turn, tokens } = openConnection(registry, options);
  const { host } = upstream;
  const onRefused = onRefusedOf(registry, options, nowMs);
  const ofGate = { ...registry, host, nowMs, closing: closing.signal, onRefused };
  const gate = new Gate({ ...ofGate, onAvailability });
  const { bytesPerSecond, quotaReserveShare: reserveShare } = registry;
  const bandwidth = bytesPerSecond === undefined ? undefined : new Bandwidth(bytesPerSecond, nowMs);
  return (credentials, { isApart } = { isApart: false }) => {
    const quota = new QuotaWatch({ host, reserveShare, nowMs, ...(isApart ? {} : ofQuota) });
    const authorization = new Authorization(policy, credentials, tokens);
    const credentialId = credentialIdOf(upstream, credentials);
    const itsGate = isApart ? new Gate(ofGate, gate) : gate;
    const shared = { credentialId, gate: itsGate, quota, bandwidth, dispatcher, closing };
    return (registryId) => {
      const observed = new Observed({ registryId, observer: options.observer, quota, nowMs });
      return new UpstreamClient({
        ...shared,
        observed,
        exchange: new Exchange(send, turn, authorization, policy, observed),
      });
    };
  };
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
  const onFetched = (token: { isGiven: boolean; ms: number }) => options.observer?.tokenFetched?.(registry.id, token);
  const fetchToken = createTokenFetch({ send, turn, policy, closing: closing.signal, onFetched });
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
