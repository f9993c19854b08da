import { EVENT_NAMES, type EventName } from "../../config/event-names.ts";
import type { NumberedEvent } from "../events.ts";
import { Counts } from "./counts.ts";
import type { Samples } from "./samples.ts";

/** What has happened since the start. */
export class EventMetrics {
  readonly #events = new Map<EventName, number>(EVENT_NAMES.map((name) => [name, 0]));
  readonly #evictions = new Counts<"reason">();
  readonly #evictedBytes = new Counts<"reason">();

  readonly hear = (event: NumberedEvent): void => {
    this.#events.set(event.name, (this.#events.get(event.name) ?? 0) + 1);
    if (event.name !== "image.evicted") return;
    const { reason, bytes } = event.data;
    this.#evictions.add({ reason });
    this.#evictedBytes.add({ reason }, bytes);
  };

  collect(samples: Samples): void {
    for (const [event, count] of this.#events) samples.put("events_total", { event }, count);
    for (const { labels, count } of this.#evictions) samples.put("evictions_total", labels, count);
    for (const { labels, count } of this.#evictedBytes) samples.put("eviction_bytes_total", labels, count);
  }
}
