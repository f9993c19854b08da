import { stat } from "node:fs/promises";
import { within } from "./wait.ts";

/** How often files are looked at. Notifications miss what Kubernetes and network file systems do, a look misses nothing. */
const LOOK_MS = 2_000;
/** How long a stop waits for a look under way: a file system over the network may never answer. */
const LAST_LOOK_MS = 1_000;

export interface WatchedFilesOptions {
  readonly paths: readonly string[];
  /** Reads them anew; rejects where what is there cannot be used. It is then tried again at each look. */
  readonly read: () => Promise<void>;
  /** Hears why not: once for each reason, until the files change again. */
  readonly failed: (error: Error) => void;
  /** What `stateOfFiles` gave before they were first read; without it they are read anew at the first look. */
  readonly seen?: string | undefined;
}

/** Has files read anew when one of them is another than it was, by inode, size and times. */
export class WatchedFiles {
  readonly #o: WatchedFilesOptions;
  readonly #told = new Set<string>();
  #seen: string | undefined;
  #hasFailed = false;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;

  constructor(options: WatchedFilesOptions) {
    this.#o = options;
    this.#seen = options.seen;
  }

  /** Begins to look. */
  start(): void {
    this.#timer = setInterval(() => {
      // A look may last: the next one then waits for nobody's turn.
      if (this.#looking === undefined) void this.look();
    }, LOOK_MS).unref();
  }

  /** Looks at once, after a look that is under way. */
  async look(): Promise<void> {
    const before = this.#looking ?? Promise.resolve();
    const looking = before
      .then(() => this.#look())
      .finally(() => {
        if (this.#looking === looking) this.#looking = undefined;
      });
    this.#looking = looking;
    await looking;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    if (this.#looking !== undefined) await within(this.#looking, LAST_LOOK_MS);
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    const state = await stateOfFiles(this.#o.paths);
    if (state === this.#seen && !this.#hasFailed) return;
    if (state !== this.#seen) this.#told.clear();
    this.#seen = state;
    try {
      await this.#o.read();
      this.#hasFailed = false;
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown));
      this.#hasFailed = true;
      if (this.#told.has(error.message)) return;
      this.#told.add(error.message);
      this.#o.failed(error);
    }
  }
}

/** What tells files from those that were there before. Links are followed, since it is what they lead to that changes. */
export async function stateOfFiles(paths: readonly string[]): Promise<string> {
  return (await Promise.all(paths.map(stateOf))).join("\n");
}

async function stateOf(path: string): Promise<string> {
  try {
    const { ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}
