import type { Logger } from "pino";
import type { Digest } from "../oci/digest.ts";
import type { NamedRegistry } from "../oci/image-name.ts";
import { parseRepositoryName, type Repository, type Tag } from "../oci/reference.ts";
import type { Hold } from "../pull/holds.ts";
import type { Step } from "./steps.ts";

/** The list may be changed by hand; whoever does that is waiting. */
const LOOK_EVERY_MS = 2_000;

export interface HeldTagsOptions {
  /** Tags that are held at a digest, as users have listed them; `path` is `docker.io/library/nginx`. */
  readonly listed: () => Promise<Iterable<{ readonly path: string; readonly tag: Tag; readonly digest: Digest }>>;
  readonly registries: readonly Pick<NamedRegistry, "id" | "serves">[];
  /** What pulls go by. */
  readonly holds: { replace(holds: readonly Hold[]): void };
  readonly log: Pick<Logger, "warn">;
}

/** Holds tags as users have listed it, and releases what they have taken from the list. */
export class HeldTags {
  readonly #o: HeldTagsOptions;
  #problem: string | undefined;

  constructor(options: HeldTagsOptions) {
    this.#o = options;
  }

  /** To be called after each change, and before the first pull. Where the list cannot be read all stays as it is, and the log says so. */
  async refresh(): Promise<void> {
    try {
      const listed = [...(await this.#o.listed())];
      this.#problem = undefined;
      this.#o.holds.replace(listed.flatMap((one) => this.#holdOf(one)));
    } catch (error) {
      const problem = String(error);
      if (problem !== this.#problem) this.#o.log.warn({ err: error }, "what tags are held at cannot be read");
      this.#problem = problem;
    }
  }

  step(): Step {
    return { name: "held-tags", everyMs: LOOK_EVERY_MS, run: async () => await this.refresh() };
  }

  /** None of a registry that is not configured (any more). */
  #holdOf({ path, tag, digest }: { path: string; tag: Tag; digest: Digest }): Hold[] {
    const repository = repositoryOf(path, this.#o.registries);
    return repository === undefined ? [] : [{ repository, tag, digest }];
  }
}

function repositoryOf(path: string, registries: HeldTagsOptions["registries"]): Repository | undefined {
  const registry = registries.find(({ serves }) => path.startsWith(`${serves}/`));
  const name = registry === undefined ? undefined : parseRepositoryName(path.slice(registry.serves.length + 1));
  if (registry === undefined || name === undefined) return undefined;
  return { registryId: registry.id, serves: registry.serves, name };
}
