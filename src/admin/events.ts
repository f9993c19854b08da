import type { EventName } from "../config/event-names.ts";

/** What has happened. Sizes are bytes. */
export type CacheEvent =
  /** A manifest became held in a repository. */
  | EventOf<"digest.new", { image: string; digest: string; size: number }>
  /** `image` is `docker.io/library/nginx:1.27`. */
  | EventOf<"tag.moved", { image: string; from: string; to: string }>
  /** The upstream says that it has it no more; what is held stays. */
  | EventOf<"tag.vanished", { image: string; digest: string }>
  | EventOf<"image.evicted", { image: string; digest: string; bytes: number; reason: string }>
  | EventOf<"upstream.down" | "upstream.up", { registry: string; reason?: string }>
  | EventOf<"quota.low" | "quota.spent" | "quota.restored", { registry: string; limit: number; remaining: number }>
  | EventOf<"certificate.trouble", { names: readonly string[]; reason: string }>
  | EventOf<"content.damaged", { digest: string; healed?: boolean }>;

interface EventOf<Name extends EventName, Data> {
  readonly name: Name;
  readonly data: Readonly<Data>;
}

/** With its time, and a number that grows by one with each. */
export type NumberedEvent = CacheEvent & {
  readonly id: number;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
};

export type Listener = (event: NumberedEvent) => void;

/** Told again to whoever comes back and says which was the last one. */
const REMEMBERED_MAX = 1_000;

/** Tells everybody who wants to hear it what happens. Listeners must be quick and must not throw. */
export class Events {
  readonly #listeners = new Set<Listener>();
  readonly #past: NumberedEvent[] = [];
  #lastId = 0;

  publish(event: CacheEvent, atMs = Date.now()): void {
    this.#lastId += 1;
    const numbered = { ...event, id: this.#lastId, atMs };
    this.#past.push(numbered);
    if (this.#past.length > REMEMBERED_MAX) this.#past.shift();
    for (const listener of this.#listeners) listener(numbered);
  }

  /** Returns what ends it. */
  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** What has happened after that one, as far as it is remembered. */
  since(id: number): readonly NumberedEvent[] {
    return this.#past.filter((event) => event.id > id);
  }
}
