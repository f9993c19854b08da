import { RegistryError } from "../oci/errors.ts";
import { referenceText } from "../oci/reference.ts";
import type { BlobAnswer } from "../pull/blob-answer.ts";
import type { Hits } from "../pull/hits.ts";
import { sendBlob, sendBlobHead, sendManifest } from "./answers.ts";
import { type Asked, askedOf, isApiPath } from "./asked.ts";
import type { Exchange } from "./exchange.ts";
import { type RegistryTable, repositoryOf } from "./find-registry.ts";

/** The part of the registry API that needs nobody else: manifests and blobs that are held, to those who may have them. */
export class HitApi {
  readonly #hits: Hits;
  readonly #registries: RegistryTable;

  constructor(hits: Hits, registries: RegistryTable) {
    this.#hits = hits;
    this.#registries = registries;
  }

  /** False where it is no hit, or nothing that is understood: whoever is asked next says what is wrong with it. */
  async handle(exchange: Exchange): Promise<boolean> {
    if (exchange.req.method !== "GET" && !exchange.isHead) return false;
    const asked = isApiPath(exchange.path) ? understood(exchange, this.#registries) : undefined;
    return asked !== undefined && (await this.#answer(exchange, asked));
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
      });
      headers["Docker-Distribution-API-Version"] = "registry/2.0";
      if (found.namespace !== undefined) headers["OCI-Namespace"] = found.namespace;
    };
    if (endpoint.kind === "manifest") {
      const answer = await this.#hits.manifest(repository, endpoint.reference);
      if (answer === undefined) return false;
      begin(referenceText(endpoint.reference));
      await sendManifest(exchange, answer);
      return true;
    }
    const { digest } = endpoint;
    if (exchange.isHead) {
      const held = await this.#hits.blobSize(repository, digest);
      if (held === undefined) return false;
      begin(digest);
      await sendBlobHead(exchange, digest, held);
      return true;
    }
    const blob = await this.#hits.blob(repository, digest, exchange.signal);
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
