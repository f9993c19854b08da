import type { EventName } from "./event-names.ts";

/** The effective configuration: defaults applied, units resolved, secrets read. Built by `load.ts` only. */
export interface Config {
  /** Where this configuration was read, for people; undefined where only the built-in defaults stand. */
  readonly source: string | undefined;
  readonly listen: readonly Listen[];
  /** The origin by which clients reach the cache; undefined where it was not said. */
  readonly url: string | undefined;
  /** PEM text of the authority that clients trust the certificate by, where it was named; for their set-up. */
  readonly tlsCa: string | undefined;
  /** What clients are spoken to with; undefined: plain HTTP. */
  readonly tls: TlsConfig | undefined;
  /** Where the certificate is had from, instead of from files. */
  readonly acme: AcmeConfig | undefined;
  readonly access: AccessConfig;
  /** Proxies in front of the cache, whose `X-Forwarded-...` headers are believed: addresses and networks. */
  readonly trustedProxies: readonly string[];
  readonly dataDir: string;
  /** Free bytes that are left on the data folder's disk; below that nothing more is kept. */
  readonly minFreeDiskBytes: number;
  /** Bytes that may be held together, partials among them; undefined: as many as the disk has room for. */
  readonly maxSizeBytes: number | undefined;
  /** Images that nobody has pulled for so long go, milliseconds; undefined: however old they are. */
  readonly maxAgeMs: number | undefined;
  /** Globs over images that are never evicted, with those that `registry-cache pin` has added: `docker.io/library/*`. */
  readonly pins: readonly string[];
  readonly api: ApiConfig;
  readonly webhooks: readonly Webhook[];
  /** The id of the registry for requests that name none. */
  readonly defaultRegistry: string;
  /** Enabled registries only, built-in ones first. */
  readonly registries: readonly RegistryConfig[];
  /** At most this many blob transfers from upstreams at once, over all registries. */
  readonly fillsMax: number;
  /** How often upstreams are asked for what is to be kept fresh, milliseconds. */
  readonly keepFreshEveryMs: number;
  /** Processes that answer clients; the first of them is the one that fills. */
  readonly workers: number;
  readonly log: { readonly format: "json" | "pretty"; readonly level: LogLevel };
  readonly proxy: ProxySettings;
  /** How long a stop waits for responses in flight, milliseconds. */
  readonly stopTimeoutMs: number;
  /** What works but should not stay so, to be told at the start. */
  readonly warnings: readonly string[];
}

/** `pullers`: whoever may pull from every registry; `open`: everybody who may ask at all; `admins`: those in `admins`. */
export type ApiReaders = "pullers" | "open" | "admins";

/** Who may see and govern the cache from elsewhere; whoever may use the local socket may do all. */
export interface ApiConfig {
  /** Host names under which there are statistics and the API alone. */
  readonly hostnames: readonly string[];
  readonly read: ApiReaders;
  readonly metrics: ApiReaders;
  /** Globs over the names of users and of clients' certificates. */
  readonly admins: readonly string[];
}

/** Who is told of what happens. */
export interface Webhook {
  /** May have a secret in it. */
  readonly url: string;
  readonly events: readonly EventName[];
  /** What messages are signed with; a secret. */
  readonly secret: string | undefined;
}

/** PEM texts. */
export interface Certificate {
  /** The server's own certificate, then those of the authorities between it and the clients' ones. */
  readonly cert: string;
  /** A secret. */
  readonly key: string;
}

/** What clients are shown. */
export interface ShownCertificate extends Certificate {
  /** Those of single host names; who asks for none of them is shown the one above. Undefined: that one is for all. */
  readonly named?: readonly NamedCertificate[] | undefined;
}

export interface NamedCertificate extends Certificate {
  /** A host name, in lower case. */
  readonly name: string;
}

export interface TlsConfig extends Certificate {
  /** Absolute paths, to read both anew when they change. */
  readonly files: { readonly cert: string; readonly key: string };
}

/** An authority that gives out certificates by ACME (RFC 8555). */
export interface AcmeConfig {
  /** URL of its directory. */
  readonly directory: string;
  /** PEM text of authorities that its own certificate is trusted by, besides the usual ones. */
  readonly directoryCa: string | undefined;
  readonly email: string | undefined;
  /** Host names that certificates are for, each of them once; at least one. */
  readonly names: readonly string[];
  /** Whether each name has a certificate of its own; otherwise there is one over all of them. */
  readonly oneEach: boolean;
  readonly challenge: ChallengeConfig;
}

/** How the authority is shown that names are ours: on plain HTTP at port 80, or in the handshake of TLS at port 443. */
export type ChallengeConfig =
  | { readonly kind: "http-01"; readonly listen: ListenAddress }
  | { readonly kind: "tls-alpn-01" };

/** Who may pull what. */
export interface AccessConfig {
  /** Whether those may pull who say nothing of themselves; a registry may have it otherwise. */
  readonly anonymous: boolean;
  /** Addresses and networks that may connect; none: all. */
  readonly networks: readonly string[];
  /** Further names by which programs on the cache's own machine call it. */
  readonly hosts: readonly string[];
  /** Absolute path of the file with users and their passwords' hashes. */
  readonly htpasswd: string | undefined;
  /** Whether passwords are asked for by the token flow instead of at each request. */
  readonly bearer: boolean;
  readonly mtls: ClientCertificates | undefined;
  readonly paths: readonly SecretPath[];
  /** First match wins; what none of them matches is allowed to whoever is in. */
  readonly rules: readonly AccessRule[];
}

