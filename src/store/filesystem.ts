import { rm, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Digest } from "../oci/digest.ts";
import { adoptBlob, nearest, roomFor, statNearest } from "./adopt.ts";
import { openFileBlob, walkBlobs } from "./blob.ts";
import { makeFolder, readFileIfPresent, removeEmptyFolder, statFileIfPresent, writeFileDurably } from "./files.ts";
import { type Layout, layoutOf } from "./layout.ts";
import { Links, walkRepositories } from "./links.ts";
import { Partials } from "./partials.ts";
import { reapSpools, reapUnfinished } from "./reap.ts";
import { openFileSpool } from "./spool.ts";
import type {
  Adoption,
  AdoptOptions,
  ForeignBlob,
  PartialsReport,
  ReapReport,
  Spool,
  SpoolOrigin,
  Store,
  StoredBlob,
  StoredBytes,
} from "./store.ts";

export interface FilesystemStoreOptions {
  readonly dataDir: string;
  /** Free bytes that are left alone. */
  readonly minFreeDiskBytes: number;
}

/** Opens the folder, makes it where it is missing, and clears away what a crash cut short. */
export async function openFilesystemStore(options: FilesystemStoreOptions): Promise<Store> {
  const layout = layoutOf(options.dataDir);
  const unfinished = join(layout.unfinished, String(process.pid));
  await reapUnfinished(layout);
  for (const folder of [layout.repositories, layout.spools, unfinished]) await makeFolder(folder);
  const partials = new Partials();
  await partials.read(layout);
  return new FilesystemStore(options, layout, unfinished, partials);
}

/** What a process may do with a store that another one writes. */
export type ReadableStore = Pick<
  Store,
  "openBlob" | "readBlob" | "statBlob" | "hasLink" | "fetchedWith" | "roomToAdopt" | "room"
>;

/** Opens nothing and changes nothing: for a process beside the one that has opened the store. */
export function filesystemReader(dataDir: string, minFreeDiskBytes = 0): ReadableStore {
  const layout = layoutOf(dataDir);
  return new FilesystemStore({ dataDir, minFreeDiskBytes }, layout, layout.unfinished, new Partials());
}

class FilesystemStore implements Store {
  readonly #options: FilesystemStoreOptions;
  readonly #layout: Layout;
  readonly #unfinished: string;
  readonly #links: Links;
  readonly #partials: Partials;

  constructor(options: FilesystemStoreOptions, layout: Layout, unfinished: string, partials: Partials) {
    this.#options = options;
    this.#layout = layout;
    this.#unfinished = unfinished;
    this.#links = new Links(layout, unfinished);
    this.#partials = partials;
    this.link = this.#links.link.bind(this.#links);
    this.hasLink = this.#links.has.bind(this.#links);
    this.fetchedWith = this.#links.fetchedWith.bind(this.#links);
    this.setTag = this.#links.setTag.bind(this.#links);
    this.tag = this.#links.tag.bind(this.#links);
    this.contents = this.#links.contents.bind(this.#links);
    this.unlink = this.#links.unlink.bind(this.#links);
    this.removeTag = this.#links.removeTag.bind(this.#links);
    this.removeIfBare = this.#links.removeIfBare.bind(this.#links);
  }

  readonly link: Store["link"];
  readonly hasLink: Store["hasLink"];
  readonly fetchedWith: Store["fetchedWith"];
  readonly setTag: Store["setTag"];
  readonly tag: Store["tag"];
  readonly contents: Store["contents"];
  readonly unlink: Store["unlink"];
  readonly removeTag: Store["removeTag"];
  readonly removeIfBare: Store["removeIfBare"];

  async openBlob(digest: Digest): Promise<StoredBlob | undefined> {
    return await openFileBlob(this.#layout.blob(digest));
  }

  async statBlob(digest: Digest): Promise<number | undefined> {
    return (await statFileIfPresent(this.#layout.blob(digest)))?.size;
  }

  async readBlob(digest: Digest, bytesMax: number): Promise<Buffer | undefined> {
    const size = await this.statBlob(digest);
    if (size === undefined) return undefined;
    if (size > bytesMax)
      throw new RangeError(`${digest} has ${size} bytes, more than the ${bytesMax} to be read at once`);
    return await readFileIfPresent(this.#layout.blob(digest));
  }

  async putBlob(digest: Digest, bytes: Uint8Array): Promise<void> {
    await writeFileDurably(this.#layout.blob(digest), bytes, this.#unfinished);
  }

  async removeBlob(digest: Digest): Promise<void> {
    const path = this.#layout.blob(digest);
    await rm(path, { force: true });
    await removeEmptyFolder(dirname(path));
  }

  blobs(after?: Digest): AsyncIterable<StoredBytes> {
    return walkBlobs(this.#layout, after);
  }

  partials(): PartialsReport {
    return this.#partials.report();
  }

  async partialBytes(digest: Digest): Promise<number> {
    return this.#partials.of(this.#layout.spool(digest));
  }

  async adopt(digest: Digest, from: ForeignBlob, options: AdoptOptions): Promise<Adoption> {
    return await adoptBlob({
      ...options,
      digest,
      from,
      blobPath: this.#layout.blob(digest),
      unfinished: this.#unfinished,
      ownerId: (await statNearest(this.#options.dataDir)).uid,
      room: async () => await this.room(),
    });
  }

  async roomToAdopt(from: ForeignBlob): Promise<number> {
    return await roomFor(from, this.#options.dataDir, (await statNearest(this.#options.dataDir)).uid);
  }

  async hasPartial(digest: Digest): Promise<boolean> {
    return (await statFileIfPresent(this.#layout.spool(digest))) !== undefined;
  }

  async openSpool(digest: Digest, origin: SpoolOrigin): Promise<Spool> {
    const path = this.#layout.spool(digest);
    this.#partials.begin(path);
    try {
      return await openFileSpool({
        path,
        blobPath: this.#layout.blob(digest),
        unfinished: this.#unfinished,
        origin,
        room: async () => await this.room(),
        onBytes: (bytes) => this.#partials.set(path, origin.registryId, bytes),
        onEnd: (isLeft) => this.#partials.end(path, isLeft),
      });
    } catch (error) {
      this.#partials.end(path, true);
      throw error;
    }
  }

  repositories(): AsyncIterable<string> {
    return walkRepositories(this.#layout.repositories);
  }

  async room(): Promise<number> {
    const { bavail, bsize } = await statfs(await nearest(this.#options.dataDir));
    return bavail * bsize - this.#options.minFreeDiskBytes;
  }

  async reapPartials(olderThanMs: number): Promise<ReapReport> {
    return await reapSpools(this.#layout, {
      nowMs: Date.now(),
      olderThanMs,
      isOpen: (path) => this.#partials.isOpen(path),
      onRemoved: (path) => this.#partials.end(path, false),
    });
  }
}
