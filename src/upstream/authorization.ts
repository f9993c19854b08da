import type { Credentials } from "../config/config.ts";
import { growingCache } from "../lib/growing-cache.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { headerValues } from "./bodies.ts";
import { type Demand, chooseChallenge, parseChallenges } from "./challenge.ts";
import type { HttpAnswer } from "./request.ts";
import { repositoryOfPath, scopeFor } from "./scope.ts";
import { basicHeader } from "./token-service.ts";
import type { BasicCredentials, TokenCache, TokenRequest } from "./tokens.ts";
import { type RealmPolicy, trustedRealm } from "./trust.ts";
import { UpstreamError } from "./upstream.ts";

/** Repositories whose demand is remembered, so that only the first question about one gets a 401. */
export const DEMANDS_MAX = 5000;

/** What goes into a request's Authorization header. */
export type Ticket =
  | { readonly kind: "basic" | "bearer"; readonly header: string }
  | {
      readonly kind: "token";
      readonly header: string;
      readonly token: string;
      readonly fresh: boolean;
      readonly request: TokenRequest;
    };

type Remembered = { readonly kind: "basic" } | { readonly kind: "bearer"; readonly request: TokenRequest };

/**
 * Decides what each request to one upstream carries. A demand is learnt from the resource's own 401 and remembered for
 * its repository, since a ping's challenge says little (ghcr.io, Artifact Registry).
 */
export class Authorization {
  readonly #policy: RealmPolicy;
  readonly #credentials: Credentials | undefined;
  readonly #tokens: TokenCache;
  readonly #demands = growingCache<string, Remembered>(DEMANDS_MAX);

  constructor(policy: RealmPolicy, credentials: Credentials | undefined, tokens: TokenCache) {
    this.#policy = policy;
    this.#credentials = credentials;
    this.#tokens = tokens;
  }

  /** What a first request carries, as far as it is known already. */
  async known(url: URL, repository: RepositoryName, signal: AbortSignal): Promise<Ticket | undefined> {
    if (this.#isUpstream(url) && this.#credentials?.kind === "bearer") {
      return { kind: "bearer", header: `Bearer ${this.#credentials.token}` };
    }
    const demand = this.#demands.get(keyOf(url, repository));
    return demand === undefined ? undefined : await this.#meet(demand, keyOf(url, repository), signal);
  }

  /**
   * After a 401 or 403: what to carry on another try, or undefined where another would be the same. A token may be stale
   * without anybody saying so (ghcr.io, gcr.io: no challenge at all), hence any refusal of one leads to a new one; only a
   * token that is new already settles the matter.
   */
  async renewed(
    answer: HttpAnswer,
    used: Ticket | undefined,
    repository: RepositoryName,
    signal: AbortSignal,
  ): Promise<Ticket | undefined> {
    if (used?.kind === "token") this.#tokens.drop(used.request, used.token);
    if (used !== undefined && (used.kind !== "token" || used.fresh)) return undefined;
    const said = this.#demandOf(answer, repository, used?.request);
    if (said === undefined) return undefined;
    const key = keyOf(answer.url, repository);
    this.#demands.set(key, said);
    return await this.#meet(said, key, signal);
  }

  #demandOf(answer: HttpAnswer, repository: RepositoryName, refused: TokenRequest | undefined): Remembered | undefined {
    const challenges = parseChallenges(headerValues(answer, "www-authenticate"));
    const demand = chooseChallenge(challenges, this.#basicFor(answer.url) !== undefined);
    if (refused !== undefined) {
      // nvcr.io sends expired tokens to another realm, which is a dead end: the one that issued the token stays.
      const same = demand?.kind === "bearer" && URL.parse(demand.realm, answer.url.href)?.href === refused.realm.href;
      return { kind: "bearer", request: same ? this.#requestFor(demand, answer.url, repository) : refused };
    }
    if (demand?.kind !== "bearer") return demand;
    return { kind: "bearer", request: this.#requestFor(demand, answer.url, repository) };
  }

  #requestFor(demand: Demand & { kind: "bearer" }, url: URL, repository: RepositoryName): TokenRequest {
    return {
      realm: trustedRealm(demand.realm, url, this.#policy),
      service: demand.service,
      // A host that we were led to may know the repository by another name, which then stands in the path.
      scope: scopeFor(demand.scope, repositoryOfPath(url.pathname) ?? repository),
      credentials: this.#basicFor(url),
    };
  }

  async #meet(demand: Remembered, key: string, signal: AbortSignal): Promise<Ticket | undefined> {
    if (demand.kind === "basic") {
      const credentials = this.#credentials;
      return credentials?.kind === "basic" ? { kind: "basic", header: basicHeader(credentials) } : undefined;
    }
    try {
      const { token, fresh } = await this.#tokens.get(demand.request, signal);
      return { kind: "token", header: `Bearer ${token}`, token, fresh, request: demand.request };
    } catch (error) {
      // The next question starts from scratch: the registry may have moved its token service.
      if (!(error instanceof UpstreamError && error.kind === "aborted")) this.#demands.delete(key);
      throw error;
    }
  }

  /** Credentials are the registry's: a host that it leads to is somebody else, and gets anonymous tokens at most. */
  #basicFor(url: URL): BasicCredentials | undefined {
    return this.#isUpstream(url) && this.#credentials?.kind === "basic" ? this.#credentials : undefined;
  }

  #isUpstream(url: URL): boolean {
    return url.origin === this.#policy.upstream.origin;
  }
}

function keyOf(url: URL, repository: RepositoryName): string {
  return `${url.origin} ${repository}`;
}
