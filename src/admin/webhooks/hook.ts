import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { LATE, within } from "../../lib/wait.ts";
import type { CloudEvent } from "./cloud-event.ts";
import type { WebhookLimits } from "./limits.ts";
import { afterTry, type TryResult } from "./retry.ts";

export interface HookOptions {
  /** For the log: who is told, without secrets. */
  readonly shown: string;
  /** One try; never rejects. */
  readonly post: (body: string, signal: AbortSignal) => Promise<TryResult>;
  readonly limits: WebhookLimits;
  readonly log: Pick<Logger, "info" | "warn">;
}

/** Events, each counted once. */
export interface HookCounts {
  readonly sent: number;
  /** Given up: refused, or not taken for too long. */
  readonly failed: number;
  /** Too many waited, or the cache was stopped before they were told. */
  readonly dropped: number;
  readonly waiting: number;
}

/** Tells one receiver what happens: one event after the other, each until it is taken or given up. */
export class Hook {
  readonly #o: HookOptions;
  readonly #stopping = new AbortController();
  readonly #cut = new AbortController();
  readonly #queue: CloudEvent[] = [];
  readonly #counts = { sent: 0, failed: 0, dropped: 0 };
  #running: Promise<void> | undefined;
  /** Told of in the log, until something is taken again. */
  #isFailing = false;

  constructor(options: HookOptions) {
    this.#o = options;
  }

  get counts(): HookCounts {
    return { ...this.#counts, waiting: this.#queue.length };
  }

  /** Costs next to nothing: whoever publishes may be in the middle of a pull. */
  add(event: CloudEvent): void {
    if (this.#stopping.signal.aborted) {
      this.#counts.dropped += 1;
      return;
    }
    this.#queue.push(event);
    if (this.#queue.length > this.#o.limits.queueMax) {
      this.#queue.shift();
      this.#counts.dropped += 1;
    }
    this.#running ??= this.#run();
  }

  /** What waits is tried once more, as long as there is time for it. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const running = this.#running ?? Promise.resolve();
    if ((await within(running, this.#o.limits.stopMs)) === LATE) this.#cut.abort();
    await running;
    if (this.#queue.length === 0) return;
    this.#counts.dropped += this.#queue.length;
    this.#o.log.warn(
      { webhook: this.#o.shown, events: this.#queue.length },
      "the cache stopped before these were told",
    );
    this.#queue.length = 0;
  }

  async #run(): Promise<void> {
    await nextTurn();
    while (!this.#cut.signal.aborted) {
      const event = this.#queue.shift();
      if (event === undefined) break;
      await this.#tell(event);
    }
    this.#running = undefined;
  }

  async #tell(event: CloudEvent): Promise<void> {
    const body = JSON.stringify(event);
    const startedAtMs = performance.now();
    for (let tries = 1; ; tries += 1) {
      const result = await this.#o.post(body, this.#cut.signal);
      const facts = { tries, sinceMs: performance.now() - startedAtMs, random: Math.random() };
      const next = afterTry(result, facts, this.#o.limits);
      if (next.kind === "done") return this.#taken();
      if (next.kind === "give-up" || this.#stopping.signal.aborted) return this.#givenUp(event, next.why);
      this.#failed(next.why);
      await sleep(next.inMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
    }
  }

  #taken(): void {
    this.#counts.sent += 1;
    if (!this.#isFailing) return;
    this.#isFailing = false;
    this.#o.log.info({ webhook: this.#o.shown }, "the webhook takes events again");
  }

  #failed(reason: string): void {
    if (this.#isFailing) return;
    this.#isFailing = true;
    this.#o.log.warn({ webhook: this.#o.shown, reason }, "the webhook takes no event; it is tried again");
  }

  #givenUp({ type, id }: CloudEvent, reason: string): void {
    this.#counts.failed += 1;
    this.#isFailing = true;
    this.#o.log.warn({ webhook: this.#o.shown, event: type, id, reason }, "an event was not told: it was given up");
  }
}
