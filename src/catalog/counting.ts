import type { Digest } from "../oci/digest.ts";
import type { Repository, Tag } from "../oci/reference.ts";

/** So much of something, on one day and of one registry. What names mean, whoever counts knows. */
export interface Count {
  /** UTC days since the epoch. */
  readonly day: number;
  readonly registryId: string;
  readonly name: string;
  readonly value: number;
}

/** The counters of a registry: all-time, or of a day. */
export type NamedCounts = ReadonlyMap<string, number>;

/** A manifest was pulled so often by somebody, lately at that time. */
export interface Pulled {
  readonly repository: Repository;
  readonly digest: Digest;
  readonly tag: Tag | undefined;
  readonly puller: string;
  readonly pulls: number;
  readonly atMs: number;
}

/** What is counted; nothing of it is in the store, so that it goes with the catalog's file. `replaceHeld` leaves it as it is. */
export interface CountingCatalog {
  /** Adds to the counters of days and to those of all time, all of it or nothing. Days that are too old are forgotten. */
  addCounts(counts: readonly Count[]): Promise<void>;
  /** Of all time, by registry id. */
  countsOfAllTime(): Promise<ReadonlyMap<string, NamedCounts>>;
  /** From one day to another, both included, in the order of days. */
  countsByDay(days: { readonly from: number; readonly to: number }): Promise<Count[]>;
  /** Who has pulled what. What is not held is passed over. */
  notePulls(pulled: readonly Pulled[]): Promise<void>;
}
