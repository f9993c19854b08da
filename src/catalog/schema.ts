import type { Generated, Kysely } from "kysely";
import type { ContentKind } from "./catalog.ts";

/**
 * The tables as queries see them; `migrations.ts` makes them. Times are milliseconds since the epoch, sizes bytes.
 * `recorded_at_ms` is always our own clock at the last write that proved the row: `replaceHeld` must not forget what was
 * recorded while it walked the store.
 */
export interface CatalogSchema {
  readonly facts: FactTable;
  readonly repositories: RepositoryTable;
  readonly manifests: ManifestTable;
  readonly manifest_references: ReferenceTable;
  readonly blobs: BlobTable;
  readonly tags: TagTable;
  readonly tag_history: TagHistoryTable;
  readonly saved_lists: SavedListTable;
  readonly contents: ContentTable;
  readonly content_sizes: ContentSizeTable;
  readonly day_counters: DayCounterTable;
  readonly all_time_counters: AllTimeCounterTable;
  readonly manifest_pulls: ManifestPullsTable;
  readonly tag_pulls: TagPullsTable;
  readonly pullers: PullerTable;
}

/** A connection, or a transaction on one. */
export type CatalogDb = Kysely<CatalogSchema>;

/** Facts about the catalog itself. */
export interface FactTable {
  key: string;
  value: string;
}

export interface RepositoryTable {
  id: Generated<number>;
  /** The key: `docker.io/library/nginx`. */
  path: string;
  registry_id: string;
  serves: string;
  name: string;
  recorded_at_ms: number;
}

/** A manifest that a repository has; one that several have is several rows, each with a use and a fetcher of its own. */
export interface ManifestTable {
  id: Generated<number>;
  repository_id: number;
  digest: string;
  media_type: string;
  artifact_type: string | null;
  /** The digest that it refers to, not proven to be held anywhere. */
  subject: string | null;
  size: number;
  /** Whose credentials fetched it; null: anonymous. */
  fetched_with: string | null;
  held_at_ms: number;
  recorded_at_ms: number;
  /** Becoming held counts as a use, and so does a use of what it alone leads to. */
  last_used_at_ms: number;
  /** 1 where no other held manifest of the repository leads to it: see `roots.ts`. */
  is_root: Generated<number>;
}

/** What a manifest names. The repository stands here too, so that `namedBy` is one look-up in one index. */
export interface ReferenceTable {
  manifest_id: number;
  digest: string;
  repository_id: number;
  kind: ContentKind;
  /** As the manifest says, or UNKNOWN_SIZE. */
  size: number;
  /** `linux/arm64/v8`, as the index says; null where it says nothing. */
  platform: string | null;
}

/** A blob that is linked to a repository. */
export interface BlobTable {
  repository_id: number;
  digest: string;
  size: number;
  fetched_with: string | null;
  held_at_ms: number;
  recorded_at_ms: number;
  last_used_at_ms: number;
}

/** Where a tag points now; where it pointed before stands in the history. */
export interface TagTable {
  repository_id: number;
  tag: string;
  digest: string;
  /** The held manifest of that digest; null while it is not held. */
  manifest_id: number | null;
  /** Since when it points to this digest. */
  first_seen_at_ms: number;
  confirmed_at_ms: number;
  recorded_at_ms: number;
  last_used_at_ms: number;
  /** Since when the upstream says that it does not have it; null: it does. */
  vanished_at_ms: number | null;
}

/** Where a tag pointed before, oldest first by id. */
export interface TagHistoryTable {
  id: Generated<number>;
  repository_id: number;
  tag: string;
  digest: string;
  first_seen_at_ms: number;
  confirmed_at_ms: number;
  /** Whether the upstream did not have it, after that, before the tag pointed elsewhere, and since when. */
  vanished_at_ms: number | null;
}

export interface SavedListTable {
  repository_id: number;
  kind: "tags" | "referrers";
  key: string;
  body: string;
  bytes: number;
  saved_at_ms: number;
}

/** Some content that a registry's repositories have, or with an empty id those of all. */
export interface ContentTable {
  digest: string;
  registry_id: string;
  size: number;
  /** How many rows of `blobs` and `manifests` say so; never 0. */
  links: number;
}

/** The sums of `contents`, kept with it. */
export interface ContentSizeTable {
  registry_id: string;
  bytes: number;
  contents: number;
}

/** What happened on a day; the registry need not be configured any more. */
export interface DayCounterTable {
  /** UTC days since the epoch. */
  day: number;
  registry_id: string;
  name: string;
  value: number;
}

export interface AllTimeCounterTable {
  registry_id: string;
  name: string;
  value: number;
}

/** How often clients have pulled a manifest. */
export interface ManifestPullsTable {
  manifest_id: number;
  pulls: number;
  last_pulled_at_ms: number;
}

/** How often they did by a tag, wherever it pointed. */
export interface TagPullsTable {
  repository_id: number;
  tag: string;
  pulls: number;
  last_pulled_at_ms: number;
}

export interface PullerTable {
  manifest_id: number;
  /** A user's name, else the client's address. */
  puller: string;
  pulls: number;
  last_pulled_at_ms: number;
}
