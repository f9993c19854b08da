import type { EventName } from "../config/event-names.ts";
import { Changes } from "../lib/wait.ts";
import { ProblemError } from "../server/problem.ts";
import type { Events, NumberedEvent } from "./events.ts";

/** Listeners at once; each has a connection and a queue. */
const LISTENERS_MAX = 64;
/** Events that wait for a listener who is slow; more would only grow older. */
const QUEUE_MAX = 256;
/** Proxies cut connections on which nothing moves, after a minute mostly. */
const HEARTBEAT_MS = 15_000;

/** What a listener is told. */
export type Told =
  | { readonly kind: "event"; readonly id: string; readonly event: NumberedEvent }
  /** How things are now; once a second. */
  | { readonly kind: "status"; readonly status: unknown }
  /** What came after the last one that it knows is not remembered any more. */
  | { readonly kind: "gap" }
  /** It was too slow, and hears no more. */
  | { readonly kind: "dropped" }
  | { readonly kind: "heartbeat" };

export interface Listening {
  /** None: all of them. */
  readonly names: ReadonlySet<EventName> | undefined;
  /** Whether it wants to be told each second how things are. */
  readonly wantsStatus: boolean;
  readonly isAdmin: boolean;
  /** Of the last event that it has heard of. */
  readonly lastId: string | undefined;
  readonly signal: AbortSignal;
}

export interface EventStreamsOptions {
  readonly events: Pick<Events, "since" | "subscribe">;
  /** How things are now, as admins see it or others. */
  readonly status: (isAdmin: boolean) => Promise<unknown>;
  /** Whether it may be told to those who are no admins. */
  readonly isForAll: (event: NumberedEvent) => Promise<boolean>;
  /** Told apart from those of other runs of the process, which count from 1 as well. */
  readonly run: string;
  readonly heartbeatMs?: number;
  readonly statusMs?: number;
}

/** What happens, as it happens, for a bounded number of listeners. */
export class EventStreams {
  readonly #o: EventStreamsOptions;
  readonly #waiting = new Map<(status: unknown) => void, { readonly isAdmin: boolean }>();
  #timer: NodeJS.Timeout | undefined;
  #listeners = 0;

  constructor(options: EventStreamsOptions) {
    this.#o = options;
  }

  /** Rejects at once, with a `ProblemError`, where there are too many listeners. It ends with the signal. */
  listen(listening: Listening): AsyncIterable<Told> {
    if (this.#listeners >= LISTENERS_MAX) {
      throw new ProblemError(503, `${LISTENERS_MAX} listen already`, { headers: { "Retry-After": "10" } });
    }
    return this.#told(listening);
  }

  async *#told(listening: Listening): AsyncGenerator<Told> {
    const { names, wantsStatus, isAdmin, lastId, signal } = listening;
    const queue: Told[] = [];
    const news = new Changes();
    let isDropped = false;
    const tell = (told: Told): void => {
      if (queue.length >= QUEUE_MAX) isDropped = true;
      else queue.push(told);
      news.notify();
    };
    const hear = (event: NumberedEvent): void => {
      if (names === undefined || names.has(event.name)) tell(this.#numbered(event));
    };
    this.#listeners += 1;
    // Only the latest is of interest: a slow listener misses some of them.
    const hearStatus = (status: unknown): void => {
      if (!queue.some(({ kind }) => kind === "status")) tell({ kind: "status", status });
    };
    queue.push(...this.#missed(lastId, names));
    const unsubscribe = this.#o.events.subscribe(hear);
    if (wantsStatus) this.#tick(hearStatus, isAdmin);
    const beat = setInterval(() => {
      if (queue.length === 0) tell({ kind: "heartbeat" });
    }, this.#o.heartbeatMs ?? HEARTBEAT_MS).unref();
    try {
      while (!signal.aborted) {
        const next = queue.shift();
        if (next !== undefined) {
          if (isAdmin || next.kind !== "event" || (await this.#o.isForAll(next.event))) yield next;
        } else if (isDropped) return void (yield { kind: "dropped" });
        else await news.next(signal).catch(() => undefined);
      }
    } finally {
      this.#listeners -= 1;
      clearInterval(beat);
      unsubscribe();
      this.#untick(hearStatus);
    }
  }

  #numbered(event: NumberedEvent): Told {
    return { kind: "event", id: `${this.#o.run}-${event.id}`, event };
  }

  #missed(lastId: string | undefined, names: Listening["names"]): Told[] {
    if (lastId === undefined) return [];
    const [, run, number] = /^([\da-z]+)-(\d{1,15})$/.exec(lastId) ?? [];
    const isOurs = run === this.#o.run;
    const past = this.#o.events.since(isOurs ? Number(number) : 0);
    const isWhole = isOurs && (past.length === 0 || past[0]?.id === Number(number) + 1);
    const wanted = past.filter(({ name }) => names === undefined || names.has(name)).slice(-QUEUE_MAX);
    return [...(isWhole ? [] : [{ kind: "gap" } as const]), ...wanted.map((event) => this.#numbered(event))];
  }

  /** However many want to know, it is looked up once. */
  #tick(hear: (status: unknown) => void, isAdmin: boolean): void {
    this.#waiting.set(hear, { isAdmin });
    if (this.#timer !== undefined) return;
    let isBusy = false;
    const look = async (): Promise<void> => {
      if (isBusy) return;
      isBusy = true;
      try {
        for (const forAdmins of [true, false]) {
          const all = [...this.#waiting].filter(([, one]) => one.isAdmin === forAdmins);
          const status = all.length === 0 ? undefined : await this.#o.status(forAdmins);
          for (const [tell] of all) tell(status);
        }
      } catch {
        // Whoever waits is told the next time.
      } finally {
        isBusy = false;
      }
    };
    this.#timer = setInterval(() => void look(), this.#o.statusMs ?? STATUS_MS).unref();
    void look();
  }

  #untick(hear: (status: unknown) => void): void {
    this.#waiting.delete(hear);
    if (this.#waiting.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

const STATUS_MS = 1_000;
