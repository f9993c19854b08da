import type { Readable } from "node:stream";
import type { Digest } from "../oci/digest.ts";
import type { Reference, RepositoryName } from "../oci/reference.ts";
import type { Quota } from "./quota.ts";

/**
 * One registry's upstream, as the pull path sees it. Every method rejects with an `UpstreamError` and with nothing else
 * (an abort by `signal` included, as kind `aborted`). Tokens, redirects, one retry after a stale token, rate caps and the
 * breaker are behind this interface; coalescing and remembering answers are not.
 */
export interface Upstream {
  /** Names the credentials without which this repository's content cannot be had, never containing them; undefined for none. */
  credentialIdFor(name: RepositoryName): string | undefined;
  /** HEAD of a manifest; `digest` is undefined where the registry does not say it. */
  headManifest(name: RepositoryName, reference: Reference, signal: AbortSignal): Promise<ManifestHead>;
  /** GET of a manifest, the whole body, at most MANIFEST_BYTES_MAX. Digests are not verified here. */
  getManifest(name: RepositoryName, reference: Reference, signal: AbortSignal): Promise<ManifestBody>;
  /** GET of a blob, from an offset if asked; the caller owns the body and must destroy or drain it. */
  openBlob(
    name: RepositoryName,
    digest: Digest,
    range: ByteRange | undefined,
    signal: AbortSignal,
    lane?: TransferLane,
  ): Promise<BlobBody>;
  /** Whether the repository has the blob, and its size where it is said, without a download: HEAD, or one byte's GET. */
  probeBlob(name: RepositoryName, digest: Digest, signal: AbortSignal): Promise<{ size: number | undefined }>;
  /** All tags, following the upstream's pages; unsorted, bounded by TAG_PAGES_MAX. */
  listTags(name: RepositoryName, signal: AbortSignal): Promise<readonly string[]>;
  /** The referrers index's bytes, all pages merged; undefined where the registry has no referrers API. */
  getReferrers(name: RepositoryName, subject: Digest, signal: AbortSignal): Promise<Uint8Array | undefined>;
  /** Resolves where the repository's tags can be listed: whether whoever asks may see it. */
  assertListed(name: RepositoryName, signal: AbortSignal): Promise<void>;
  /** Whether a client with these credentials of its own, or without any, may be given what is held of the repository. */
  admit(
    name: RepositoryName,
    offered: OfferedCredentials | undefined,
    signal: AbortSignal,
    asking: Asking,
  ): Promise<Admission>;
  /** Whether the repository was found not to be for everybody, when that was asked last. */
  wasPrivate(name: RepositoryName): boolean;
  /** For a transfer that begins now, and all its resumptions. */
  forTransfer(name: RepositoryName): Pick<Upstream, "openBlob">;
  /** False while questions are answered with `unavailable` or `rate-limited` at once. */
  readonly available: boolean;
  /** The same for registries that lead to the very same upstream as the same user: lscr.io and ghcr.io. */
  readonly place: object;
  /** How many pulls the upstream allows whoever asks by this one; `plenty` where it says nothing of it. */
  readonly quota: QuotaState;
  /** What is going on there, for people. Registries at the same place share breaker, quota and places. */
  state(): UpstreamState;
  close(): Promise<void>;
}

/** `low`: fewer pulls are left than are to be spared; `spent`: none, so that nothing is asked for that costs one. */
export type QuotaVerdict = "plenty" | "low" | "spent";

export interface QuotaState {
  readonly verdict: QuotaVerdict;
  /** What upstream has said last, and when, milliseconds since the epoch; undefined: nothing. */
  readonly seen: (Quota & { readonly atMs: number }) | undefined;
}

/** Those that are under way, and those that wait for their turn. */
export interface Places {
  readonly running: number;
  readonly waiting: number;
}

export interface UpstreamState {
  readonly breaker:
    | { readonly kind: "closed" }
    /** Nothing is sent for so long, milliseconds; 0: one question finds out, and the others wait for what comes of it. */
    | { readonly kind: "open"; readonly because: "failures" | "rate-limit"; readonly forMs: number };
  readonly quota: QuotaState;
  readonly questions: Places;
  /** Of blobs; `parts` are those that single readers have. */
  readonly transfers: Places;
  readonly parts: Places;
  /** What has come lately for this registry. */
  readonly bytesPerSecond: number;
}

