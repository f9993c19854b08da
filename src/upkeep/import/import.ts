import { eachOf } from "../../lib/each.ts";
import { type Digest, digestAlgorithm, digestOf } from "../../oci/digest.ts";
import { MANIFEST_BYTES_MAX, parseManifest } from "../../oci/manifest.ts";
import { type Repository, repositoryPath } from "../../oci/reference.ts";
import { type Adoption, type ForeignBlob, type LinkKind, NoRoomError, type Store } from "../../store/store.ts";
import { readAll } from "./foreign-files.ts";
import type { ImportTally, Problems, Taken } from "./report.ts";
import { ImportError, type ImportSource, type SourceLink, type SourceRepository } from "./source.ts";

/** Blobs at once: one is hashed while another is read. */
const BLOBS_AT_ONCE_MAX = 4;

export type ImportStore = Pick<Store, "adopt" | "statBlob" | "link" | "hasLink" | "fetchedWith" | "setTag" | "tag">;

/** Whether a repository's upstream gives it to everybody; `unknown` where that could not be found out. */
export type Openness = "public" | "private" | "unknown";

export interface ImportOptions {
  readonly source: ImportSource;
  readonly store: ImportStore;
  /** Asked once for each repository of which there is something to take. */
  readonly opennessOf: (repository: Repository) => Promise<Openness>;
  /** What stands beside content that somebody's credentials have opened. */
  readonly privateMark: string;
  readonly tally: ImportTally;
  readonly problems: Problems;
  readonly signal: AbortSignal;
}

/**
 * Takes over what a source has, repository by repository: blobs, then links, then tags, so that what an interruption leaves is whole, and
 * the next run goes on from there. Rejects with `NoRoomError` where the disk is full, and with the signal's reason.
 */
export async function importAll(options: ImportOptions): Promise<void> {
  const run = new Run(options);
  for await (const one of options.source.repositories()) await run.take(one);
}

class Run {
  readonly #o: ImportOptions;
  /** What was seen to be whole in the source. */
  readonly #proven = new Set<Digest>();
  readonly #counted = new Set<Digest>();
  /** What is not there, or is not what it should be. */
  readonly #without = new Set<Digest>();

  constructor(options: ImportOptions) {
    this.#o = options;
  }

  async take({ repository, manifests, layers, tags }: SourceRepository): Promise<void> {
    const { tally, store } = this.#o;
    tally.repository = repositoryPath(repository);
    const openness = new Openly(async () => await this.#openness(repository));
    // Layers first: a manifest whose layers are there is of use at once.
    await this.#takeAll("layer", repository, layers, openness);
    const held = await this.#takeAll("manifest", repository, manifests, openness);
    for (const { tag, digest } of tags) {
      this.#o.signal.throwIfAborted();
      // It must not point into nothing, and what upstream once said to us counts for more.
      if (!held.has(digest)) continue;
      if ((await store.tag(repository, tag)) !== undefined) {
        tally.count("tagsKept");
        continue;
      }
      tally.hasWritten = true;
      await store.setTag(repository, tag, digest, "unconfirmed");
      tally.count("tags");
    }
    tally.count("repositories");
  }

  async #openness(repository: Repository): Promise<Openness> {
    const openness = await this.#o.opennessOf(repository);
    if (openness === "private") this.#o.tally.count("privateRepositories");
    if (openness === "unknown") this.#o.tally.count("unknownRepositories");
    return openness;
  }

