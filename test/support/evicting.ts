import { join } from "node:path";
import { pino } from "pino";
import { type Catalog, type HeldRoot } from "../../src/catalog/catalog.ts";
import { openSqliteCatalog } from "../../src/catalog/sqlite.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { parseManifest } from "../../src/oci/manifest.ts";
import * as types from "../../src/oci/media-types.ts";
import type { Repository, Tag } from "../../src/oci/reference.ts";
import { Departures } from "../../src/pull/departures.ts";
import type { Gone } from "../../src/pull/gone.ts";
import { Held } from "../../src/pull/held.ts";
import { Room } from "../../src/pull/room.ts";
import { openFilesystemStore } from "../../src/store/filesystem.ts";
import type { Store } from "../../src/store/store.ts";
import type { Refetch } from "../../src/upkeep/evict/choose.ts";
import { Evictor } from "../../src/upkeep/evict/evictor.ts";
import type { Evicted } from "../../src/upkeep/evict/hands.ts";
import { Pins } from "../../src/upkeep/pins/pins.ts";
import { type HasAfter, tempDir } from "./temp.ts";

const SILENT = pino({ level: "silent" });
export const REGISTRIES = ["dockerhub", "corp"].map((id, at) => ({
  id,
  serves: ["docker.io", "registry.corp.example"][at] as string,
  aliases: [],
  libraryPrefix: false,
}));

export interface SiteOptions {
  readonly maxAgeMs?: number;
  readonly configuredPins?: readonly string[];
  readonly refetch?: (repository: Repository) => Refetch;
  readonly dataDir?: string;
}

/** The real store and catalog in a folder, with what keeps and evicts over them, and no upstream. */
export class EvictingSite {
  readonly dataDir: string;
  readonly store: Store;
  readonly catalog: Catalog;
  readonly budgets = { all: undefined as number | undefined, byRegistry: new Map<string, number>() };
  readonly room: Room;
  readonly held: Held;
  readonly pins: Pins;
  readonly evictor: Evictor;
  readonly departures: Departures;
  readonly evicted: Evicted[] = [];
  readonly gone: Gone[] = [];
  readonly underWay = new Set<Digest>();
  #atMs = 1_000;

  constructor(dataDir: string, store: Store, catalog: Catalog, options: SiteOptions) {
    this.dataDir = dataDir;
    this.store = store;
    this.catalog = catalog;
    this.room = new Room({ store, catalog, budgets: this.budgets });
    this.held = new Held({ store, catalog, room: this.room, shares: () => true, log: SILENT });
    const { held, room } = this;
    const forget = (gone: Gone) => void this.gone.push(gone);
    this.departures = new Departures({ store, catalog, held, room, forget, log: SILENT });
    const configured = options.configuredPins ?? [];
    this.pins = new Pins({ path: join(dataDir, "pins.txt"), configured, registries: REGISTRIES, log: SILENT });
    this.evictor = new Evictor({
      catalog,
      store,
      pull: {
        room,
        departures: this.departures,
        isUnderWay: (digest) => this.underWay.has(digest),
        settleUses: async () => undefined,
      },
      pins: this.pins,
      refetch: async (repository) => options.refetch?.(repository) ?? "easy",
      maxAgeMs: options.maxAgeMs,
      catalogComplete: async () => undefined,
      isCatalogWhole: () => true,
      onEvicted: (one) => void this.evicted.push(one),
      log: SILENT,
    });
  }

  /** Stores blobs and an image of them, links both, and points the tag there. */
  async image(where: Repository, blobs: readonly Buffer[], tag?: string, subject?: Digest): Promise<Digest> {
    for (const bytes of blobs) {
      if ((await this.store.statBlob(digestOf(bytes))) === undefined) await this.store.putBlob(digestOf(bytes), bytes);
      await this.held.linkBlob(where, digestOf(bytes), bytes.length);
    }
    const mediaType = "application/octet-stream";
    const layers = blobs.map((bytes) => ({ mediaType, digest: digestOf(bytes), size: bytes.length }));
    const referring = subject === undefined ? {} : { subject: { mediaType, digest: subject, size: 1 } };
    return await this.manifest(where, { mediaType: types.OCI_MANIFEST, layers, ...referring }, tag);
  }

  async index(where: Repository, children: readonly Digest[], tag?: string): Promise<Digest> {
    const manifests = children.map((digest) => ({ mediaType: types.OCI_MANIFEST, digest, size: 1 }));
    return await this.manifest(where, { mediaType: types.OCI_INDEX, manifests }, tag);
  }

  async manifest(where: Repository, body: object, tag?: string): Promise<Digest> {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, ...body }));
    const manifest = parseManifest(bytes);
    if (manifest === undefined) throw new Error("no manifest");
    const digest = digestOf(bytes);
    await this.held.keepManifest(where, { digest, bytes, manifest }, undefined);
    if (tag !== undefined) await this.held.setTag(where, tag as Tag, digest, this.#atMs);
    await this.use(where, digest);
    return digest;
  }

  /** Each use is later than all before. */
  async use(where: Repository, digest: Digest): Promise<void> {
    this.#atMs = Math.max(this.#atMs + 1, Date.now());
    await this.catalog.touch([{ repository: where, digest, atMs: this.#atMs }]);
  }

  async roots(): Promise<HeldRoot[]> {
    return await this.catalog.leastUsed({ limit: 1_000 });
  }
}

export async function evictingSite(t: HasAfter, options: SiteOptions = {}): Promise<EvictingSite> {
  const dataDir = options.dataDir ?? (await tempDir(t));
  const store = await openFilesystemStore({ dataDir, minFreeDiskBytes: 0 });
  const catalog = await openSqliteCatalog(join(dataDir, "catalog.sqlite"));
  t.after(() => catalog.close());
  return new EvictingSite(dataDir, store, catalog, options);
}
