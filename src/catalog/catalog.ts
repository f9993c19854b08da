import type { Digest } from "../oci/digest.ts";
import type { CountingCatalog } from "./counting.ts";
import type { ImageCatalog } from "./images.ts";
import type { Manifest } from "../oci/manifest.ts";
import type { Repository, RepositoryName, Tag } from "../oci/reference.ts";

/**
 * The SQL index over the store. Nothing here is needed to serve what is held: every caller works, slower, when a row is
 * missing, and `reindex` brings the rows back from the store. All times are milliseconds since the epoch.
 *
 * Reads are synchronous in SQLite but not in PostgreSQL, hence the promises.
 */
export interface Catalog extends CountingCatalog, ImageCatalog {
  /** A manifest became held in this repository: its row, what it names, and the sizes of those. Idempotent. */
  recordManifest(record: ManifestRecord): Promise<void>;
  manifest(repository: Repository, digest: Digest): Promise<HeldManifest | undefined>;
  /** A blob was linked to this repository. Idempotent. */
  recordBlob(record: BlobRecord): Promise<void>;
  /** The size that a held manifest of this repository gives for a blob or child manifest. */
  namedBy(repository: Repository, digest: Digest): Promise<{ size: number } | undefined>;
  /** Whether a repository of one of these registries has the content, as blob or manifest, fetched without credentials. */
  isOpenAt(registryIds: readonly string[], digest: Digest): Promise<boolean>;

  /** Whether anything that the repository has was fetched with credentials; undefined where it has nothing. */
  isPrivate(repository: Repository): Promise<boolean | undefined>;

  /** The tag points to this digest now. Adds to the tag's history when the digest is another than before. */
  recordTag(repository: Repository, tag: Tag, digest: Digest, atMs: number): Promise<void>;
  /** Upstream said again that the tag points where we think: freshness survives a restart. */
  confirmTags(confirmations: readonly TagConfirmation[]): Promise<void>;
  /** Upstream says that it does not have the tag. Stands until the tag is confirmed, or points elsewhere. Idempotent. */
  vanishTag(repository: Repository, tag: Tag, atMs: number): Promise<void>;
  tag(repository: Repository, tag: Tag): Promise<HeldTag | undefined>;
  /** Tags that lead to the digest, or did before they moved: by themselves, or by what they point to naming it. */
  tagsOf(repository: Repository, digest: Digest, kind: ContentKind): Promise<Tag[]>;
  /** Where the tag points and has pointed, the latest first. */
  tagHistory(repository: Repository, tag: Tag): Promise<TagSighting[]>;
  /** When the repository was first seen to have the digest, or a manifest that leads to it; undefined: never. */
  firstSeen(repository: Repository, digest: Digest, kind: ContentKind): Promise<number | undefined>;

  /** Last use, in few transactions; keys that are not there are ignored. */
  touch(uses: readonly Use[]): Promise<void>;

  /** Remembered upstream answers that serve while it is away: `tags` and `referrers` lists, by repository and key. */
  saveList(repository: Repository, kind: ListKind, key: string, list: SavedList): Promise<void>;
  list(repository: Repository, kind: ListKind, key: string): Promise<SavedList | undefined>;

  /** Held repositories after `last` in lexical order of their store path (`docker.io/library/nginx`). */
  repositories(query: RepositoriesQuery): Promise<HeldRepository[]>;
  /** Held repository:tag pairs by registry id. */
  countImages(): Promise<ReadonlyMap<string, number>>;
  /** A registry's repositories with held tags, and these: after `last`, in lexical order of their names. */
  inventory(query: RepositoriesQuery & { readonly registryId: string }): Promise<HeldTags[]>;

  /** Bytes held: each content counts once in all, and once for each registry that has it. Two look-ups, exact. */
  heldBytes(): Promise<HeldBytes>;
  /** In how many places the content is held, as blob or manifest: of a registry, or of all. */
  linksTo(digest: Digest, registryId?: string): Promise<number>;
  /** Those of them that no repository has. */
  unheld(digests: readonly Digest[]): Promise<Digest[]>;
  /** Held manifests that nothing else of their repository leads to, the longest unused first, so many after the cursor. */
  leastUsed(query: LeastUsedQuery): Promise<HeldRoot[]>;
  /** The roots by which a repository holds a manifest: itself, or those that lead to it. */
  rootsOf(repository: Repository, digest: Digest): Promise<Digest[]>;
  /**
   * What goes when a root is evicted: the manifests that it leads to and that nothing else does, the blobs that no other
   * manifest of the repository names, the tags. Undefined where it is not held. `without`: as if these manifests of the
   * repository had gone already.
   */
  leaving(repository: Repository, root: Digest, without?: readonly Digest[]): Promise<Leaving | undefined>;
  /** Blobs that no held manifest of their repository names, among so many rows after the cursor. */
  looseBlobs(query: LooseQuery): Promise<{ readonly blobs: LooseBlob[]; readonly next: LooseQuery["after"] }>;
  /** Such a blob as something that leaves; undefined where it is not held, or is named by now. */
  leavingBlob(repository: Repository, digest: Digest): Promise<Leaving | undefined>;
  /** Forgets all of what leaves, in one transaction; where its tags pointed goes into their history. */
  forget(leaving: Leaving): Promise<void>;
  /** Who has the content, as blob or manifest. */
  holdersOf(digest: Digest): Promise<Holder[]>;
  /** No repository has it as a blob any more. Says which had. */
  forgetBlob(digest: Digest): Promise<Repository[]>;

