import { LRUCache } from "lru-cache";
import { SingleFlight } from "../lib/single-flight.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { type Upstream, UpstreamError, type UpstreamErrorKind } from "./upstream.ts";

/** For how long a repository is taken for public, or for private, after it was asked for without credentials. */
const PUBLIC_MS = 10 * 60_000;
const PRIVATE_MS = 30_000;
const REPOSITORIES_MAX = 10_000;

/** Answers by which a registry says that somebody may not have something; it need not say which of them is meant. */
const REFUSALS: ReadonlySet<UpstreamErrorKind> = new Set(["unauthorized", "forbidden", "not-found"]);

export interface VisibilityOptions {
  /** The upstream without any credentials. */
  readonly stranger: Pick<Upstream, "assertListed">;
  /** Milliseconds of a monotonic clock. */
  readonly nowMs: () => number;
}

/** Whether an upstream gives a repository to everybody: asked without credentials, once in ten minutes for each repository. */
export class Visibility {
  readonly #o: VisibilityOptions;
  readonly #known = new LRUCache<RepositoryName, { readonly isPublic: boolean; readonly untilMs: number }>({
    max: REPOSITORIES_MAX,
  });
  readonly #flights = new SingleFlight<boolean>();

  constructor(options: VisibilityOptions) {
    this.#o = options;
  }

  /** Rejects with an `UpstreamError` where that cannot be found out. */
  async isPublic(name: RepositoryName, signal: AbortSignal): Promise<boolean> {
    const known = this.#known.get(name);
    return known !== undefined && known.untilMs > this.#o.nowMs() ? known.isPublic : await this.#ask(name, signal);
  }

  /** As it was found out last, however long ago. */
  wasPublic(name: RepositoryName): boolean | undefined {
    return this.#known.get(name)?.isPublic;
  }

  async #ask(name: RepositoryName, signal: AbortSignal): Promise<boolean> {
    const { result } = this.#flights.run(name, this.#o.nowMs(), async () => {
      const isPublic = await isListed(this.#o.stranger, name, signal);
      this.#known.set(name, { isPublic, untilMs: this.#o.nowMs() + (isPublic ? PUBLIC_MS : PRIVATE_MS) });
      return isPublic;
    });
    return await result;
  }
}

/** Whether somebody was told that this is not for them, by whatever name. */
export function isRefusal({ kind }: UpstreamError): boolean {
  return REFUSALS.has(kind);
}

/** Whether whoever asks by this upstream may see the repository. Rejects where it cannot be asked. */
async function isListed(
  upstream: Pick<Upstream, "assertListed">,
  name: RepositoryName,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await upstream.assertListed(name, signal);
    return true;
  } catch (error) {
    if (error instanceof UpstreamError && isRefusal(error)) return false;
    throw error;
  }
}