/** What a client says of itself to an upstream (`private_content: pass_through`); secrets. */
export interface OfferedCredentials {
  readonly user: string;
  readonly password: string;
}

/** Stands beside content that was fetched with credentials of clients. */
export const FETCHED_BY_CLIENTS = "clients";

/** `nameless`: credentials are needed; `refused`: those that were offered do not open it; `wrong`: they are nobody's. */
export type Admission = "in" | "nameless" | "refused" | "wrong";

/** Is called with the question whether credentials are good, and may put it off, or forbid it by rejecting. */
export type Asking = (ask: () => Promise<Exclude<Admission, "nameless">>) => Promise<Exclude<Admission, "nameless">>;

/**
 * Transfers of two kinds have places of their own: a `part` is for one reader who is far ahead of the fill, and must not
 * take the place of a `whole`, which is for everybody. A part without a place is told `overloaded` at once.
 */
export type TransferLane = "whole" | "part";

/** Both ends inclusive, bytes; without `end`, up to the end of the blob. */
export interface ByteRange {
  readonly start: number;
  readonly end?: number;
}

export interface ManifestHead {
  readonly digest: Digest | undefined;
  readonly mediaType: string | undefined;
  readonly size: number | undefined;
}

export interface ManifestBody {
  readonly bytes: Uint8Array;
  readonly mediaType: string | undefined;
  /** What the registry says, unverified. */
  readonly digest: Digest | undefined;
}

export interface BlobBody {
  /** Where the body begins: 0 for a 200, Content-Range's first byte for a 206. */
  readonly start: number;
  /** The whole blob's size where the upstream says it. */
  readonly size: number | undefined;
  /** Whether a cap of ours (`max_bandwidth`) has held it back since that was asked last. */
  readonly wasHeldBack?: () => boolean;
  /** Raw bytes; errors when the transfer breaks off (also when it ends short of Content-Length) or stays idle. */
  readonly body: Readable;
}

/**
 * - `unreachable` DNS, connect, TLS, reset; `timeout` no answer in time; `server-error` 5xx
 * - `rate-limited` 429 (`retryAfterS` where said), or the pause that one asked for lasts and nothing was sent;
 *   `unavailable` the breaker is open, nothing was sent
 * - `quota` no pulls are left there: a 429 that says so, or (without a status) nothing was sent
 * - `not-found` 404; `unauthorized` 401 or credentials refused; `forbidden` 403
 * - `untrusted` a realm or redirect that this registry may not lead to
 * - `protocol` an answer that is none: wrong type, too long, bad header
 * - `overloaded` our own queue to this upstream is full; `aborted` the caller's signal
 */
export type UpstreamErrorKind =
  | "unreachable"
  | "timeout"
  | "server-error"
  | "rate-limited"
  | "unavailable"
  | "quota"
  | "not-found"
  | "unauthorized"
  | "forbidden"
  | "untrusted"
  | "protocol"
  | "overloaded"
  | "aborted";

export class UpstreamError extends Error {
  override readonly name = "UpstreamError";
  readonly kind: UpstreamErrorKind;
  /** The upstream's HTTP status, where there was one. */
  readonly status: number | undefined;
  /** Seconds. */
  readonly retryAfterS: number | undefined;
  /** Whether not the registry itself answered, but a host that it had led to. */
  readonly isElsewhere: boolean;
  /** Whether the credentials themselves were refused, by whoever knows them, and not what was asked for with them. */
  readonly isOfCredentials: boolean;
  /** Whether it is the answer to one client's credentials, which says nothing about others. */
  readonly isPersonal: boolean;

  constructor(
    kind: UpstreamErrorKind,
    message: string,
    options: {
      status?: number | undefined;
      retryAfterS?: number | undefined;
      isElsewhere?: boolean;
      isOfCredentials?: boolean;
      isPersonal?: boolean;
      cause?: unknown;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.status = options.status;
    this.retryAfterS = options.retryAfterS;
    this.isElsewhere = options.isElsewhere ?? false;
    this.isOfCredentials = options.isOfCredentials ?? false;
    this.isPersonal = options.isPersonal ?? false;
  }
}
