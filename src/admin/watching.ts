import type { Logger } from "pino";
import type { CountingCatalog } from "../catalog/counting.ts";
import type { ApiConfig, Config } from "../config/config.ts";
import type { Exchange } from "../server/exchange.ts";
import type { Handler } from "../server/handler.ts";
import { observedBy } from "../upstream/observers.ts";
import type { UpstreamObserver } from "../upstream/observer.ts";
import { createCounting, type Counting } from "./counters/create.ts";
import { eventSources } from "./event-sources.ts";
import { Events } from "./events.ts";
import { createMetrics, type Measuring, type MetricsOptions } from "./metrics/create.ts";
import { metricsHandler } from "./metrics/handler.ts";
import { WhoMay } from "./who-may.ts";
import { startWebhooks, type Webhooks } from "./webhooks/webhooks.ts";

export interface WatchingOptions extends Omit<MetricsOptions, "counters" | "events" | "webhooks" | "config"> {
  readonly config: Config;
  readonly catalog: CountingCatalog;
  /** Refuses, with an error, who may not read metrics. */
  readonly assertMayRead: (exchange: Exchange) => unknown;
  readonly log: Pick<Logger, "debug" | "error" | "info" | "warn">;
}

/** By `api.metrics`. */
export function metricsReaders(
  { admins, metrics }: Pick<ApiConfig, "admins" | "metrics">,
  hosts: ConstructorParameters<typeof WhoMay>[1],
): (exchange: Exchange) => unknown {
  const whoMay = new WhoMay({ admins, read: metrics }, hosts);
  return (exchange) => whoMay.assertMayRead(exchange);
}

/** Whoever counts, measures and tells what happens. */
export interface Watching {
  readonly events: Events;
  /** Callbacks for those who see what happens. */
  readonly sources: ReturnType<typeof eventSources>;
  readonly counting: Counting;
  readonly webhooks: Webhooks;
  readonly useCertificate: Measuring["useCertificate"];
  /** For the upstream room. */
  readonly observer: UpstreamObserver;
  /** `GET /metrics`. */
  readonly handler: Handler;
  start(): void;
  /** Writes down what was counted, and waits briefly for what has not been told yet. */
  stop(): Promise<void>;
}

export function createWatching(options: WatchingOptions): Watching {
  const { config, catalog, assertMayRead, log, version } = options;
  const events = new Events();
  const counting = createCounting({ catalog, registries: config.registries, log });
  const webhooks = startWebhooks({ config, events, version, log });
  const { counters } = counting;
  const measuring = createMetrics({ ...options, counters, events, webhooks: () => webhooks.counts() });
  counting.listen(({ requests }) => measuring.hear(requests));
  return {
    events,
    sources: eventSources(events),
    counting,
    webhooks,
    useCertificate: (certificate) => measuring.useCertificate(certificate),
    observer: observedBy(counters.observer, measuring.observer),
    handler: metricsHandler({ metrics: measuring.metrics, assertMayRead }),
    start: () => {
      counters.start();
      measuring.start();
    },
    stop: async () => {
      measuring.stop();
      await Promise.all([webhooks.stop(), counters.stop()]);
    },
  };
}
