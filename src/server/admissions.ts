import pLimit, { type LimitFunction } from "p-limit";
import { upstreamChallenge } from "../access/challenges.ts";
import { addressKey, Guesses } from "../access/guesses.ts";
import { RegistryError } from "../oci/errors.ts";
import type { Repository } from "../oci/reference.ts";
import type { StaleReason } from "../pull/outcome.ts";
import type { Pull } from "../pull/pull.ts";
import type { Exchange } from "./exchange.ts";
import type { FoundRegistry } from "./find-registry.ts";
import { challengedOf } from "./guard.ts";

/** Credentials of one address that are shown to an upstream at once; others wait. */
const OF_ADDRESS_AT_ONCE = 5;
const OF_ADDRESS_WAITING_MAX = 200;

/** Upstream could not be asked: what everybody was given before may be given out, and nothing else. */
export interface HeldOnly {
  readonly why: StaleReason;
  /** Resolves once upstream lets the client in; rejects with a `RegistryError` where it does not. */
  readonly settled: () => Promise<void>;
}

type Admit = Pull["admit"];
type Asking = Parameters<Admit>[3];
type Admission = Awaited<ReturnType<Extract<Awaited<ReturnType<Admit>>, { kind: "held-only" }>["later"]>>;

/** Lets in to the repositories of a `pass_through` registry whom the registry itself would let in. */
export class Admissions {
  readonly #pull: Pick<Pull, "admit">;
  /** Nobody tries passwords of an upstream through us. */
  readonly #guesses = new Guesses();
  readonly #turns = new Map<string, LimitFunction>();

  constructor(pull: Pick<Pull, "admit">) {
    this.#pull = pull;
  }

  /**
   * Rejects with a `RegistryError`; undefined: upstream has let the client in. Credentials count at the registry's own host name alone:
   * elsewhere they are somebody else's.
   */
  async assertIn(exchange: Exchange, repository: Repository, found: FoundRegistry): Promise<HeldOnly | undefined> {
    const { client = "", identity, signal } = exchange;
    const offered = found.isByHost ? identity.offer?.credentials : undefined;
    const admitted = await this.#pull.admit(repository, offered, signal, this.#asking(client, offered?.user ?? ""));
    const judge = (admission: Admission) => assertIn(exchange, repository, found, admission);
    if (admitted.kind === "held-only") {
      return { why: admitted.why, settled: async () => judge(await admitted.later()) };
    }
    judge(admitted.admission);
    return undefined;
  }

  /** A few of one address at once, and none of who guesses; what was found wrong counts before the next one is looked at. */
  #asking(client: string, user: string): Asking {
    return async (ask) =>
      await this.#inTurn(client, async () => {
        this.#guesses.assertMay(client, user, performance.now());
        const verdict = await ask();
        if (verdict === "in") this.#guesses.right(client, user);
        if (verdict === "wrong") this.#guesses.wrong(client, user, performance.now());
        return verdict;
      });
  }

  async #inTurn<T>(client: string, work: () => Promise<T>): Promise<T> {
    const key = addressKey(client);
    const turn = this.#turns.get(key) ?? pLimit(OF_ADDRESS_AT_ONCE);
    this.#turns.set(key, turn);
    if (turn.pendingCount >= OF_ADDRESS_WAITING_MAX) {
      throw new RegistryError(503, "UNAVAILABLE", "too many credentials wait to be looked at", { retryAfterS: 2 });
    }
    try {
      return await turn(work);
    } finally {
      if (turn.activeCount + turn.pendingCount === 0) this.#turns.delete(key);
    }
  }
}

function assertIn(exchange: Exchange, { name }: Repository, found: FoundRegistry, admission: Admission): void {
  if (admission === "in") return;
  const { registry, isByHost } = found;
  if (isByHost) throw upstreamChallenge(admission !== "nameless", challengedOf(exchange, name));
  const message = `this is private: pull it from ${registry.hostnames.join(" or ")}, with credentials of ${registry.serves}`;
  throw new RegistryError(403, "DENIED", message);
}
