import { RegistryError } from "../oci/errors.ts";
import { referenceText } from "../oci/reference.ts";
import type { BlobAnswer } from "../pull/blob-answer.ts";
import type { Hits } from "../pull/hits.ts";
import { sendBlob, sendBlobHead, sendManifest } from "./answers.ts";
import { type Asked, askedOf, isApiPath } from "./asked.ts";
import type { Exchange } from "./exchange.ts";
import { callerOf, challengedOf, principalNote } from "./guard.ts";
import { type RegistryTable, repositoryOf } from "./find-registry.ts";
import type { KnownHosts } from "./known-hosts.ts";

export interface HitApiOptions {
  readonly hits: Hits;
  readonly registries: RegistryTable;
  readonly hosts: Pick<KnownHosts, "hides">;
  /** Hears of the addresses of those who said who they are, now and then. */
  readonly welcomed: (client: string) => void;
}

/** The part of the registry API that needs nobody else: manifests and blobs that are held, to those who may have them. */
export class HitApi {
  readonly #o: HitApiOptions;

  constructor(options: HitApiOptions) {
    this.#o = options;
  }

  /** False where it is no hit, or nothing that is understood: whoever is asked next says what is wrong with it. */
  async handle(exchange: Exchange): Promise<boolean> {
    if (exchange.req.method !== "GET" && !exchange.isHead) return false;
    const asked = isApiPath(exchange.path) ? understood(exchange, this.#o.registries) : undefined;
    return asked !== undefined && (await this.#mayHave(exchange, asked)) && (await this.#answer(exchange, asked));
  }

  /** False also where only the owner can tell: of a password that it has not seen, of the tags that lead to a digest. */
  async #mayHave(exchange: Exchange, { endpoint, found }: Asked): Promise<boolean> {
    if (endpoint.kind !== "manifest" && endpoint.kind !== "blob") return false;
    // Whether upstream lets somebody in the owner asks it.
    if (found.registry.passThrough) return false;
    const { access } = exchange;
    const repository = repositoryOf(found);
    const wanted = { registryId: repository.registryId, repository: repository.name };
    const byTag = endpoint.kind === "manifest" && endpoint.reference.kind === "tag" ? [endpoint.reference.tag] : [];
    if (byTag.length === 0 && access.rules.askForTags(wanted)) return false;
    try {
      if (!access.isOpen || exchange.secret !== undefined)
        exchange.identity = await access.identify(callerOf(exchange));
      access.assertIn(exchange.identity, found.registry, () => challengedOf(exchange));
      // How old something is the catalog knows.
      if (access.assertMay(exchange.identity, { ...wanted, tags: byTag }) !== undefined) return false;
      if (this.#o.hosts.hides(repository, exchange)) return false;
      if (exchange.identity.principal.method !== "anonymous") this.#o.welcomed(exchange.client ?? "");
      return true;
    } catch (error) {
      if (error instanceof RegistryError) return false;
      throw error;
    }
  }

  async #answer(exchange: Exchange, { endpoint, found }: Asked): Promise<boolean> {
    if (endpoint.kind !== "manifest" && endpoint.kind !== "blob") return false;
    const repository = repositoryOf(found);
    const begin = (reference: string) => {
      const { notes, headers } = exchange;
      Object.assign(notes, {
        endpoint: endpoint.kind,
        registry: found.registry.id,
        repository: repository.name,
        reference,
        ...principalNote(exchange),
      });
      headers["Docker-Distribution-API-Version"] = "registry/2.0";
      if (found.namespace !== undefined) headers["OCI-Namespace"] = found.namespace;
    };
    if (endpoint.kind === "manifest") {
      const answer = await this.#o.hits.manifest(repository, endpoint.reference);
      if (answer === undefined) return false;
      begin(referenceText(endpoint.reference));
      await sendManifest(exchange, answer);
      return true;
    }
    const { digest } = endpoint;
    if (exchange.isHead) {
      const held = await this.#o.hits.blobSize(repository, digest);
      if (held === undefined) return false;
      begin(digest);
      await sendBlobHead(exchange, digest, held);
      return true;
    }
    const blob = await this.#o.hits.blob(repository, digest, exchange.signal);
    if (blob === undefined) return false;
    begin(digest);
    return await sentUnlessBeyond(exchange, blob);
  }
}

/** A range beyond the end may be one of a file that lost its end, which the owner can tell. */
async function sentUnlessBeyond(exchange: Exchange, blob: BlobAnswer): Promise<boolean> {
  try {
    await sendBlob(exchange, blob);
    return true;
  } catch (error) {
    if (error instanceof RegistryError && error.status === 416) return false;
    throw error;
  }
}

function understood(exchange: Exchange, registries: RegistryTable): Asked | undefined {
  try {
    const asked = askedOf(exchange, registries);
    // What is no repository's name is refused here already.
    if (asked !== undefined) repositoryOf(asked.found);
    return asked;
  } catch (error) {
    if (error instanceof RegistryError) return undefined;
    throw error;
  }
}
