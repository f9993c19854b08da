import { LRUCache } from "lru-cache";

/** How long a client may take to come back with what it was asked for. */
export const COME_BACK_MS = 60_000;
/** Who has said who it is so lately is no stranger: another process may tell us of it once in half that time only. */
const KNOWN_MS = 2_000;
const CLIENTS_MAX = 1_000;
const AGENTS_PER_CLIENT_MAX = 5;
const AGENT_SHOWN_MAX = 120;

/** A client that was asked who it is and never came back with an answer: it pulls without the cache. */
export interface Bypass {
  /** Its address. */
  readonly client: string;
  readonly userAgent: string;
  /** How often it was asked. */
  readonly challenges: number;
  /** Milliseconds since the epoch. */
  readonly firstAtMs: number;
  readonly lastAtMs: number;
}

/**
 * Remembers who was challenged and did not come back. Clients with several registries to choose from pass a mirror by without a word
 * when it refuses them, so that nobody else would notice.
 */
export class Bypassing {
  readonly #clients = new LRUCache<string, Map<string, Bypass>>({ max: CLIENTS_MAX });
  readonly #welcomedAtMs = new LRUCache<string, number>({ max: CLIENTS_MAX });
  readonly #told = new LRUCache<string, true>({ max: CLIENTS_MAX });

  /** It was refused for want of right credentials. */
  challenged(client: string, userAgent: string, nowMs: number): void {
    if (nowMs - (this.#welcomedAtMs.get(client) ?? -Infinity) < KNOWN_MS) return;
    const agents = this.#clients.get(client) ?? new Map<string, Bypass>();
    const agent = userAgent.slice(0, AGENT_SHOWN_MAX);
    const before = agents.get(agent);
    if (before === undefined && agents.size >= AGENTS_PER_CLIENT_MAX) return;
    const { challenges = 0, firstAtMs = nowMs } = before ?? {};
    agents.set(agent, { client, userAgent: agent, challenges: challenges + 1, firstAtMs, lastAtMs: nowMs });
    this.#clients.set(client, agents);
  }

  /** It came back, whatever it calls itself now: most clients ask once without credentials before each pull. */
  welcomed(client: string, nowMs: number): void {
    this.#welcomedAtMs.set(client, nowMs);
    this.#clients.delete(client);
    this.#told.delete(client);
  }

  /** All that had their time to come back, those who were asked lately first. */
  list(nowMs: number): readonly Bypass[] {
    return [...this.#clients.values()]
      .flatMap((agents) => [...agents.values()])
      .filter(({ firstAtMs }) => nowMs - firstAtMs >= COME_BACK_MS)
      .toSorted((a, b) => b.lastAtMs - a.lastAtMs);
  }

  /** Those of the list whose client was not told of before. */
  untold(nowMs: number): readonly Bypass[] {
    return this.list(nowMs).filter(({ client }) => {
      const isNew = this.#told.get(client) === undefined;
      this.#told.set(client, true);
      return isNew;
    });
  }
}