  /** Which of them the repository has now. */
  async #takeAll(
    kind: LinkKind,
    repository: Repository,
    links: readonly SourceLink[],
    openness: Openly,
  ): Promise<ReadonlySet<Digest>> {
    const taken = new Set<Digest>();
    await eachOf(links, BLOBS_AT_ONCE_MAX, async (link) => {
      this.#o.signal.throwIfAborted();
      if (await this.#takeOne(kind, repository, link, openness)) taken.add(link.digest);
    });
    if (kind === "manifest") this.#o.tally.count("manifests", taken.size);
    return taken;
  }

  async #takeOne(kind: LinkKind, repository: Repository, link: SourceLink, openness: Openly): Promise<boolean> {
    const { store, privateMark } = this.#o;
    const { digest, isPrivate } = link;
    const before = await this.#linkBefore(kind, repository, digest);
    if (before === "public" || (before === "private" && isPrivate)) return await this.#wasHeld(digest);
    if (before === undefined && !(await this.#bring(kind, digest))) return false;
    const mark = isPrivate || (await openness.get()) !== "public" ? privateMark : undefined;
    // Who makes public what was not must have it: naming it is no proof.
    if (before === "private" && (mark !== undefined || !(await this.#bring(kind, digest))))
      return await this.#wasHeld(digest);
    this.#o.tally.hasWritten = true;
    await store.link(kind, repository, digest, mark);
    return true;
  }

  /** Undefined also where the blob itself is gone. */
  async #linkBefore(kind: LinkKind, repository: Repository, digest: Digest): Promise<"public" | "private" | undefined> {
    const { store } = this.#o;
    if (!(await store.hasLink(kind, repository, digest)) || (await store.statBlob(digest)) === undefined)
      return undefined;
    return (await store.fetchedWith(kind, repository, digest)) === undefined ? "public" : "private";
  }

  async #wasHeld(digest: Digest): Promise<true> {
    if (!this.#counted.has(digest)) this.#count("held", digest, (await this.#o.store.statBlob(digest)) ?? 0);
    return true;
  }

  #count(how: Taken, digest: Digest, size: number): void {
    if (this.#counted.has(digest)) return;
    this.#counted.add(digest);
    this.#o.tally.take(how, size);
  }

  /** True where the source has it whole and the store has it now. */
  async #bring(kind: LinkKind, digest: Digest): Promise<boolean> {
    if (this.#without.has(digest)) return false;
    const file = await this.#found(digest);
    if (file === undefined || (kind === "manifest" && !(await this.#isManifest(digest, file)))) return false;
    if (this.#proven.has(digest)) return true;
    const how = await this.#adopted(digest, file);
    if (how === "damaged") this.#damaged(digest);
    if (how === undefined || how === "damaged") return false;
    this.#proven.add(digest);
    this.#count(how, digest, file.size);
    return true;
  }

  async #found(digest: Digest): Promise<ForeignBlob | undefined> {
    const file = await this.#o.source.find(digest);
    if (file !== undefined) return file;
    this.#without.add(digest);
    this.#o.tally.count("missing");
    return undefined;
  }

  #damaged(digest: Digest): void {
    this.#without.add(digest);
    this.#o.tally.count("damaged");
    this.#o.problems.add({ kind: "damaged", what: digest });
  }

  /** A single file that the disk does not give must not keep the rest from being taken. */
  async #adopted(digest: Digest, file: ForeignBlob): Promise<Adoption | undefined> {
    const { store, tally, problems, signal } = this.#o;
    let read = 0;
    const onBytes = (bytes: number) => {
      read += bytes;
      tally.bytesRead += bytes;
      tally.bytesUnderWay += bytes;
    };
    try {
      return await store.adopt(digest, file, { signal, onBytes });
    } catch (error) {
      if (signal.aborted || error instanceof NoRoomError || error instanceof ImportError) throw error;
      problems.add({
        kind: "unreadable",
        what: digest,
        reason: error instanceof Error ? error.message : String(error),
      });
      return undefined;
    } finally {
      tally.bytesUnderWay -= read;
    }
  }

  async #isManifest(digest: Digest, file: ForeignBlob): Promise<boolean> {
    const bytes = file.size > MANIFEST_BYTES_MAX ? undefined : await readAll(file);
    if (bytes !== undefined && digestOf(bytes, digestAlgorithm(digest)) !== digest) {
      this.#damaged(digest);
      return false;
    }
    if (bytes !== undefined && parseManifest(bytes) !== undefined) return true;
    this.#o.problems.add({ kind: "no-manifest", what: digest });
    return false;
  }
}

/** Asked when it is needed first, and only then. */
class Openly {
  readonly #ask: () => Promise<Openness>;
  #answer: Promise<Openness> | undefined;

  constructor(ask: () => Promise<Openness>) {
    this.#ask = ask;
  }

  async get(): Promise<Openness> {
    return await (this.#answer ??= this.#ask());
  }
}
