import type { Stats } from "node:fs";
import type { Hash } from "node:crypto";
import type { Digest } from "../oci/digest.ts";
import type { Repository, Tag } from "../oci/reference.ts";

/**
 * The bytes and the links: the truth. Blobs (manifests are blobs too) are shared by all repositories; a link says that a
 * repository has one. What `blob`, `link` and `tag` return was committed whole: a crash at any instant leaves a blob or
 * a link that is there or not there, never half of one.
 */
export interface Store {
  /** Undefined where it is not held. The caller closes what it opens. */
  openBlob(digest: Digest): Promise<StoredBlob | undefined>;
  /** The size in bytes, undefined where it is not held. */
  statBlob(digest: Digest): Promise<number | undefined>;
  /** The whole of a small blob; rejects above `bytesMax`. */
  readBlob(digest: Digest, bytesMax: number): Promise<Buffer | undefined>;
  /** Writes a small verified blob at once; the caller has checked the digest. */
  putBlob(digest: Digest, bytes: Uint8Array): Promise<void>;
  /** Takes a blob away, whoever has a link to it; those who have it open read on. */
  removeBlob(digest: Digest): Promise<void>;
  /** Every stored blob whether anything links it or not, in the order of their digests; those behind `after`. */
  blobs(after?: Digest): AsyncIterable<StoredBytes>;
  /**
   * Takes a blob over from elsewhere: by a link or a clone where the file system knows such, else by a copy. Every byte is hashed before
   * it is visible, and all that is held already is read too, as proof that the other side has it, but for what is the very same file.
   * Rejects with `NoRoomError`, with the signal's reason, or with the system's error where it cannot be read.
   */
  adopt(digest: Digest, from: ForeignBlob, options: AdoptOptions): Promise<Adoption>;
  /** Bytes of room that `adopt` would need, as far as that can be told without trying. */
  roomToAdopt(from: ForeignBlob): Promise<number>;
  /** Whether an earlier process left a partial of it. */
  hasPartial(digest: Digest): Promise<boolean>;
  /** The one spool of a digest: new, or what is left of an earlier one. Another registry's partial makes way for the first byte. */
  openSpool(digest: Digest, origin: SpoolOrigin): Promise<Spool>;

  link(kind: LinkKind, repository: Repository, digest: Digest, fetchedWith: string | undefined): Promise<void>;
  hasLink(kind: LinkKind, repository: Repository, digest: Digest): Promise<boolean>;
  /** Who fetched a linked content with credentials; undefined: fetched anonymously, or not linked. */
  fetchedWith(kind: LinkKind, repository: Repository, digest: Digest): Promise<string | undefined>;
  /** `unconfirmed`: by nobody's word that could be asked, so that upstream is asked before it is believed. */
  setTag(repository: Repository, tag: Tag, digest: Digest, how?: "confirmed" | "unconfirmed"): Promise<void>;
  tag(repository: Repository, tag: Tag): Promise<Digest | undefined>;
  /** Takes a link away, and who fetched it; a crash leaves it or not. What is not there is passed over. */
  unlink(kind: LinkKind, repository: Repository, digest: Digest): Promise<void>;
  /** Takes a tag away, and where it pointed before. */
  removeTag(repository: Repository, tag: Tag): Promise<void>;
  /** Takes the folders away that a repository without links and tags leaves. */
  removeIfBare(repository: Repository): Promise<void>;

  /** Everything that is linked, repository by repository, for `reindex`. Paths are `<serves>/<name>`. */
  repositories(): AsyncIterable<string>;
  contents(repository: Repository): Promise<RepositoryContents>;

  /** Bytes that may still be written before the disk's reserve is touched. */
  room(): Promise<number>;
  /** What lies in `spool/`, what a fill writes now among it; of this very moment. */
  partials(): PartialsReport;
  /** Bytes that are there of a partial; 0: none. */
  partialBytes(digest: Digest): Promise<number>;
  /** Removes partials not written to for `olderThanMs`, and left-overs of writes that a crash cut short. */
  reapPartials(olderThanMs: number): Promise<ReapReport>;
}

/** Bytes outside of the store that are said to be a blob. They are foreign: nothing of them is believed. */
export interface ForeignBlob {
  readonly size: number;
  /** The file, where it has nothing else in it. */
  readonly path?: string;
  open(): Promise<ForeignReader>;
}

