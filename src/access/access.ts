import type { AccessConfig, SecretPath } from "../config/config.ts";
import { RegistryError } from "../oci/errors.ts";
import { basicCredentials, bearerToken, saysNothing } from "./authorization.ts";
import { basicChallenge, type Challenged, tokenChallenge } from "./challenges.ts";
import { compileNameGlob } from "../lib/glob.ts";
import { Networks } from "../lib/networks.ts";
import { type Way, waysIn } from "./methods.ts";
import type { Passwords } from "./passwords.ts";
import { ANONYMOUS, type Principal } from "./principal.ts";
import type { MinAge } from "./quarantine.ts";
import { Rules, twinsOf, type Wanted } from "./rules.ts";
import type { Offer, SealedCredentials } from "./sealed-credentials.ts";
import { SecretPaths } from "./secret-paths.ts";
import type { Tokens } from "./tokens.ts";

/** What a request says of who is asking. */
export interface Caller {
  readonly address: string | undefined;
  /** The Authorization header; a secret. */
  readonly authorization: string | undefined;
  /** The token of a secret path; a secret too. */
  readonly secret: string | undefined;
  /** Of a valid certificate, the common name first; none without one. */
  readonly certificateNames: readonly string[];
  /** The registry whose host name was asked, where credentials are for its upstream (`pass_through`); its id. */
  readonly passesTo?: string | undefined;
}

/** Who is asking, as far as that was found out. */
export interface Identity {
  readonly principal: Principal;
  /** Credentials were sent, and are wrong: there is nobody behind them. */
  readonly isWrong: boolean;
  /** What is said to an upstream, where the host name is for that; a secret. */
  readonly offer?: Offer | undefined;
}

/** A registry, as far as it matters who may pull from it. */
export interface AccessedRegistry {
  readonly id: string;
  readonly serves: string;
  /** Undefined: as everywhere. */
  readonly anonymous?: boolean | undefined;
  /** Whether clients' own credentials are passed to its upstream. */
  readonly passThrough?: boolean;
}

export const NOBODY: Identity = { principal: ANONYMOUS, isWrong: false };

/** Clients of other registries can all send credentials: a secret in a URL is seen by more people than one in a header. */
export const SECRET_PATHS_SERVE = "docker.io";

export interface AccessOptions {
  readonly config: AccessConfig;
  /** False: nobody comes in nameless, whatever a registry says; by default as the registries have it. */
  readonly mayBeOpen?: boolean;
  readonly registries: readonly (AccessedRegistry & { readonly upstream: string })[];
  /** Whether there is such a user: a token outlives its user otherwise. */
  readonly isUser: (name: string) => boolean;
  /** Undefined where there are no users. */
  readonly passwords: Pick<Passwords, "isRight"> | undefined;
  /** Undefined where none are given out. */
  readonly tokens: Tokens | undefined;
  /** Undefined where no credentials are passed through. */
  readonly sealed?: SealedCredentials | undefined;
}

/** Who is it, and may they pull this. Everything rejects with a `RegistryError`. */
export class Access {
  readonly rules: Rules;
  readonly #config: AccessConfig;
  readonly #mayBeOpen: boolean;
  readonly #networks: Networks | undefined;
  #paths: SecretPaths;
  readonly #passwords: Pick<Passwords, "isRight"> | undefined;
  readonly #certificates: readonly ((name: string) => boolean)[];
  readonly #tokens: Tokens | undefined;
  readonly #sealed: SealedCredentials | undefined;
  readonly #registries: AccessOptions["registries"];
  /** By a registry's id, others in front of the very same upstream. */
  readonly #twins: ReadonlyMap<string, readonly AccessedRegistry[]>;
  readonly #isUser: AccessOptions["isUser"];

  constructor({ config, mayBeOpen = true, registries, isUser, passwords, tokens, sealed }: AccessOptions) {
    this.#config = config;
    this.#mayBeOpen = mayBeOpen;
    this.#registries = registries;
    this.#twins = new Map(registries.map(({ id }) => [id, twinsIn(registries, id)]));
    this.#isUser = isUser;
    this.#tokens = tokens;
    this.#sealed = sealed;
    this.#networks = config.networks.length === 0 ? undefined : new Networks(config.networks);
    this.#paths = new SecretPaths(config.paths);
    this.#passwords = passwords;
    this.#certificates = (config.mtls?.names ?? []).map(compileNameGlob);
    this.rules = new Rules(config.rules);
  }

