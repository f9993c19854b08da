import type { Logger } from "pino";
import type { Catalog } from "../../catalog/catalog.ts";
import { parseDigest, type Digest } from "../../oci/digest.ts";
import { repositoryPath } from "../../oci/reference.ts";
import type { ContentHolder, Mending } from "../../pull/mending.ts";
import type { Store } from "../../store/store.ts";
import { isBehind, repositoryAt } from "../store-paths.ts";
import { isRight } from "./hash.ts";
import { scrubLinks } from "./links.ts";
import { Pace, type PaceClock } from "./pace.ts";
import { readPlace, type ScrubPlace, writePlace } from "./place.ts";

/** A disk that turns gives twice as much, and those who pull come first. */
export const SCRUB_BYTES_PER_SECOND = 50 * 1024 * 1024;
/** So much is hashed again after a kill. */
const SAVE_EVERY_MS = 5_000;

export interface ScrubberOptions {
  readonly store: Store;
  readonly catalog: Pick<Catalog, "heldBytes" | "holdersOf">;
  readonly mending: Mending;
  readonly registries: readonly { readonly id: string; readonly serves: string }[];
  /** The file that remembers the place. */
  readonly path: string;
  /** Settles when the catalog is not being rebuilt: it says who had what is damaged. */
  readonly catalogComplete: () => Promise<unknown>;
  readonly onDamaged?: ((digest: Digest, isHealed: boolean) => void) | undefined;
  readonly log: Pick<Logger, "error" | "info" | "warn">;
  readonly clock?: PaceClock | undefined;
  readonly saveEveryMs?: number | undefined;
}

/** How far a scrub is. */
export interface ScrubProgress extends Pick<
  ScrubPlace,
  "blobsDone" | "bytesDone" | "damaged" | "healed" | "startedAtMs" | "finishedAtMs"
> {
  readonly isRunning: boolean;
  readonly blobs: number;
  readonly bytes: number;
}

/** Hashes all that is stored at a bounded rate, one blob after the other, and mends what is damaged. */
export class Scrubber {
  readonly #o: ScrubberOptions;
  #place: ScrubPlace = NOTHING_DONE;
  #run: { readonly stopping: AbortController; readonly ended: Promise<void> } | undefined;
  #total = { blobs: 0, bytes: 0 };
  /** Of the blob that is being hashed. */
  #bytesUnderWay = 0;
  #savedAtMs = 0;

  constructor(options: ScrubberOptions) {
    this.#o = options;
  }