export interface ForeignReader {
  read: PositionalReads["read"];
  close(): Promise<void>;
  /** Where it is a file: which one, whatever its path leads to by now, and a name for it as long as it is open. */
  readonly file?: { readonly stats: Stats; readonly name: string };
}

export interface AdoptOptions {
  readonly signal: AbortSignal;
  /** Told of every piece that was read. */
  readonly onBytes: (bytes: number) => void;
}

/** `held`: it was there already; `damaged`: it is not what its digest says, and nothing was taken over. */
export type Adoption = "linked" | "cloned" | "copied" | "held" | "damaged";

export type LinkKind = "manifest" | "layer";

export interface RepositoryContents {
  readonly manifests: readonly StoredLink[];
  readonly layers: readonly StoredLink[];
  readonly tags: readonly StoredTag[];
  /** Links that are there but do not say what they must; digests, and names of tags. */
  readonly damaged: readonly string[];
  /** Those of them that are links to content. */
  readonly damagedLinks: readonly { readonly kind: LinkKind; readonly digest: Digest }[];
  readonly damagedTags: readonly Tag[];
}

export interface StoredLink {
  readonly digest: Digest;
  readonly fetchedWith: string | undefined;
  /** When it was linked, milliseconds since the epoch. */
  readonly atMs: number;
}

export interface StoredTag {
  readonly tag: Tag;
  readonly digest: Digest;
  /** When it was set, milliseconds since the epoch. */
  readonly atMs: number;
  /** When upstream was known to say so; 0: never. */
  readonly confirmedAtMs: number;
}

/** The bytes of a blob. */
export interface StoredBytes {
  readonly digest: Digest;
  readonly size: number;
  /** When it was last written to, milliseconds since the epoch. */
  readonly atMs: number;
}

export interface PartialsReport {
  readonly partials: number;
  readonly bytes: number;
  /** Bytes by registry id, as far as it is known whose they are. */
  readonly byRegistry: ReadonlyMap<string, number>;
}

export interface ReapReport {
  readonly partials: number;
  readonly bytes: number;
}

/** Positional reads over bytes that should not change. */
export interface StoredBlob extends PositionalReads {
  readonly size: number;
  /** Another text when anybody has written to the bytes, or put others in their place. */
  readonly version: string;
  /** Whether it is still what the store gives out for the digest. */
  isCurrent(): Promise<boolean>;
  close(): Promise<void>;
}

export interface PositionalReads {
  /** Fills `buffer` from `position` as far as one read goes; 0 at the end. */
  read(buffer: Uint8Array, position: number): Promise<number>;
  /** The same at once, which stops the whole process until the disk has answered: for what is surely in memory. */
  readNow(buffer: Uint8Array, position: number): number;
}

/** Where a partial came from, kept beside it so that it can be resumed and accounted for. */
export interface SpoolOrigin {
  readonly registryId: string;
  readonly repository: string;
  readonly size: number | undefined;
}

/**
 * A file that grows until it is committed. Exactly one of `commit`, `keep` and `discard` ends the writing; readers may
 * go on with `read` until `close`, since the descriptor stays valid through rename and removal.
 */
export interface Spool extends PositionalReads {
  /** Bytes that an earlier process left; their hash must be taken (`rehash`) before `append`. */
  readonly existingBytes: number;
  /** Feeds the existing bytes to `hash`, telling after each piece how many are done. */
  rehash(hash: Hash, signal: AbortSignal, onProgress: (bytes: number) => void): Promise<void>;
  /** Rejects with `NoRoomError` when the disk is full or the reserve is reached. */
  append(bytes: Uint8Array): Promise<void>;
  /**
   * Makes it the blob: fsync, rename, fsync of the folder. Bytes were verified by the caller. `onStored` is called in the very
   * moment in which its bytes count as a partial no more.
   */
  commit(onStored?: () => void): Promise<void>;
  /** Leaves it as a partial for the next request. */
  keep(): Promise<void>;
  discard(): Promise<void>;
  close(): Promise<void>;
}

/** The disk, or the part of it that we may use, is full. */
export class NoRoomError extends Error {
  override readonly name = "NoRoomError";
}
