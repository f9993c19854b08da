import type { Use } from "../catalog/catalog.ts";
import type { AccessNews } from "../access/open.ts";
import type { ClientAuthorities, Config, ShownCertificate } from "../config/config.ts";
import type { ProcessFacts } from "../lib/process-facts.ts";
import type { Digest } from "../oci/digest.ts";
import type { Repository, Tag } from "../oci/reference.ts";
import type { Gone } from "../pull/gone.ts";
import type { QuotaVerdict } from "../pull/freshness.ts";
import type { TagState } from "../pull/held.ts";
import type { Counted } from "../server/request-sums.ts";
import type { SeenRequest } from "../server/seen.ts";

/** What a front needs to know, as the owner sends it; no credentials among it. */
export interface FrontSetup {
  readonly config: FrontConfig;
  /** Where the owner answers what a front cannot. */
  readonly ownerSocket: string;
  /** Base64: with the same keys everywhere, a client resumes its TLS session wherever it comes in. */
  readonly ticketKeys: string;
  /** What clients are spoken to with at first; undefined: plain HTTP. */
  readonly certificate: ShownCertificate | undefined;
  readonly access: AccessNews;
  /** Base64: what tokens are signed with; a secret. */
  readonly tokenKey?: string;
}

export type FrontConfig = Pick<
  Config,
  | "access"
  | "api"
  | "dataDir"
  | "defaultRegistry"
  | "listen"
  | "log"
  | "registries"
  | "stopTimeoutMs"
  | "trustedProxies"
  | "url"
>;

/** A tag and where it points; without that, what is known of it is to be forgotten. */
export interface TagNews {
  readonly repository: Repository;
  readonly tag: Tag;
  readonly state: TagState | undefined;
}

/** How many pulls a registry's upstream has left. */
export interface QuotaNews {
  readonly registryId: string;
  readonly verdict: QuotaVerdict;
}

export interface TlsNews {
  readonly certificate: ShownCertificate;
  readonly clients: ClientAuthorities | undefined;
  /** Base64. */
  readonly ticketKeys: string;
}

/** What is open at a process in this moment. */
export interface InUse {
  /** Of clients, that are not answered to the end. */
  readonly requests: number;
  readonly connections: number;
  /** Of stored blobs, from their files. */
  readonly storedReaders: number;
}

export type ToFront =
  | ({ readonly kind: "setup" } & FrontSetup)
  /** Upstream has confirmed or moved it, it was held or released, or the front has asked. */
  | ({ readonly kind: "tag" } & TagNews)
  /** What is held no longer. */
  | { readonly kind: "gone"; readonly gone: Gone }
  /** What TLS is spoken with from now on. */
  | ({ readonly kind: "tls" } & TlsNews)
  /** Users or secret paths have changed: passwords are to be asked for again. */
  | ({ readonly kind: "access" } & AccessNews)
  /** There are few pulls left, none, or enough again. */
  | ({ readonly kind: "quota" } & QuotaNews)
  /** With it comes the socket of a client, which is the front's as soon as that says so. */
  | { readonly kind: "connection"; readonly id: number; readonly listen: number }
  /** What has this client lately asked for? */
  | { readonly kind: "seen"; readonly id: number; readonly client: string }
  /** How do you fare? */
  | { readonly kind: "fares"; readonly id: number }
  | { readonly kind: "stop" };

export type ToOwner =
  /** It runs, and wants its setup. */
  | { readonly kind: "awake" }
  /** It takes connections. */
  | { readonly kind: "ready" }
  /** The connection is its own now. */
  | { readonly kind: "taken"; readonly id: number }
  /** Where does it point? */
  | { readonly kind: "follow"; readonly repository: Repository; readonly tag: Tag }
  | { readonly kind: "used"; readonly uses: readonly Use[] }
  /** What it has answered by itself since it said so last. */
  | { readonly kind: "counted"; readonly counted: Counted; readonly inUse: InUse }
  | { readonly kind: "damaged"; readonly digest: Digest }
  /** Somebody at this address has said who it is. */
  | { readonly kind: "welcomed"; readonly client: string }
  /** By the id of the question. */
  | { readonly kind: "seen"; readonly id: number; readonly requests: readonly SeenRequest[] }
  | { readonly kind: "fares"; readonly id: number; readonly facts: ProcessFacts }
  | { readonly kind: "stopped"; readonly cutRequests: number };
