import type { Logger } from "pino";
import type { Catalog, Use } from "../catalog/catalog.ts";
import type { Digest } from "../oci/digest.ts";
import type { Repository, Tag } from "../oci/reference.ts";
import type { Store } from "../store/store.ts";
import { type PullActivity, pullActivity } from "./activity.ts";
import { admissionBy } from "./admission.ts";
import { bring, type Brought } from "./bring.ts";
import { BlobPull } from "./blobs.ts";
import { ChunkCache } from "./chunks.ts";
import { Departures } from "./departures.ts";
import { Fills, type FillsOptions } from "./fills.ts";
import type { Gone } from "./gone.ts";
import { HeldContent } from "./held-content.ts";
import { Held, type HeldNews, type TagState } from "./held.ts";
import { type Holds, HoldsInMemory } from "./holds.ts";
import { ManifestPull } from "./manifests.ts";
import { Mending } from "./mending.ts";
import { NamedSizes } from "./named-sizes.ts";
import { Notebook } from "./notebook.ts";
import { OpenlyHeld } from "./openly-held.ts";
import { Platforms } from "./platform.ts";
import { type Presence, presenceOf } from "./presence.ts";
import { Proof } from "./proof.ts";
import { Refusals } from "./refusals.ts";
import type { PullRegistries } from "./registries.ts";
import { type Budgets, Room } from "./room.ts";
import { SavedLists } from "./saved-lists.ts";
import { SharedBlobs } from "./shared-blobs.ts";
import { sharesOf } from "./shared-repositories.ts";
import { StoredBlobs } from "./stored-blobs.ts";
import { type OnTag, TagStates } from "./tag-states.ts";

export interface PullOptions extends HeldNews {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly registries: PullRegistries;
  readonly fillsMax: number;
  readonly log: Logger;
  /** Tags that are held at a digest; by default none are. */
  readonly holds?: Holds | undefined;
  /** Hears where each tag leads that upstream has said something of, or that was held or released. */
  readonly onTag?: OnTag | undefined;
  readonly onFill?: FillsOptions["onFill"];
  /** Hears of everything that is held no longer. */
  readonly onGone?: ((gone: Gone) => void) | undefined;
  /** Hears of bytes that were not what their digest says; they are gone, and fetched anew by the next request. */
  readonly onDamaged?: ((digest: Digest) => void) | undefined;
  /** What may be held; undefined: as much as the disk has room for. */
  readonly budgets?: Budgets | undefined;
}

/** The heart: what a client asks for, from what is held or from upstream. */
export interface Pull {
  readonly manifests: ManifestPull;
  readonly blobs: BlobPull;
  readonly lists: SavedLists;
  readonly fills: Fills;
  /** Whether somebody with these credentials of an upstream, or without any, may be given what is held of a repository. */
  readonly admit: ReturnType<typeof admissionBy>;
  readonly openlyHeld: OpenlyHeld;
  /** Tags that are held at the digest, or at what names it. */
  heldOver(repository: Repository, digest: Digest): Promise<Tag[]>;
  readonly room: Room;
  readonly departures: Departures;
  readonly mending: Mending;
  /** Whether the store has something that the catalog could not be told of. */
  readonly hasMissedRecords: boolean;
  /** Whether somebody reads the blob from the disk, or it is being fetched. */
  isUnderWay(digest: Digest): boolean;
  /** Writes down what was used until now, what is being fetched among it. */
  settleUses(): Promise<void>;
  /** Whether a repository's upstream has a manifest; asks it. */
  presence(repository: Repository, digest: Digest): Promise<Presence>;
  /** Where a tag points as far as we know; upstream is not asked. */
  tagState(repository: Repository, tag: Tag): Promise<TagState | undefined>;
  /** Makes a blob held without anybody reading it, as `bring` says. */
  bring(
    repository: Repository,
    digest: Digest,
    signal: AbortSignal,
    onBytes: (bytes: number) => void,
  ): Promise<Brought>;
  /** Uses that another process has seen. */
  note(uses: readonly Use[]): void;
  /** Another process has found the blob damaged. */
  doubt(digest: Digest): Promise<void>;
  /** What goes on in this moment. */
  activity(): PullActivity;
  /** For which an image is that stands in no index, as `Platforms` says. */
  platformOf(digest: Digest): Promise<string | undefined>;
  start(): void;
  /** Waits for questions and fills under way. */
  idle(): Promise<void>;
  /** Pauses fills, gives up questions, writes down what was noted; says whether the catalog was told of all. */
  stop(): Promise<{ readonly allRecorded: boolean }>;
}

