import type { Logger } from "pino";
import type { Catalog } from "../catalog/catalog.ts";
import type { Digest } from "../oci/digest.ts";
import { UNKNOWN_SIZE } from "../oci/manifest.ts";
import type { Repository } from "../oci/reference.ts";
import type { LinkKind, Store } from "../store/store.ts";
import type { NamedSizes } from "./named-sizes.ts";
import { type PullRegistries, registryOf } from "./registries.ts";

/** What is known of content that a repository has; the size in bytes where a descriptor gives it. */
export interface Belonging {
  readonly size: number | undefined;
}

export interface ProofOptions {
  readonly catalog: Catalog;
  readonly store: Store;
  readonly registries: PullRegistries;
  readonly shares: (repository: Repository) => boolean;
  readonly named: Pick<NamedSizes, "get">;
  readonly log: Logger;
}

/**
 * Whether a repository's upstream has some content, by what we know without asking: blobs are shared between all
 * repositories in the store, and must not become readable through one that never had them.
 */
export class Proof {
  readonly #catalog: Catalog;
  readonly #store: Store;
  readonly #registries: PullRegistries;
  readonly #shares: ProofOptions["shares"];
  readonly #lately: Pick<NamedSizes, "get">;
  readonly #log: Logger;

  constructor(options: ProofOptions) {
    this.#catalog = options.catalog;
    this.#store = options.store;
    this.#registries = options.registries;
    this.#shares = options.shares;
    this.#lately = options.named;
    this.#log = options.log;
  }

  /** A held manifest of the repository names it: good for the size, but anybody may push a manifest that names anything. */
  async named(repository: Repository, digest: Digest): Promise<Belonging | undefined> {
    const lately = this.#lately.get(repository, digest);
    const size = lately ?? (await this.#asked(this.#catalog.namedBy(repository, digest)))?.size;
    return size === undefined ? undefined : { size: size === UNKNOWN_SIZE ? undefined : size };
  }

  /**
   * Proof without a question to upstream: a held manifest of the repository names it and this upstream gives it to
   * everybody, so that naming it opens nothing; or the same repository under another name of the upstream has it.
   */
  async known(kind: LinkKind, repository: Repository, digest: Digest): Promise<Belonging | undefined> {
    const { config, aliases } = registryOf(this.#registries, repository);
    const named = await this.named(repository, digest);
    const ids = [config, ...aliases].map(({ id }) => id);
    if (named !== undefined && (await this.#asked(this.#catalog.isOpenAt(ids, digest))) === true) return named;
    for (const alias of aliases) {
      const twin = { registryId: alias.id, serves: alias.serves, name: repository.name };
      if (!(await this.#store.hasLink(kind, twin, digest))) continue;
      // What credentials have opened under the other name is as private under this one.
      const isPrivate = (await this.#store.fetchedWith(kind, twin, digest)) !== undefined;
      if (!isPrivate || this.#shares(repository)) return { size: await this.#store.statBlob(digest) };
    }
    return undefined;
  }

  /** Whether its registry has given it to everybody already, so that naming it opens nothing. */
  async isOpen(repository: Repository, digest: Digest): Promise<boolean> {
    return (await this.#asked(this.#catalog.isOpenAt([repository.registryId], digest))) === true;
  }

  async #asked<T>(answer: Promise<T>): Promise<T | undefined> {
    try {
      return await answer;
    } catch (error) {
      this.#log.error({ err: error }, "the catalog could not be read; upstream is asked instead");
      return undefined;
    }
  }
}
