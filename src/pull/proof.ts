import type { Logger } from "pino";
import type { Catalog } from "../catalog/catalog.ts";
import type { Digest } from "../oci/digest.ts";
import { UNKNOWN_SIZE } from "../oci/manifest.ts";
import type { Repository } from "../oci/reference.ts";
import type { LinkKind, Store } from "../store/store.ts";
import { type PullRegistries, registryOf } from "./registries.ts";

/** What is known of content that a repository has; the size in bytes where a descriptor gives it. */
export interface Belonging {
  readonly size: number | undefined;
}

/**
 * Whether a repository's upstream has some content, by what we know without asking: blobs are shared between all
 * repositories in the store, and must not become readable through one that never had them.
 */
export class Proof {
  readonly #catalog: Catalog;
  readonly #store: Store;
  readonly #registries: PullRegistries;
  readonly #log: Logger;

  constructor(options: { catalog: Catalog; store: Store; registries: PullRegistries; log: Logger }) {
    this.#catalog = options.catalog;
    this.#store = options.store;
    this.#registries = options.registries;
    this.#log = options.log;
  }

  /** A held manifest of the repository names it, or the same repository under another name of the same upstream has it. */
  async known(kind: LinkKind, repository: Repository, digest: Digest): Promise<Belonging | undefined> {
    const named = await this.#named(repository, digest);
    if (named !== undefined) return { size: named.size === UNKNOWN_SIZE ? undefined : named.size };
    for (const alias of registryOf(this.#registries, repository).aliases) {
      const twin = { registryId: alias.id, serves: alias.serves, name: repository.name };
      if (await this.#store.hasLink(kind, twin, digest)) return { size: await this.#store.statBlob(digest) };
    }
    return undefined;
  }

  async #named(repository: Repository, digest: Digest): Promise<{ size: number } | undefined> {
    try {
      return await this.#catalog.namedBy(repository, digest);
    } catch (error) {
      this.#log.error({ err: error }, "the catalog could not be read; upstream is asked instead");
      return undefined;
    }
  }
}