export function createPull(options: PullOptions): Pull {
  const { store, catalog, registries, fillsMax, log } = options;
  const life = new AbortController();
  const named = new NamedSizes();
  const shares = sharesOf([...registries.values()].map(({ config }) => config));
  const { onTagMoved, onNewDigest, onVanished } = options;
  const news = { onTagMoved, onNewDigest, onVanished };
  const room = new Room({ store, catalog, budgets: options.budgets ?? { all: undefined, byRegistry: new Map() } });
  const held = new Held({
    store,
    catalog,
    shares,
    log,
    named,
    room,
    ...news,
    onTag: (...what) => tags.heard(...what),
    onKept: (repository, { digest, manifest }, fetchedWith) =>
      sharedBlobs.named(repository, digest, manifest, fetchedWith),
  });
  const tags = new TagStates({ held, holds: options.holds ?? new HoldsInMemory(), onTag: options.onTag });
  const notebook = new Notebook(catalog, log);
  const proof = new Proof({ store, catalog, registries, shares, named, log });
  const sharedBlobs = new SharedBlobs({ store, held, proof, log });
  const refusals = new Refusals();
  const chunks = new ChunkCache();
  const openContent = new HeldContent({ store, shares: () => false, log });
  const forget = (gone: Gone) => {
    openContent.forget(gone);
    blobs.forget(gone.bytes);
    options.onGone?.(gone);
  };
  const departures = new Departures({ store, catalog, held, room, forget, onDamaged: options.onDamaged, log });
  const removeDamaged = departures.removeDamaged.bind(departures);
  const blobs = new StoredBlobs({ store: { ...readsOf(store), removeDamaged }, chunks, log });
  const onUnlinked = async (digest: Digest) => void (await departures.removeUnlinked(digest));
  const fills = new Fills({
    store,
    held,
    blobs,
    room,
    chunks,
    registries,
    fillsMax,
    onUnlinked,
    onStored: (digest) => sharedBlobs.stored(digest),
    log,
    onFill: options.onFill,
  });
  const shared = { held, tags, notebook, proof, refusals, registries, log, signal: life.signal };
  const manifests = new ManifestPull(shared);
  const platforms = new Platforms({ store, manifest: async (digest) => await held.manifestBytes(digest) });
  const lists = new SavedLists({ ...shared, catalog });
  const blobPull = new BlobPull({ ...shared, blobs, fills });
  const mending = new Mending({
    store,
    catalog,
    held,
    blobs,
    manifests,
    departures,
    log,
    bring: async (...what) => await bring({ blobs: blobPull, fills }, ...what, () => undefined),
    forget: (gone) => {
      held.forget(gone);
      forget(gone);
    },
  });
  return {
    manifests,
    blobs: blobPull,
    lists,
    fills,
    openlyHeld: new OpenlyHeld({
      content: openContent,
      blobs,
      notebook,
      tagState: async (repository, tag) => await tags.of(repository, tag),
    }),
    room,
    departures,
    mending,
    get hasMissedRecords() {
      return held.hasMissedRecords;
    },
    isUnderWay: (digest) => blobs.isRead(digest) || fills.find(digest) !== undefined,
    settleUses: async () => {
      fills.each((repository, digest) => notebook.used(repository, digest));
      await notebook.flush();
    },
    admit: admissionBy({ registries, catalog, log, signal: life.signal }),
    heldOver: async (repository, digest) => await tags.heldOver(repository, digest),
    presence: async (repository, digest) => await presenceOf(registries, repository, digest, life.signal),
    tagState: async (repository, tag) => await tags.of(repository, tag),
    bring: async (...what) => await bring({ blobs: blobPull, fills }, ...what),
    note: (uses) => uses.forEach((use) => notebook.note(use)),
    doubt: async (digest) => await blobs.doubt(digest),
    platformOf: async (digest) => await platforms.of(digest),
    activity: () => pullActivity(fills.activity(), blobs.activity()),
    start: () => notebook.start(),
    idle: async () => {
      await Promise.all([manifests.idle(), lists.idle()]);
      await fills.idle();
      await sharedBlobs.idle();
      await held.idle();
      await notebook.flush();
    },
    stop: async () => {
      await fills.stop();
      life.abort();
      await Promise.all([manifests.idle(), lists.idle()]);
      await sharedBlobs.stop();
      await held.idle();
      await notebook.stop();
      return { allRecorded: !held.hasMissedRecords };
    },
  };
}

function readsOf(store: Store): Pick<Store, "openBlob" | "readBlob" | "statBlob"> {
  return {
    openBlob: async (digest) => await store.openBlob(digest),
    readBlob: async (digest, bytesMax) => await store.readBlob(digest, bytesMax),
    statBlob: async (digest) => await store.statBlob(digest),
  };
}
