import { LRUCache } from "lru-cache";
import type { Logger } from "pino";
import type { Catalog, ListKind, SavedList } from "../catalog/catalog.ts";
import { SingleFlight } from "../lib/single-flight.ts";
import { LATE, within } from "../lib/wait.ts";
import { parseDigest } from "../oci/digest.ts";
import { type Repository, repositoryPath } from "../oci/reference.ts";
import { UpstreamError } from "../upstream/upstream.ts";
import { afterFailure } from "./freshness.ts";
import type { Outcome } from "./outcome.ts";
import type { Refusals } from "./refusals.ts";
import { type PullRegistries, type PullRegistry, registryOf } from "./registries.ts";
import { answerFor } from "./upstream-answer.ts";

/** For how long upstream's list is taken for true. */
const LIST_FRESH_MS = 60_000;
/** Characters of lists that are kept in memory, together. */
const MEMORY_CHARACTERS_MAX = 16 * 1024 * 1024;

export interface SavedListsOptions {
  readonly catalog: Catalog;
  readonly refusals: Refusals;
  readonly registries: PullRegistries;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export interface ListAnswer {
  /** JSON text. */
  readonly body: string;
  readonly outcome: Outcome;
}

/** Upstream's lists (tags, referrers): asked at most once a minute, remembered in the catalog, served stale while it is away. */
export class SavedLists {
  readonly #o: SavedListsOptions;
  readonly #flights = new SingleFlight<string>();
  readonly #memory = new LRUCache<string, SavedList>({
    maxSize: MEMORY_CHARACTERS_MAX,
    sizeCalculation: ({ body }) => body.length + 1,
  });

  constructor(options: SavedListsOptions) {
    this.#o = options;
  }

  async get(
    repository: Repository,
    kind: ListKind,
    key: string,
    ask: (registry: PullRegistry, signal: AbortSignal) => Promise<string>,
  ): Promise<ListAnswer> {
    const registry = registryOf(this.#o.registries, repository);
    const saved = await this.#saved(repository, kind, key);
    const nowMs = Date.now();
    const ageMs = saved === undefined ? 0 : nowMs - saved.atMs;
    if (saved !== undefined && ageMs >= 0 && ageMs < LIST_FRESH_MS) {
      return { body: saved.body, outcome: { kind: "hit", ageS: Math.floor(ageMs / 1000) } };
    }
    const question = questionOf(repository, kind, key);
    const askedAtMs = performance.now();
    const flight = this.#flights.run(question, askedAtMs, () =>
      this.#o.refusals.ask(question, registry.upstream.credentialIdFor(repository.name), async () => {
        const body = await ask(registry, this.#o.signal);
        await this.#save(repository, kind, key, body);
        return body;
      }),
    );
    const stale = (reason: "slow" | UpstreamError["kind"]): ListAnswer | undefined =>
      saved && { body: saved.body, outcome: { kind: "stale", reason, ageS: Math.max(0, Math.floor(ageMs / 1000)) } };
    try {
      const budgetMs = flight.startedAtMs + registry.config.timeouts.askBudgetMs - askedAtMs;
      const body = saved === undefined ? await flight.result : await within(flight.result, budgetMs);
      const late = body === LATE ? stale("slow") : undefined;
      return late ?? { body: body as string, outcome: { kind: flight.joined ? "joined" : "miss" } };
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error;
      const facts = {
        withCredentials: registry.upstream.credentialIdFor(repository.name) !== undefined,
        whenDeleted: registry.config.whenDeleted,
      };
      const answer = afterFailure(error.kind, facts) === "serve-stale" ? stale(error.kind) : undefined;
      if (answer !== undefined) return answer;
      throw answerFor(error, kind);
    }
  }

  /** Waits until no question is under way. */
  async idle(): Promise<void> {
    await this.#flights.idle();
  }

  /** The catalog is a convenience: a broken one costs a question to upstream. */
  async #saved(repository: Repository, kind: ListKind, key: string): Promise<SavedList | undefined> {
    const remembered = this.#memory.get(questionOf(repository, kind, key));
    if (remembered !== undefined) return remembered;
    try {
      return await this.#o.catalog.list(repository, kind, key);
    } catch (error) {
      this.#o.log.error({ err: error }, "the catalog could not be read; upstream is asked instead");
      return undefined;
    }
  }

  async #save(repository: Repository, kind: ListKind, key: string, body: string): Promise<void> {
    const list = { body, atMs: Date.now() };
    this.#memory.set(questionOf(repository, kind, key), list);
    try {
      if (await this.#isWorthKeeping(repository, kind, key)) {
        await this.#o.catalog.saveList(repository, kind, key, list);
      }
    } catch (error) {
      this.#o.log.error({ err: error }, "a list could not be remembered");
    }
  }

  /**
   * Most upstreams answer for referrers of anything with an empty list, so that whoever makes up names could fill the
   * disk: what refers to a manifest that we do not hold is of no use without upstream anyway.
   */
  async #isWorthKeeping(repository: Repository, kind: ListKind, key: string): Promise<boolean> {
    const subject = kind === "referrers" ? parseDigest(key) : undefined;
    return subject === undefined || (await this.#o.catalog.manifest(repository, subject)) !== undefined;
  }
}

function questionOf(repository: Repository, kind: ListKind, key: string): string {
  return `${repositoryPath(repository)} ${kind} ${key}`;
}
