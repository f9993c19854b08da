import { randomBytes } from "node:crypto";
import { type Answer, type FakeRequest, bodyOf, json, refusal } from "./answer.ts";
import type { Content } from "./content.ts";
import type { FakeUpstreamOptions } from "./types.ts";

interface IssuedToken {
  readonly user: string | undefined;
  readonly scopes: readonly string[];
  readonly expiresAtMs: number;
}

const SERVICE = "fake-registry";

/** The token service, and the door that its tokens open. */
export class Auth {
  readonly #options: FakeUpstreamOptions;
  readonly #content: Content;
  readonly #realm: string;
  readonly #issued = new Map<string, IssuedToken>();

  constructor(options: FakeUpstreamOptions, content: Content, realm: string) {
    this.#options = options;
    this.#content = content;
    this.#realm = realm;
  }

  expireTokens(): void {
    this.#issued.clear();
  }

  /** The token service. As at most registries, there is no POST. */
  token(request: FakeRequest): Answer {
    if (request.method !== "GET") return refusal(404, "UNSUPPORTED");
    const asker = this.#asker(request.headers.authorization);
    if (asker === undefined || (asker.user === undefined && this.#options.anonymous === false)) {
      return refusal(401, "UNAUTHORIZED");
    }
    const scopes = request.url.searchParams.getAll("scope").flatMap((scope) => scope.split(" "));
    return this.#tokenRefusal(request, asker.user, scopes) ?? this.#issue(asker.user, scopes);
  }

  /** Why this asker may not have the resource, or undefined. `repository` is undefined for `/v2/`. */
  refuse(request: FakeRequest, repository: string | undefined): Answer | undefined {
    if ((this.#options.auth ?? "none") === "none") return this.#missing(repository);
    const [scheme = "", credential = ""] = (request.headers.authorization ?? "").split(" ");
    if (scheme.toLowerCase() === "basic" && this.#takesBasic(repository)) {
      const known = this.#asker(request.headers.authorization) !== undefined;
      return known ? this.#missing(repository) : this.#challenge(repository, true);
    }
    if (scheme.toLowerCase() !== "bearer" || this.#options.auth === "basic") return this.#challenge(repository, false);
    if (this.#options.bearerTokens?.includes(credential) === true) return this.#missing(repository);
    const issued = this.#issued.get(credential);
    if (issued === undefined || issued.expiresAtMs <= Date.now()) return this.#stale(repository);
    if (this.#hiddenFrom(issued.user, repository)) return this.#hide(repository);
    return covers(issued.scopes, repository) ? this.#missing(repository) : this.#challenge(repository, false);
  }

  /** Undefined for wrong credentials; a user without a name for none. */
  #asker(authorization: string | undefined): { readonly user: string | undefined } | undefined {
    if (authorization === undefined) return { user: undefined };
    const [scheme = "", credential = ""] = authorization.split(" ");
    const [user = "", ...password] = Buffer.from(credential, "base64").toString().split(":");
    const users = new Map(Object.entries(this.#options.users ?? {}));
    const right = scheme.toLowerCase() === "basic" && users.has(user) && users.get(user) === password.join(":");
    return right ? { user } : undefined;
  }

  #tokenRefusal(request: FakeRequest, user: string | undefined, scopes: readonly string[]): Answer | undefined {
    const { service = this.#options.auth === "bearer" ? SERVICE : undefined, scopeNeeded } = this.#options.token ?? {};
    if (service !== undefined && request.url.searchParams.get("service") !== service) return refusal(400, "UNKNOWN");
    if (scopeNeeded === true && user === undefined && scopes.length === 0) return refusal(401, "UNAUTHORIZED");
    // ghcr.io refuses `pull,push`; a cache has no business asking for more than pull anywhere.
    if (scopes.some((scope) => /:[^:]*(?:push|delete|\*)[^:]*$/.test(scope))) return refusal(403, "DENIED");
    const hidden = this.#options.hidden;
    const asksHidden = scopes.some((scope) => {
      const repository = repositoryOf(scope);
      return repository !== undefined && (this.#hiddenFrom(user, repository) || !this.#content.has(repository));
    });
    return hidden?.at === "token" && asksHidden ? refusal(hidden.status, "DENIED") : undefined;
  }

  #issue(user: string | undefined, asked: readonly string[]): Answer {
    const { field = "token", expiresInS, body } = this.#options.token ?? {};
    const scopes = asked.filter((scope) => !this.#hiddenFrom(user, repositoryOf(scope)));
    const token = randomBytes(24).toString("base64url");
    this.#issued.set(token, { user, scopes, expiresAtMs: Date.now() + (expiresInS ?? Infinity) * 1000 });
    if (typeof body === "string") return { ...json(200, {}), body: bodyOf(body) };
    return json(200, { [field]: token, ...(expiresInS === undefined ? {} : { expires_in: expiresInS }), ...body });
  }

  #hiddenFrom(user: string | undefined, repository: string | undefined): boolean {
    return (
      user === undefined && repository !== undefined && this.#options.privateRepositories?.includes(repository) === true
    );
  }

  #hide(repository: string | undefined): Answer {
    const hidden = this.#options.hidden;
    return hidden?.at === "resource" ? refusal(hidden.status, "DENIED") : this.#challenge(repository, false);
  }

  #missing(repository: string | undefined): Answer | undefined {
    if (repository === undefined || this.#content.has(repository)) return undefined;
    const hidden = this.#options.hidden;
    return hidden?.at === "resource" ? refusal(hidden.status, "UNAUTHORIZED") : refusal(404, "NAME_UNKNOWN");
  }

  #stale(repository: string | undefined): Answer {
    const { staleToken = "challenge" } = this.#options;
    return staleToken === "challenge" ? this.#challenge(repository, true) : refusal(staleToken, "DENIED");
  }

  #takesBasic(repository: string | undefined): boolean {
    return this.#challenges(repository, false).some((challenge) => /\bbasic /i.test(challenge));
  }

  #challenge(repository: string | undefined, stale: boolean): Answer {
    return refusal(401, "UNAUTHORIZED", { "www-authenticate": this.#challenges(repository, stale) });
  }

  #challenges(repository: string | undefined, stale: boolean): string[] {
    const { auth = "none", token } = this.#options;
    if (typeof auth === "object") return [...auth.challenge({ repository, realm: this.#realm, stale })];
    if (auth === "basic") return [`Basic realm="${SERVICE}"`];
    const scope = repository === undefined ? "" : `,scope="repository:${repository}:pull"`;
    const error = stale ? `,error="invalid_token"` : "";
    return [`Bearer realm="${this.#realm}",service="${token?.service ?? SERVICE}"${scope}${error}`];
  }
}

function repositoryOf(scope: string): string | undefined {
  return /^repository:(.+):[^:]*$/.exec(scope)?.[1];
}

function covers(scopes: readonly string[], repository: string | undefined): boolean {
  if (repository === undefined) return true;
  return scopes.some((scope) => scope === "*" || scope === "aws" || scope === `repository:${repository}:pull`);
}