  /** Who is asking. Rejects addresses that may not ask at all, secret paths that are none, and who guesses passwords. */
  async identify(asking: Caller): Promise<Identity> {
    const caller = saysNothing(asking.authorization) ? { ...asking, authorization: undefined } : asking;
    this.#assertNetwork(caller.address);
    if (caller.passesTo !== undefined) return this.#passing(caller, caller.passesTo);
    if (caller.secret !== undefined) return { principal: this.#ofPath(caller.secret), isWrong: false };
    const named = this.#ofCertificate(caller.certificateNames);
    if (named !== undefined) return { principal: named, isWrong: false };
    const token = this.#tokens === undefined ? undefined : bearerToken(caller.authorization);
    if (token !== undefined) return identityOf(this.#ofToken(token));
    const offered = this.#passwords === undefined ? undefined : basicCredentials(caller.authorization);
    if (offered === undefined || this.#passwords === undefined) return NOBODY;
    const isRight = await this.#passwords.isRight({ ...offered, address: caller.address ?? "" });
    return identityOf(isRight ? { name: offered.user, method: "basic" } : undefined);
  }

  /** What is said there is said to an upstream, and says nothing to us. */
  #passing({ secret, certificateNames, authorization }: Caller, registryId: string): Identity {
    const principal = secret === undefined ? this.#ofCertificate(certificateNames) : this.#ofPath(secret);
    const offer = this.#sealed?.offerOf(authorization, registryId, Date.now());
    return { principal: principal ?? ANONYMOUS, isWrong: authorization !== undefined && offer === undefined, offer };
  }

  /** Other secrets from now on. */
  replacePaths(paths: readonly SecretPath[]): void {
    // Where none lets in, another one does not either.
    if (this.#config.paths.length === 0) return;
    this.#paths = new SecretPaths(paths);
  }

  /** Whether there is nothing by which somebody could be told from somebody else, nor kept out. */
  get isOpen(): boolean {
    const { networks, htpasswd, mtls, paths } = this.#config;
    const isAnybody = htpasswd === undefined && mtls === undefined && paths.length === 0 && this.#sealed === undefined;
    return networks.length === 0 && isAnybody;
  }

  /** By what clients can come in; for their set-up. */
  get ways(): readonly Way[] {
    return waysIn({ config: this.#config, mayBeOpen: this.#mayBeOpen });
  }

  /** Whether a client's certificate says who it is. */
  get asksForCertificates(): boolean {
    return this.#config.mtls !== undefined;
  }

  /** Whether there is a token service; at the host name of a registry to which credentials are passed there is one of its own. */
  issuesTokens(passesTo: string | undefined): boolean {
    return passesTo === undefined ? this.#tokens !== undefined : this.#sealed !== undefined;
  }

  /** A token that says to an upstream what the client would say; whether that is right the upstream is asked at each pull. */
  sealedFor({ isWrong, offer = { credentials: undefined } }: Identity, registryId: string): string {
    if (this.#sealed === undefined) throw new Error("no credentials are passed through");
    // What is wrong with a user and a password that nobody has looked at yet is their length.
    const token = isWrong ? undefined : this.#sealed.seal(registryId, offer, Date.now());
    if (token !== undefined) return token;
    throw new RegistryError(400, "UNSUPPORTED", "user and password are too long to be passed on: 6,000 bytes at most");
  }

  /** A token for whoever was identified; for nobody one that says so. Rejects wrong credentials. */
  tokenFor({ principal, isWrong }: Identity): string {
    if (this.#tokens === undefined) throw new Error("no tokens are given out");
    // Not by a token again, or clients would ask for ever.
    if (isWrong) throw basicChallenge("the user or the password is wrong");
    // A token says who it is and nothing else: it would do what the way by which it was had must not, and for ever.
    if (principal.method !== "basic" && principal.method !== "anonymous") {
      throw basicChallenge("a token is had with a user and a password alone");
    }
    return this.#tokens.issue(principal, Date.now());
  }

  #assertNetwork(address: string | undefined): void {
    if (this.#networks === undefined || this.#networks.includes(address)) return;
    const from = address === undefined ? "your address" : `your address ${address}`;
    throw new RegistryError(403, "DENIED", `${from} is not in a network that may pull here (access.networks)`);
  }

  #ofPath(secret: string): Principal {
    const principal = this.#paths.principal(secret);
    if (principal !== undefined) return principal;
    throw new RegistryError(
      404,
      "NAME_UNKNOWN",
      "no such secret path; ask for the right one, or use a user and password",
    );
  }

  #ofToken(token: string): Principal | undefined {
    const principal = this.#tokens?.principal(token, Date.now());
    if (principal === undefined || principal.method === "anonymous") return principal;
    return this.#isUser(principal.name) ? principal : undefined;
  }

  #ofCertificate(names: readonly string[]): Principal | undefined {
    // Nobody becomes `anonymous` in rules by being called so.
    const name = names.find((one) => one !== ANONYMOUS.name && this.#certificates.some((matches) => matches(one)));
    return name === undefined ? undefined : { name, method: "certificate" };
  }

  /** Whether somebody may come in to this registry, or to what belongs to none of them. */
  assertIn(
    { principal, isWrong }: Identity,
    registry: AccessedRegistry | undefined,
    challenged: () => Challenged,
  ): void {
    if (principal.method === "path" && registry?.serves !== SECRET_PATHS_SERVE) {
      throw new RegistryError(403, "DENIED", "a secret path is for images of Docker Hub alone");
    }
    if (principal.method !== "anonymous" || this.isOpenToAll(registry)) return;
    throw this.#passwords === undefined ? this.#unknown() : this.#challenge(isWrong, challenged());
  }

  /** The same for all registries at once, for what names the content of each of them. */
  assertInEverywhere(identity: Identity, challenged: () => Challenged): void {
    this.assertIn(identity, undefined, challenged);
    if (identity.principal.method !== "anonymous") return;
    for (const registry of this.#registries) this.assertIn(identity, registry, challenged);
  }

  /** Whether those come in who have no name. What is closed is not open under another name of the same upstream (lscr.io is ghcr.io). */
  isOpenToAll(registry: AccessedRegistry | undefined): boolean {
    if (!this.#mayBeOpen || !(registry?.anonymous ?? this.#config.anonymous)) return false;
    return registry === undefined || this.#twinsOf(registry.id).every(({ anonymous }) => anonymous !== false);
  }

  #twinsOf(id: string): readonly AccessedRegistry[] {
    return this.#twins.get(id) ?? [];
  }

  /** Nothing that could be sent after a challenge would help. */
  #unknown(): RegistryError {
    const wanted = [
      this.#certificates.length > 0 ? "a client certificate that this cache trusts" : "",
      this.#config.paths.length > 0 ? "a secret path" : "",
    ].filter((one) => one !== "");
    // With networks alone nobody has a name, and `anonymous: false` on a registry shuts out everybody.
    const needed = wanted.length === 0 ? "a name, and no method under access gives one" : wanted.join(" or ");
    return new RegistryError(403, "DENIED", `pulling here needs ${needed}`);
  }

  #challenge(isWrong: boolean, challenged: Challenged): RegistryError {
    const wrong =
      this.#tokens === undefined ? "the user or the password is wrong" : "the password or the token is wrong";
    const message = isWrong ? wrong : "pulling here needs a user and a password";
    return this.#tokens === undefined ? basicChallenge(message) : tokenChallenge(message, isWrong, challenged);
  }

  /** By the rules; who may come in at all was asked before. Returns how old it must be, undefined where that does not matter. */
  assertMay({ principal }: Identity, wanted: Wanted): MinAge | undefined {
    const twins = this.#twinsOf(wanted.registryId).map(({ id }) => id);
    const { isAllowed, rule = 0, minAgeMs } = this.rules.verdictWithTwins(principal.name, wanted, twins);
    if (isAllowed) return minAgeMs === 0 ? undefined : { ms: minAgeMs, rule };
    throw forbidden(principal, rule);
  }

  /** Rejects what the rules forbid by the repository's name alone; what is let pass here `assertMay` judges. */
  assertNotForbidden({ principal }: Identity, wanted: Omit<Wanted, "tags">): void {
    const rule = this.rules.forbids(principal.name, wanted);
    if (rule !== undefined) throw forbidden(principal, rule);
  }
}

function forbidden({ name }: Principal, rule: number): RegistryError {
  return new RegistryError(403, "DENIED", `rule ${rule} of this cache does not let ${name} pull this`);
}

function twinsIn(registries: AccessOptions["registries"], id: string): AccessOptions["registries"] {
  const ids = twinsOf(registries, id);
  return registries.filter((one) => ids.includes(one.id));
}

function identityOf(principal: Principal | undefined): Identity {
  return principal === undefined ? { principal: ANONYMOUS, isWrong: true } : { principal, isWrong: false };
}
