import type { Logger } from "pino";
import type { NamedRegistry } from "../../oci/image-name.ts";
import { ownText, replaceOwnText } from "../own-text.ts";
import type { Step } from "../steps.ts";
import { type KeepFreshText, type KeptFresh, parseKeepFresh, withEntries, withoutEntries } from "./keep-fresh-list.ts";
import { type WarmPull, WarmRun } from "./warm.ts";

/** The first round comes soon after the start: a machine that is switched off at night has to have one a day as well. */
const FIRST_AFTER_MS = 2 * 60 * 1000;
/** Many caches that were started at once must not ask at once for ever. */
const JITTER_SHARE = 0.1;
/** Blobs at once: it has time. */
const CONCURRENCY = 2;

/** There would be more than are kept fresh. */
export class KeepFreshFullError extends Error {
  override readonly name = "KeepFreshFullError";
}

/** What became of an entry the last time. */
export interface RefreshOutcome {
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  /** Undefined where all went well. */
  readonly error?: string | undefined;
}

export interface KeepFreshOptions {
  /** The file that holds the list: users' settings, so that the catalog may be deleted without a thought. */
  readonly path: string;
  readonly registries: readonly NamedRegistry[];
  /** Asks upstream about each tag anew, whatever was said of it before. */
  readonly pull: WarmPull;
  readonly log: Pick<Logger, "info" | "warn">;
}

/** The images that are refreshed again and again. */
export class KeepFresh {
  readonly #o: KeepFreshOptions;
  readonly #outcomes = new Map<string, RefreshOutcome>();
  readonly #digests = new Map<string, string>();
  #writing: Promise<unknown> = Promise.resolve();

  constructor(options: KeepFreshOptions) {
    this.#o = options;
  }

  async list(): Promise<readonly (KeptFresh & { readonly last?: RefreshOutcome | undefined })[]> {
    const { entries } = await this.#read();
    return entries.map((entry) => ({ ...entry, last: this.#outcomes.get(entry.reference) }));
  }

  /** Rejects with a `KeepFreshFullError`. */
  async add(entries: readonly KeptFresh[]): Promise<void> {
    await this.#changed((before) => {
      const text = withEntries(before, entries);
      if (text === undefined) throw new KeepFreshFullError("the list of what is kept fresh is full");
      return text;
    });
  }

  /** Says which of them were there. */
  async remove(references: readonly string[]): Promise<readonly string[]> {
    let removed: readonly string[] = [];
    await this.#changed((before) => {
      const known = new Set(before.entries.map(({ reference }) => reference));
      removed = references.filter((reference) => known.has(reference));
      return withoutEntries(before, new Set(removed));
    });
    return removed;
  }

  /** Refreshes all of them, one after the other, at the given interval. */
  step(everyMs: number, random: () => number): Step {
    let rounds = 0;
    return {
      name: "keep-fresh",
      everyMs: () => {
        rounds += 1;
        const wanted = rounds === 1 ? Math.min(everyMs, FIRST_AFTER_MS) : everyMs;
        return wanted * (1 + JITTER_SHARE * (2 * random() - 1));
      },
      run: async (signal) => await this.refresh(signal),
    };
  }

  /** One round. Failures are told and pass. */
  async refresh(signal: AbortSignal): Promise<void> {
    const { entries, badLines } = await this.#read();
    if (badLines.length > 0) this.#o.log.warn({ file: this.#o.path, lines: badLines.slice(0, 10) }, UNREADABLE_LINES);
    const known = new Set(entries.map(({ reference }) => reference));
    for (const reference of this.#outcomes.keys()) if (!known.has(reference)) this.#forget(reference);
    for (const entry of entries) await this.#refreshOne(entry, signal);
  }

  async #refreshOne({ reference, platforms }: KeptFresh, signal: AbortSignal): Promise<void> {
    const { registries, pull, log } = this.#o;
    const run = new WarmRun({ references: [reference], platforms, concurrency: CONCURRENCY, registries, pull, signal });
    await run.run();
    const [image] = run.images;
    const error = image?.error?.message ?? (image?.stale && `upstream could not be asked (${image.stale})`);
    this.#outcomes.set(reference, { atMs: Date.now(), error });
    if (error !== undefined) log.warn({ reference, reason: error }, "an image could not be kept fresh");
    if (image?.digest === undefined) return;
    const before = this.#digests.get(reference);
    this.#digests.set(reference, image.digest);
    if (image.blobsFetched === 0 && (before === undefined || before === image.digest)) return;
    log.info({ reference, digest: image.digest, before, blobs: image.blobsFetched }, "an image was refreshed");
  }

  #forget(reference: string): void {
    this.#outcomes.delete(reference);
    this.#digests.delete(reference);
  }

  async #read(): Promise<KeepFreshText> {
    return parseKeepFresh(await ownText(this.#o.path));
  }

  /** One change after the other. */
  async #changed(change: (before: KeepFreshText) => string): Promise<void> {
    const changing = this.#writing.then(async () => await replaceOwnText(this.#o.path, change(await this.#read())));
    this.#writing = changing.catch(() => undefined);
    await changing;
  }
}

const UNREADABLE_LINES = "lines of what is to be kept fresh cannot be read, and are passed over";
