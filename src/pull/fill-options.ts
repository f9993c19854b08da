import type { Hash } from "node:crypto";
import type { Logger } from "pino";
import type { Digest } from "../oci/digest.ts";
import type { Spool } from "../store/store.ts";
import type { UpstreamError } from "../upstream/upstream.ts";
import type { ChunkCache } from "./chunks.ts";
import type { OpenUpstream } from "./transfer.ts";

export interface FillOptions {
  readonly digest: Digest;
  /** What a manifest says; the upstream must agree. */
  readonly size: number | undefined;
  /** Waits for a place among the running fills; called first. Rejects when none becomes free. */
  readonly admission: (signal: AbortSignal) => Promise<void>;
  /** Whether it will begin with the first byte, and can be kept as far as is known. */
  readonly isNew: () => Promise<boolean>;
  readonly openSpool: (size: number | undefined) => Promise<Spool>;
  readonly openUpstream: OpenUpstream;
  /** Rejects unless the repository that it is started for has the blob. Asked where no answer with its bytes has shown that. */
  readonly prove: () => Promise<unknown>;
  /** Through which readers read the spool. */
  readonly chunks: ChunkCache;
  /** Called with the verified size after the commit: link and catalog. */
  readonly committed: (size: number) => Promise<void>;
  readonly log: Logger;
}

/**
 * - `filling` bytes are coming, or will
 * - `verified` all bytes are there and right: readers may finish, whatever becomes of the commit
 * - `unkept` the disk is full, or broken, at `writtenBytes`; readers go on by themselves from there
 * - `failed` upstream failed, or sent something else; readers fail with the error
 */
export type FillState =
  | { readonly kind: "filling" }
  | { readonly kind: "verified" }
  | { readonly kind: "unkept"; readonly hash: Hash }
  | { readonly kind: "failed"; readonly error: UpstreamError };
