import { upstreamChallenge } from "../access/challenges.ts";
import { Guesses } from "../access/guesses.ts";
import { RegistryError } from "../oci/errors.ts";
import type { Repository } from "../oci/reference.ts";
import type { Pull } from "../pull/pull.ts";
import type { Exchange } from "./exchange.ts";
import type { FoundRegistry } from "./find-registry.ts";
import { challengedOf } from "./guard.ts";

/** Lets in to the repositories of a `pass_through` registry whom the registry itself would let in. */
export class Admissions {
  readonly #pull: Pick<Pull, "admit">;
  /** Nobody tries passwords of an upstream through us. */
  readonly #guesses = new Guesses();

  constructor(pull: Pick<Pull, "admit">) {
    this.#pull = pull;
  }

  /** Rejects with a `RegistryError`. Credentials count at the registry's own host name alone: elsewhere they are somebody else's. */
  async assertIn(exchange: Exchange, repository: Repository, { registry, isByHost }: FoundRegistry): Promise<void> {
    const { client = "", identity, signal } = exchange;
    const offered = isByHost ? identity.offer?.credentials : undefined;
    const [user, nowMs] = [offered?.user ?? "", performance.now()];
    let wasAsked = false;
    const admission = await this.#pull.admit(repository, offered, signal, () => {
      this.#guesses.assertMay(client, user, nowMs);
      wasAsked = true;
    });
    if (wasAsked && admission === "in") this.#guesses.right(client, user);
    if (wasAsked && admission === "refused") this.#guesses.wrong(client, user, nowMs);
    if (admission === "in") return;
    if (isByHost) throw upstreamChallenge(admission === "refused", challengedOf(exchange, repository.name));
    const message = `this is private: pull it from ${registry.hostnames.join(" or ")}, with credentials of ${registry.serves}`;
    throw new RegistryError(403, "DENIED", message);
  }
}
