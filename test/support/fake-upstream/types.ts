import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { Digest } from "../../../src/oci/digest.ts";

/** Which of the three hosts a request reached. */
export type Role = "registry" | "cdn" | "token";

export interface FakeUpstream extends AsyncDisposable {
  /** Origin of the registry, `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** Origin of the host that redirected blobs come from. */
  readonly cdnUrl: string;
  /** The token service's realm, `http://127.0.0.1:PORT/token`. */
  readonly tokenUrl: string;
  /** Everything received, in order of arrival, on all hosts. */
  readonly requests: RecordedRequest[];
  count(filter: RequestMatch): number;
  /** Resolves when `predicate` is true; asked again whenever a request or socket comes, moves or ends. */
  until(predicate: () => boolean, timeoutMs?: number): Promise<void>;
  /** Sockets of a host: how many were ever accepted, and how many are open. */
  connections(role: Role): { accepted: number; open: number };

  addBlob(repository: string, bytes: Uint8Array, algorithm?: "sha256" | "sha512"): Digest;
  addManifest(repository: string, manifest: object | Uint8Array, options?: ManifestOptions): Digest;
  /** A small image: config, layers, manifest. */
  addImage(repository: string, tag: string, options?: ImageOptions): FakeImage;
  /** An index over one image for each platform (`linux/arm64/v8`). */
  addIndex(repository: string, tag: string, platforms: readonly string[], options?: ImageOptions): FakeIndex;
  setTag(repository: string, tag: string, digest: Digest): void;
  deleteTag(repository: string, tag: string): void;
  /** Takes a blob or manifest, and the tags that point to it, out of one repository. */
  deleteContent(repository: string, digest: Digest): void;

  /**
   * The next matching requests get these faults in order, then normal behaviour comes back. A fault with
   * `times: Infinity` is a lasting condition and applies beside what else is scripted; of the finite ones a request gets
   * one, from the first script that has one for it. Faults of a body (cut, reset, stall, hold, corrupt, short, long, gzip, drip)
   * wait for a GET that is answered with 2xx and a body, `length` waits for a 2xx, `noRange` for a Range: so none of them
   * is spent on a 401 or a redirect. The others hit whatever matches.
   */
  script(match: RequestMatch, ...faults: Fault[]): { remove(): void };
  /** Makes all issued tokens invalid at once. */
  expireTokens(): void;
  /** Makes all signed URLs invalid at once. */
  expireSignedUrls(): void;
  /** Closes listeners and sockets; `restart` comes back on the same ports with the same content. */
  stop(): Promise<void>;
  restart(): Promise<void>;
}

export interface RequestMatch {
  readonly role?: Role;
  readonly method?: string;
  /** A part of path and query. */
  readonly path?: string | RegExp;
  /** With (true) or without (false) an Authorization header. */
  readonly authorized?: boolean;
  /** With (true) or without (false) a Range header. */
  readonly ranged?: boolean;
}

export interface RecordedRequest {
  readonly role: Role;
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** 0 until the answer's head is sent. */
  status: number;
  /** Body bytes handed to the socket so far. */
  bytesSent: number;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  /** The exchange is over, completely or not. */
  closed: boolean;
}

type FaultKind =
  /** Another answer: 401 without challenge, 429 with Retry-After, 5xx ... */
  | {
      readonly kind: "status";
      readonly status: number;
      readonly headers?: Record<string, string>;
      readonly body?: string;
    }
  | { readonly kind: "redirect"; readonly status?: number; readonly location: string }
  /** Closes the socket after N bytes of this response's body. All `atByte` count from the response's own first byte. */
  | { readonly kind: "cut"; readonly atByte: number }
  /** The same with a TCP reset, as a load balancer does that forgot the connection. */
  | { readonly kind: "reset"; readonly atByte: number }
  /** Sends N bytes, then nothing; the socket stays open. */
  | { readonly kind: "stall"; readonly atByte: number }
  /** Sends N bytes, waits, goes on. */
  | { readonly kind: "hold"; readonly atByte: number; readonly until: Promise<void> }
  /** Flips all bits of one byte. */
  | { readonly kind: "corrupt"; readonly atByte: number }
  /** A body that is `bytes` (1) shorter or longer than the truth, with a Content-Length that fits it. */
  | { readonly kind: "short" | "long"; readonly bytes?: number }
  /** A wrong Content-Length (the socket is closed after the true body), or none (chunked). */
  | { readonly kind: "length"; readonly contentLength: number | undefined }
  | { readonly kind: "headers"; readonly set?: Record<string, string>; readonly remove?: readonly string[] }
  /** An HTML page. */
  | { readonly kind: "html"; readonly status?: number }
  | { readonly kind: "gzip" }
  | { readonly kind: "drip"; readonly bytesPerSecond: number; readonly pieceBytes?: number }
  /** Accepts the request and never answers. */
  | { readonly kind: "hang" }
  /** Closes the socket instead of answering. */
  | { readonly kind: "drop" }
  /** Headers without an end: as fast as they are taken, or one after each so many milliseconds. */
  | { readonly kind: "endlessHeaders"; readonly everyMs?: number }
  /** Ignores Range: 200 with the whole. */
  | { readonly kind: "noRange" }
  | { readonly kind: "answer"; readonly handler: (req: IncomingMessage, res: ServerResponse) => void | Promise<void> };