  state(): ScrubProgress {
    const { blobsDone, damaged, healed, startedAtMs, finishedAtMs } = this.#place;
    const bytesDone = this.#place.bytesDone + this.#bytesUnderWay;
    const isOver = this.#place.state === "finished";
    return {
      isRunning: this.#run !== undefined,
      blobsDone,
      // What came meanwhile is hashed as well, what went is not.
      blobs: isOver ? blobsDone : Math.max(this.#total.blobs, blobsDone),
      bytesDone,
      bytes: isOver ? bytesDone : Math.max(this.#total.bytes, bytesDone),
      damaged,
      healed,
      startedAtMs,
      finishedAtMs,
    };
  }

  /** Goes on where the one before was stopped, else from the front. False where one is under way. */
  start(bytesPerSecond = SCRUB_BYTES_PER_SECOND): boolean {
    if (this.#run !== undefined) return false;
    const { state, finishedAtMs } = this.#place;
    const isNew = state === "finished";
    if (isNew) this.#place = { ...NOTHING_DONE, startedAtMs: Date.now(), finishedAtMs };
    this.#place = { ...this.#place, state: "running", bytesPerSecond };
    const stopping = new AbortController();
    this.#run = { stopping, ended: this.#scrub(stopping.signal) };
    return true;
  }

  /** The next one goes on from there. False where none is under way. */
  stop(): boolean {
    if (this.#run === undefined || this.#place.state !== "running") return false;
    this.#place = { ...this.#place, state: "stopped" };
    this.#run.stopping.abort(new Error("the scrub was stopped"));
    return true;
  }

  /** At the start of the process: one that was under way goes on. */
  async resume(): Promise<void> {
    try {
      this.#place = (await readPlace(this.#o.path)) ?? NOTHING_DONE;
    } catch (error) {
      this.#o.log.error(
        { err: error },
        "where the last scrub stood cannot be read; the next one begins from the front",
      );
    }
    if (this.#place.state === "running") this.start(this.#place.bytesPerSecond);
  }

  /** Waits until none is under way. */
  async idle(): Promise<void> {
    await this.#run?.ended;
  }

  /** The process ends; the next one goes on. */
  async close(): Promise<void> {
    this.#run?.stopping.abort(new Error("the cache is stopping"));
    await this.idle();
  }

  async #scrub(signal: AbortSignal): Promise<void> {
    const { catalog, catalogComplete, log } = this.#o;
    try {
      await this.#save();
      await catalogComplete();
      signal.throwIfAborted();
      const { contents, bytes } = await catalog.heldBytes();
      this.#total = { blobs: contents, bytes };
      await this.#blobs(signal);
      await this.#links(signal);
      this.#place = { ...this.#place, state: "finished", finishedAtMs: Date.now() };
      const { blobsDone: blobs, bytesDone, damaged, healed } = this.#place;
      log.info({ blobs, bytes: bytesDone, damaged, healed }, "all that is stored was hashed");
    } catch (error) {
      if (!signal.aborted) {
        this.#place = { ...this.#place, state: "stopped" };
        log.error({ err: error }, "the scrub has failed; the next one goes on from there");
      }
    } finally {
      this.#bytesUnderWay = 0;
      await this.#save();
      this.#run = undefined;
    }
  }

  async #blobs(signal: AbortSignal): Promise<void> {
    if (this.#place.stage !== "blobs") return;
    const pace = new Pace(this.#place.bytesPerSecond, this.#o.clock);
    for await (const { digest } of this.#o.store.blobs(parseDigest(this.#place.after))) {
      signal.throwIfAborted();
      await this.#blob(digest, pace, signal);
      const { blobsDone, bytesDone } = this.#place;
      const bytes = this.#bytesUnderWay;
      this.#bytesUnderWay = 0;
      await this.#done({ after: digest, blobsDone: blobsDone + 1, bytesDone: bytesDone + bytes });
    }
    await this.#done({ stage: "links", after: "" });
  }

  async #blob(digest: Digest, pace: Pace, signal: AbortSignal): Promise<void> {
    const { store, mending, log } = this.#o;
    const blob = await store.openBlob(digest);
    // It was evicted just now.
    if (blob === undefined) return;
    try {
      if (await isRight(digest, blob, pace, signal, (bytes) => (this.#bytesUnderWay += bytes))) {
        mending.foundRight(digest, blob.version);
        return;
      }
      const isStillThere = async () => await blob.isCurrent();
      if ((await mending.takeAway(digest, isStillThere, signal)) === "other") return;
    } catch (error) {
      signal.throwIfAborted();
      log.error({ digest, err: error }, "a stored blob could not be hashed; it is passed over");
      return;
    } finally {
      await blob.close();
    }
    const holders = (await this.#o.catalog.holdersOf(digest)).map(({ repository, kind }): ContentHolder => ({
      repository,
      kind: kind === "blob" ? "layer" : kind,
    }));
    // Links that the catalog does not know of are found with the others, behind the blobs.
    if (holders.length === 0) log.warn({ digest }, "damaged bytes that nobody is known to have were removed");
    else await this.#mend(digest, holders, signal);
  }

  async #links(signal: AbortSignal): Promise<void> {
    const { store, mending, registries } = this.#o;
    const idOf = new Map(registries.map(({ serves, id }) => [serves, id]));
    const { after } = this.#place;
    for await (const path of store.repositories()) {
      signal.throwIfAborted();
      if (after !== "" && !isBehind(path, after)) continue;
      const repository = repositoryAt(path, idOf);
      if (repository !== undefined) {
        await scrubLinks(repository, {
          store,
          mending,
          signal,
          mend: async (digest, holders) => await this.#mend(digest, holders, signal),
          onTag: async (isMended) => await this.#damaged(isMended),
        });
      }
      await this.#done({ after: path });
    }
  }

  async #mend(digest: Digest, holders: readonly ContentHolder[], signal: AbortSignal): Promise<void> {
    const { mending, log, onDamaged } = this.#o;
    const isHealed = await mending.heal(digest, holders, signal);
    const [first] = holders;
    const about = { digest, repository: first && repositoryPath(first.repository), repositories: holders.length };
    if (isHealed) log.warn(about, "damaged in the store; it was fetched anew");
    else log.error(about, "damaged in the store, and nobody gives it: it is held no longer");
    if (!isHealed) await this.#givenUp(digest, holders, signal);
    onDamaged?.(digest, isHealed);
    await this.#damaged(isHealed);
  }

  /** What somebody keeps something beside just now is found again by the look at links, or by the next scrub. */
  async #givenUp(digest: Digest, holders: readonly ContentHolder[], signal: AbortSignal): Promise<void> {
    try {
      await this.#o.mending.giveUp(digest, holders, signal);
    } catch (error) {
      signal.throwIfAborted();
      this.#o.log.error({ digest, err: error }, "what leads to damaged content could not be taken away");
    }
  }

  async #damaged(isHealed: boolean): Promise<void> {
    const { damaged, healed } = this.#place;
    this.#place = { ...this.#place, damaged: damaged + 1, healed: healed + (isHealed ? 1 : 0) };
    await this.#save();
  }

  async #done(done: Partial<ScrubPlace>): Promise<void> {
    this.#place = { ...this.#place, ...done };
    if (performance.now() - this.#savedAtMs >= (this.#o.saveEveryMs ?? SAVE_EVERY_MS)) await this.#save();
  }

  /** Without a place on the disk it goes on all the same. */
  async #save(): Promise<void> {
    this.#savedAtMs = performance.now();
    try {
      await writePlace(this.#o.path, this.#place);
    } catch (error) {
      this.#o.log.error({ err: error }, "where the scrub stands could not be written");
    }
  }
}

const NOTHING_DONE: ScrubPlace = {
  state: "finished",
  stage: "blobs",
  after: "",
  blobsDone: 0,
  bytesDone: 0,
  damaged: 0,
  healed: 0,
  bytesPerSecond: SCRUB_BYTES_PER_SECOND,
  startedAtMs: undefined,
  finishedAtMs: undefined,
};