  /** Forgets what the store no longer has and takes over what it has: see `upkeep/reindex.ts`. */
  replaceHeld(snapshot: AsyncIterable<HeldSnapshot>): Promise<void>;
  /** True when no manifest was ever recorded (a new file beside a store that may be full), or a `replaceHeld` broke off. */
  isEmpty(): Promise<boolean>;
  /** Comes before the first record. True where whoever was here before never came to `markSettled`: rows may be missing. */
  markInUse(): Promise<boolean>;
  /** All that the store gained was recorded here. */
  markSettled(): Promise<void>;
  close(): Promise<void>;
}

/** A repository that has some content. */
export interface Holder {
  readonly repository: Repository;
  readonly kind: ContentKind;
}

/** As what a digest is asked for, or named. */
export type ContentKind = "manifest" | "blob";

export interface ManifestRecord {
  readonly repository: Repository;
  readonly digest: Digest;
  readonly size: number;
  readonly manifest: Manifest;
  /** Whose credentials fetched it (`Upstream.credentialId`); undefined: anonymous. */
  readonly fetchedWith: string | undefined;
  readonly atMs: number;
}

export interface HeldManifest {
  readonly mediaType: string;
  readonly size: number;
  readonly fetchedWith: string | undefined;
}

export interface BlobRecord {
  readonly repository: Repository;
  readonly digest: Digest;
  readonly size: number;
  readonly fetchedWith: string | undefined;
  readonly atMs: number;
}

export interface HeldTag {
  readonly digest: Digest;
  /** When upstream last confirmed it. */
  readonly confirmedAtMs: number;
  /** Since when upstream says that it does not have it; undefined: it does. */
  readonly vanishedAtMs?: number;
}

/** Where a tag points, or has pointed. */
export interface TagSighting {
  readonly digest: Digest;
  /** Since when. */
  readonly firstSeenAtMs: number;
  /** When upstream last said so. */
  readonly confirmedAtMs: number;
  /** Since when it did not have it, after that. */
  readonly vanishedAtMs?: number;
}

export interface TagConfirmation {
  readonly repository: Repository;
  readonly tag: Tag;
  /** Where it points by upstream's word; a tag that points elsewhere here is passed over. */
  readonly digest: Digest;
  readonly atMs: number;
}

export interface Use {
  readonly repository: Repository;
  readonly digest: Digest;
  readonly tag?: Tag;
  readonly atMs: number;
}

export type ListKind = "tags" | "referrers";

export interface SavedList {
  /** JSON text. */
  readonly body: string;
  readonly atMs: number;
}

/** Repositories that lists leave out, by what a manifest of theirs was fetched with (`Upstream.credentialIdFor`). */
export interface Unlisted {
  /** With these credentials, of whichever registry. */
  readonly fetchedWith: string;
  /** With any credentials, of these registries, by id. */
  readonly privateOf: readonly string[];
}

export interface RepositoriesQuery {
  readonly registryId?: string;
  /** One alone: `docker.io/library/nginx`. */
  readonly path?: string;
  readonly last?: string;
  readonly limit: number;
  readonly except?: Unlisted;
}

export interface HeldRepository {
  readonly registryId: string;
  readonly serves: string;
  readonly name: RepositoryName;
}

/** A repository's held tags in lexical order, at least one. */
export interface HeldTags {
  readonly name: RepositoryName;
  readonly tags: readonly Tag[];
}

export interface HeldSize {
  readonly bytes: number;
  /** Different ones. */
  readonly contents: number;
}

export interface HeldBytes extends HeldSize {
  /** By registry id; what several have counts for each. */
  readonly byRegistry: ReadonlyMap<string, HeldSize>;
}

export interface LeastUsedQuery {
  readonly after?: Pick<HeldRoot, "id" | "lastUsedAtMs"> | undefined;
  readonly limit: number;
}

/** A manifest that nothing else of its repository leads to. */
export interface HeldRoot {
  readonly id: number;
  readonly repository: Repository;
  readonly digest: Digest;
  /** Of it and of what it leads to. */
  readonly lastUsedAtMs: number;
  readonly heldAtMs: number;
}

export interface SizedDigest {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
}

/** What leaves a repository together. */
export interface Leaving {
  readonly repository: Repository;
  /** Undefined for a loose blob. */
  readonly root: Digest | undefined;
  /** The root first, then level by level what it leads to. */
  readonly manifests: readonly SizedDigest[];
  readonly blobs: readonly SizedDigest[];
  readonly tags: readonly Tag[];
  /** All of it, each digest once. */
  readonly contents: readonly LeavingContent[];
  readonly lastUsedAtMs: number;
}

/** Where nothing but what leaves has it, its bytes come back. */
export interface LeavingContent extends SizedDigest {
  /** In how many places it leaves: as manifest, as blob, or as both. */
  readonly leaves: number;
  /** In how many places it is held, all repositories together, */
  readonly links: number;
  /** and those of the registry. */
  readonly registryLinks: number;
}

export interface LooseQuery {
  readonly after?: { readonly repositoryId: number; readonly digest: Digest } | undefined;
  readonly limit: number;
}

export interface LooseBlob extends SizedDigest {
  readonly repository: Repository;
  readonly lastUsedAtMs: number;
}

/** One repository as the store has it. */
export interface HeldSnapshot {
  readonly repository: Repository;
  readonly manifests: readonly Omit<ManifestRecord, "repository">[];
  readonly blobs: readonly Omit<BlobRecord, "repository">[];
  readonly tags: readonly HeldSnapshotTag[];
}

export interface HeldSnapshotTag {
  readonly tag: Tag;
  readonly digest: Digest;
  readonly atMs: number;
  /** When upstream said so, where that was not at `atMs`; 0: never. */
  readonly confirmedAtMs?: number;
}