/** `times` is how many requests get it, 1 unless told. */
export type Fault = FaultKind & { readonly times?: number };

export interface ChallengeInfo {
  /** Undefined for `/v2/`. */
  readonly repository: string | undefined;
  readonly realm: string;
  /** A token was presented, but it is unknown or expired. */
  readonly stale: boolean;
}

export interface TokenOptions {
  /** The field that carries the token (`token`). */
  readonly field?: "token" | "access_token";
  /** `expires_in`, in seconds; without it the field is left out and the token lives until `expireTokens()`. */
  readonly expiresInS?: number | undefined;
  /** Further or overriding fields of the body; a string replaces it. */
  readonly body?: Record<string, unknown> | string;
  /** Requests must name exactly this service. */
  readonly service?: string;
  /** Anonymous requests without a scope are refused (quay.io). */
  readonly scopeNeeded?: boolean;
  /** Path of the realm (`/token`). */
  readonly path?: string;
  /** `registry`: the realm lies on the registry's own host (ghcr.io, quay.io, codeberg.org). */
  readonly host?: "own" | "registry";
}

export interface FakeUpstreamOptions {
  readonly auth?: "none" | "bearer" | "basic" | { readonly challenge: (info: ChallengeInfo) => readonly string[] };
  /** Credentials that the token service, or Basic, accepts. */
  readonly users?: Readonly<Record<string, string>>;
  /** False: nobody gets in without credentials. */
  readonly anonymous?: boolean;
  readonly token?: TokenOptions;
  /** Ready tokens that open everything, as AWS hands out. */
  readonly bearerTokens?: readonly string[];
  /** What a token that is unknown or expired gets: a 401 with a challenge, or this status without one. */
  readonly staleToken?: "challenge" | 401 | 403;
  readonly privateRepositories?: readonly string[];
  /**
   * Where private (to this asker) and unknown repositories are refused, and how. Without it the resource answers: 401
   * with a challenge for private ones, 404 for unknown ones.
   */
  readonly hidden?: { readonly at: "token" | "resource"; readonly status: 401 | 403 | 404 };

  /** Blob GET and HEAD are answered with a redirect to the cdn, with this status (307). */
  readonly redirectBlobs?: boolean | number;
  /** Everything but blobs is redirected with 307 to the cdn, without its query (registry.k8s.io). */
  readonly redirectManifests?: boolean;
  /** Whether `/v2/` paths on the cdn need a token; by default they take no Authorization at all. */
  readonly cdnAuth?: "none" | "bearer";
  /** What blob HEAD gets on the registry. */
  readonly blobHead?: "ok" | 401 | 403 | 404 | 405;
  /** What HEAD of a signed URL gets; by default the blob's headers. */
  readonly cdnHead?: number;
  /** How often each signed URL works. */
  readonly signedUrlUses?: number;

  readonly referrers?: "native" | 404 | "redirect-html";
  readonly referrersPageMax?: number;
  readonly tagsPageMax?: number;
  /** `Link` has the whole URL (quay.io). */
  readonly absoluteLinks?: boolean;
  /** False: no Docker-Content-Digest on manifests and blobs. */
  readonly digestHeader?: boolean;
  /** `schema1`: a manifest whose type is not in Accept is converted (quay.io). */
  readonly accept?: "ignored" | "schema1";

  /** Pulls that whoever asks has left, as Docker Hub counts them: a GET of a manifest is one, and nothing else. */
  readonly pullsOf?: (request: { readonly headers: IncomingHttpHeaders }) => PullsLeft | undefined;

  /** Waited before each answer. */
  readonly latencyMs?: number;
  /** Of each blob's body. */
  readonly bytesPerSecond?: number;
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Host names for the URLs, in place of 127.0.0.1, which is what all listen on. */
  readonly hosts?: { readonly [R in Role]?: string };
}

/** Tests change `remaining` as time would. */
export interface PullsLeft {
  readonly limit: number;
  remaining: number;
  /** Seconds; 6 hours unless told. */
  readonly windowS?: number;
  /** What a 429 says besides. */
  readonly refusal?: Readonly<Record<string, string>>;
}

export interface ManifestOptions {
  readonly tag?: string;
  readonly mediaType?: string;
  readonly algorithm?: "sha256" | "sha512";
}

export interface ImageOptions {
  /** Sizes of the layers in bytes. */
  readonly layers?: readonly number[];
  /** By default made of repository, tag and platform, so that images share no layer by accident. */
  readonly seed?: number | string;
  /** `linux/amd64` unless told. */
  readonly platform?: string;
  readonly flavour?: "oci" | "docker";
}

export interface FakeContent {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
  /** Of the bytes. */
  readonly size: number;
}

export interface FakeImage extends FakeContent {
  readonly repository: string;
  readonly mediaType: string;
  readonly platform: string;
  readonly config: FakeContent;
  readonly layers: readonly FakeContent[];
}

export interface FakeIndex extends FakeContent {
  readonly repository: string;
  readonly mediaType: string;
  readonly images: readonly FakeImage[];
}
