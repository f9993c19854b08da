import { stat } from "node:fs/promises";

/** How often files are looked at. Notifications miss what Kubernetes and network file systems do, a look misses nothing. */
const LOOK_MS = 2_000;

/** Calls back when one of some files is another than it was, by inode, size and times. */
export class WatchedFiles {
  readonly #paths: readonly string[];
  readonly #onChange: () => Promise<void>;
  #seen: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();

  /** `onChange` never rejects. */
  constructor(paths: readonly string[], onChange: () => Promise<void>) {
    this.#paths = paths;
    this.#onChange = onChange;
  }

  /** Begins to look. What has changed since the files were read, before this, is not noticed. */
  async start(): Promise<void> {
    this.#seen = await this.#state();
    this.#timer = setInterval(() => void this.look(), LOOK_MS).unref();
  }

  /** Looks at once. */
  async look(): Promise<void> {
    this.#looking = this.#looking.then(() => this.#look());
    await this.#looking;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }

  async #look(): Promise<void> {
    const state = await this.#state();
    if (state === this.#seen) return;
    this.#seen = state;
    await this.#onChange();
  }

  async #state(): Promise<string> {
    return (await Promise.all(this.#paths.map(stateOf))).join("\n");
  }
}

/** Links are followed, since it is what they lead to that changes. */
async function stateOf(path: string): Promise<string> {
  try {
    const { ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}