/** Whose certificates clients may show. PEM texts. */
export interface ClientAuthorities {
  readonly ca: string;
  /** Which of their certificates were revoked. */
  readonly crl: string | undefined;
}

export interface ClientCertificates extends ClientAuthorities {
  /** Globs, of which one must match one of the certificate's names. */
  readonly names: readonly string[];
  /** Absolute paths, to read them anew when they change. */
  readonly files: { readonly ca: string; readonly crl: string | undefined };
}

/** Clients that can send no credentials are let in at `/t/<token>`. */
export interface SecretPath {
  /** Who pulls by it, for rules and the log. */
  readonly name: string;
  /** A secret. */
  readonly token: string;
  /** Absolute path of the file that it comes from, to read it anew when that changes. */
  readonly file?: string | undefined;
}

export interface AccessRule {
  /** A glob over names of users and secret paths; `anonymous` for the others. */
  readonly who: string;
  /** A registry's id; undefined: any. */
  readonly registry: string | undefined;
  /** A glob over repository names; `**` goes over slashes. */
  readonly repository: string;
  /** A glob over tags. */
  readonly tag: string;
  readonly allow: boolean;
  /** What is allowed must have been seen here so long ago, milliseconds; 0: at once. */
  readonly minAgeMs: number;
}

/** How upstreams are reached; URLs, or empty for "directly". */
export interface ProxySettings {
  readonly httpProxy: string;
  readonly httpsProxy: string;
  /** As in the variable: hosts that are reached directly, separated by commas. */
  readonly noProxy: string;
}

export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** By what somebody may come in. */
export type AccessMethod = "anonymous" | "networks" | "basic" | "bearer" | "mtls" | "paths";

/** An address that clients come in by. */
export interface Listen extends ListenAddress {
  /** Which parts of `access` count there; undefined: all of it. */
  readonly methods: readonly AccessMethod[] | undefined;
  /** False: plain HTTP, although there is a certificate. */
  readonly tls: boolean;
}

export interface RegistryConfig {
  readonly id: string;
  /** The name that images carry: `docker.io`. May have a port. */
  readonly serves: string;
  /** Other names for the same registry, as look-up keys: `index.docker.io`, the upstream's own host name. */
  readonly aliases: readonly string[];
  /** Origin of the upstream, no path: `https://registry-1.docker.io`. */
  readonly upstream: string;
  /** Host headers that choose this registry. */
  readonly hostnames: readonly string[];
  /** Whether those may pull from it who say nothing of themselves; undefined: as `access.anonymous` has it. */
  readonly anonymous: boolean | undefined;
  /** Whether one-component names get `library/` in front, as on Docker Hub. */
  readonly libraryPrefix: boolean;
  readonly credentials: Credentials | undefined;
  /**
   * Globs over repositories that whoever may pull gets although only the credentials open them; all others are given out only
   * where the upstream gives them to everybody.
   */
  readonly sharedRepositories: readonly string[];
  /** Whether private repositories are given out to clients whose own credentials open them upstream. */
  readonly passThrough: boolean;
  /** First match wins; the last one matches everything. */
  readonly tags: readonly TagRule[];
  /** What happens to a held tag that the upstream says it does not have. */
  readonly whenDeleted: "serve" | "deny";
  /** Host patterns (`auth.docker.io`, `*.pkg.dev`) whose token service may be asked; the upstream's own host always is. */
  readonly realms: readonly string[];
  /** Whether redirects and realms may lead to loopback, link-local and private addresses. */
  readonly allowPrivateAddresses: boolean;
  /** True where the upstream was named by the user, who may well mean a private address. */
  readonly upstreamIsOwn: boolean;
  /** PEM text of further trusted certificate authorities. */
  readonly ca: string | undefined;
  /** Questions (manifests, tags, tokens) asked at once. */
  readonly questionsMax: number;
  /** Blob transfers at once. */
  readonly transfersMax: number;
  /** Requests per second sent upstream; undefined: unbounded. */
  readonly requestsPerSecond: number | undefined;
  /** Bytes per second that all transfers together may take; undefined: unbounded. */
  readonly bytesPerSecond: number | undefined;
  /** Bytes that may be held of it; undefined: as many as of all together. */
  readonly maxSizeBytes: number | undefined;
  /** Share of the pulls that the upstream allows below which they are spared, 0 to 1. */
  readonly quotaReserveShare: number;
  readonly timeouts: UpstreamTimeouts;
}

/** All milliseconds. None of them bounds a whole body: a 40 GB layer takes what it takes. */
export interface UpstreamTimeouts {
  /** TCP and TLS. */
  readonly connectMs: number;
  /** Until the answer's headers. */
  readonly headersMs: number;
  /** Between two pieces of a body. */
  readonly idleMs: number;
  /** How long a client waits for the question "has this tag moved?" while we hold an answer. */
  readonly askBudgetMs: number;
}

/** `basic`: user and password for the token service (or Basic itself); `bearer`: a ready token, as AWS hands out. */
export type Credentials =
  | { readonly kind: "basic"; readonly username: string; readonly password: string }
  | { readonly kind: "bearer"; readonly token: string };

/** `match` is a glob over the tag. */
export interface TagRule {
  readonly match: string;
  readonly revalidate: Revalidate;
}

/**
 * `after`: ask upstream when the last confirmation is older; `always`: before each answer; `never`: once held it stays
 * (immutable tags); `offline`: upstream is not asked at all, not even for what is not held.
 */
export type Revalidate =
  | { readonly kind: "after"; readonly ms: number }
  | { readonly kind: "always" }
  | { readonly kind: "never" }
  | { readonly kind: "offline" };
