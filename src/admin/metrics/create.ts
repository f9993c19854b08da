import type { Logger } from "pino";
import type { Config, ShownCertificate } from "../../config/config.ts";
import { EventLoopLag, type ProcessFacts, processFacts } from "../../lib/process-facts.ts";
import type { RequestSum } from "../../server/request-sums.ts";
import type { UpstreamObserver } from "../../upstream/observer.ts";
import type { Activity } from "../activity.ts";
import type { CountersView } from "../counters/counts.ts";
import type { Events } from "../events.ts";
import type { HookCounts } from "../webhooks/hook.ts";
import { CertificateMetrics } from "./certificate-metrics.ts";
import { collectCounters } from "./counter-metrics.ts";
import { EventMetrics } from "./event-metrics.ts";
import { LatencyMetrics } from "./latency-metrics.ts";
import { Metrics } from "./metrics.ts";
import { ProcessMetrics } from "./process-metrics.ts";
import type { Collector, Samples } from "./samples.ts";
import {
  collectBudgets,
  collectDisk,
  collectHeld,
  collectPartials,
  collectTags,
  type StoreSources,
} from "./store-metrics.ts";
import { UpstreamMetrics } from "./upstream-metrics.ts";
import { collectWebhooks } from "./webhook-metrics.ts";

/** What tells what there is to be told; asked for each answer. */
export interface MetricsOptions extends Omit<StoreSources, "config"> {
  readonly config: StoreSources["config"] & Pick<Config, "workers">;
  readonly version: string;
  readonly counters: Pick<CountersView, "total">;
  readonly activity: () => Pick<Activity, "fillCount" | "fills" | "storedReaders">;
  readonly events: Pick<Events, "subscribe">;
  readonly webhooks: () => readonly HookCounts[];
  /** How the other processes fare, by the number of each. */
  readonly fronts: () => Promise<ReadonlyMap<number, ProcessFacts>>;
  readonly log: Pick<Logger, "debug">;
}

/** What is measured, from the start of the process on. */
export interface Measuring {
  readonly metrics: Metrics;
  /** For the upstream room. */
  readonly observer: UpstreamObserver;
  /** What was answered lately, here or in a front. */
  hear(sums: readonly RequestSum[]): void;
  useCertificate(certificate: ShownCertificate | undefined): void;
  start(): void;
  stop(): void;
}

export function createMetrics(options: MetricsOptions): Measuring {
  const { config, events, webhooks, log } = options;
  const upstreams = new UpstreamMetrics(config.registries.map(({ id }) => id));
  const [latencies, happened, certificates] = [new LatencyMetrics(), new EventMetrics(), new CertificateMetrics()];
  const lag = new EventLoopLag();
  const unsubscribe = events.subscribe(happened.hear);
  const collectors: readonly Collector[] = [
    buildCollector(options),
    async (samples) => {
      // Whoever asks for the counters has the processes tell first what they have counted.
      await collectCounters(options, samples);
      latencies.collect(samples);
    },
    (samples) => upstreams.collect(samples),
    (samples) => happened.collect(samples),
    (samples) => certificates.collect(samples),
    (samples) => collectWebhooks(webhooks(), samples),
    (samples) => collectActivity(options, samples),
    (samples) => collectBudgets(options, samples),
    async (samples) => await collectDisk(options, samples),
    async (samples) => await collectHeld(options, samples),
    async (samples) => await collectTags(options, samples),
    async (samples) => await collectPartials(options, samples),
    processCollector(options, lag),
  ];
  return {
    metrics: new Metrics(collectors, log),
    observer: upstreams,
    hear: (sums) => latencies.add(sums),
    useCertificate: (certificate) => certificates.use(certificate),
    start: () => lag.start(),
    stop: () => {
      lag.stop();
      unsubscribe();
    },
  };
}

function buildCollector({ config, version }: MetricsOptions): Collector {
  const startedAtS = Math.round(Date.now() / 1_000 - process.uptime());
  return (samples) => {
    samples.put("build_info", { version, node: process.versions.node }, 1);
    samples.put("start_time_seconds", {}, startedAtS);
    samples.put("workers", {}, config.workers);
  };
}

function collectActivity({ activity }: MetricsOptions, samples: Samples): void {
  const { fillCount, fills, storedReaders } = activity();
  samples.put("fills_running", {}, fillCount);
  samples.put("stored_readers", {}, storedReaders);
  samples.put(
    "fill_readers",
    {},
    fills.reduce((sum, { readers }) => sum + readers, 0),
  );
}

function processCollector({ fronts }: MetricsOptions, lag: EventLoopLag): Collector {
  const processes = new ProcessMetrics();
  return async (samples) => {
    const [own, others] = await Promise.all([processFacts(lag), fronts()]);
    processes.hearOwner(own);
    processes.hearFronts(others);
    processes.collect(samples);
  };
}
