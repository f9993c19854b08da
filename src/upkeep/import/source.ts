import type { Digest } from "../../oci/digest.ts";
import type { Repository, Tag } from "../../oci/reference.ts";
import type { ForeignBlob } from "../../store/store.ts";

/** Where images are taken over from. Everything in it is foreign: it is only read, and nothing of it is believed. */
export interface ImportSource {
  /** For people: `registry volume`, `OCI layout`, `archive`. */
  readonly kind: string;
  /** One after the other; may be asked for again. Rejects with an `ImportError` where there is no reading it. */
  repositories(): AsyncIterable<SourceRepository>;
  /** Undefined where it does not have the bytes. */
  find(digest: Digest): Promise<ForeignBlob | undefined>;
  close(): Promise<void>;
}

export interface SourceRepository {
  readonly repository: Repository;
  readonly manifests: readonly SourceLink[];
  readonly layers: readonly SourceLink[];
  readonly tags: readonly { readonly tag: Tag; readonly digest: Digest }[];
}

export interface SourceLink {
  readonly digest: Digest;
  /** It says of itself that credentials were needed to have it. */
  readonly isPrivate: boolean;
}

/**
 * - `bad-name` no repository can have the name; passed over
 * - `unknown-registry` it belongs to a registry that is not configured; passed over
 * - `unnamed` nothing says what image it is; passed over
 * - `damaged-link` a link that does not say what it must; passed over
 * - `damaged` the bytes are not those that the digest stands for; left out
 * - `no-manifest` it is said to be a manifest, and is none; left out
 * - `unreadable` the system did not let us read it; left out
 * - `leads-out` a symbolic link leads out of the folder; not followed
 */
export interface ImportProblem {
  readonly kind:
    | "bad-name"
    | "unknown-registry"
    | "unnamed"
    | "damaged-link"
    | "damaged"
    | "no-manifest"
    | "unreadable"
    | "leads-out";
  /** What it is about: a repository, a digest, a path within the source. */
  readonly what: string;
  readonly repository?: string;
  /** The system's words, or what would help. */
  readonly reason?: string;
}

/** Hears of what is passed over. */
export type OnProblem = (problem: ImportProblem) => void;

/** Nothing can be taken over from there, and why. */
export class ImportError extends Error {
  override readonly name = "ImportError";
  readonly hint: string | undefined;

  constructor(message: string, hint?: string, options?: ErrorOptions) {
    super(message, options);
    this.hint = hint;
  }
}
