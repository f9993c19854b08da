import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { Credentials } from "../config/config.ts";
import { orAborted } from "./aborts.ts";

/** Everything a token depends on: a cached one is used for nothing less (zot and others reused one that could do more). */
export interface TokenRequest {
  readonly realm: URL;
  readonly service: string | undefined;
  /** Empty: for no repository, as a login asks. */
  readonly scope: string;
  /** Undefined: an anonymous token. */
  readonly credentials: BasicCredentials | undefined;
}

export type BasicCredentials = Extract<Credentials, { kind: "basic" }>;

/** As the token service issued it. */
export interface IssuedToken {
  readonly token: string;
  /** From the moment it arrived; undefined where the service does not say. */
  readonly expiresInS: number | undefined;
}

/** The lifetime of a token that names none (distribution's token specification), and the longest we rely on. */
export const TOKEN_LIFETIME_DEFAULT_S = 60;
export const TOKEN_LIFETIME_MAX_S = 24 * 3600;
/** A token is renewed so long before it ends, so that it cannot end on the way. */
export const TOKEN_MARGIN_S = 10;
/** One for each repository that was asked for lately. */
export const TOKENS_MAX = 2000;

interface CachedToken {
  readonly token: string;
  readonly goodUntilMs: number;
}

export interface Token {
  readonly token: string;
  /** True where it was fetched for this call, or while it waited: a refusal then cannot be blamed on its age. */
  readonly fresh: boolean;
}

/** Bounded cache of tokens that fetches each once, however many wait for it. */
export class TokenCache {
  readonly #fetch: (request: TokenRequest) => Promise<IssuedToken>;
  readonly #nowMs: () => number;
  readonly #tokens = new LRUCache<string, CachedToken>({ max: TOKENS_MAX });
  readonly #fetching = new Map<string, Promise<string>>();

  /** `fetch` must end by itself: it belongs to no caller, so no caller's leaving ends it. */
  constructor(fetch: (request: TokenRequest) => Promise<IssuedToken>, nowMs: () => number) {
    this.#fetch = fetch;
    this.#nowMs = nowMs;
  }

  /** @throws UpstreamError as the fetch fails, or `aborted` */
  async get(request: TokenRequest, signal: AbortSignal): Promise<Token> {
    const key = keyOf(request);
    const cached = this.#tokens.get(key);
    if (cached !== undefined && this.#nowMs() < cached.goodUntilMs) return { token: cached.token, fresh: false };
    const token = await orAborted(this.#fetching.get(key) ?? this.#start(key, request), signal);
    return { token, fresh: true };
  }

  /** Forgets a token that was refused, unless another has taken its place already. */
  drop(request: TokenRequest, token: string): void {
    const key = keyOf(request);
    if (this.#tokens.peek(key)?.token === token) this.#tokens.delete(key);
  }

  #start(key: string, request: TokenRequest): Promise<string> {
    const fetching = this.#fetchAndKeep(key, request).finally(() => this.#fetching.delete(key));
    this.#fetching.set(key, fetching);
    return fetching;
  }

  async #fetchAndKeep(key: string, request: TokenRequest): Promise<string> {
    const { token, expiresInS } = await this.#fetch(request);
    const lifetimeS = Math.min(expiresInS ?? TOKEN_LIFETIME_DEFAULT_S, TOKEN_LIFETIME_MAX_S);
    const goodUntilMs = this.#nowMs() + (lifetimeS - TOKEN_MARGIN_S) * 1000;
    this.#tokens.set(key, { token, goodUntilMs });
    return token;
  }
}

function keyOf({ realm, service, scope, credentials }: TokenRequest): string {
  const who = credentials === undefined ? null : [credentials.username, credentials.password];
  // Hashed, so that no password lies around as a map's key.
  return createHash("sha256")
    .update(JSON.stringify([realm.href, service ?? null, scope, who]))
    .digest("hex");
}
