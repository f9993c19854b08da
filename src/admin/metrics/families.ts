/** One metric as Prometheus has it. */
export interface Family {
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  /** Values of each are few: ids of registries, outcomes, kinds; never a repository, a tag, a client. */
  readonly labels: readonly string[];
}

/** Before all names that are ours. */
export const PREFIX = "registry_cache_";

/**
 * Everything that `GET /metrics` may say, without the prefix. Units are those of Prometheus: seconds, bytes, ratios. The counters from
 * `requests_total` to `evicted_bytes_total` are those of the catalog, which survive restarts; all others begin with the process.
 */
export const FAMILIES = {
  build_info: gauge("Always 1; the labels say which version runs.", "version", "node"),
  start_time_seconds: gauge("When the process was started, seconds since the epoch."),
  workers: gauge("Processes that answer clients; 1: the one that does everything."),

  requests_total: counter("Requests of clients, by what has become of them.", "registry", "outcome"),
  served_bytes_total: counter("Bytes of bodies handed to clients.", "registry", "outcome"),
  saved_bytes_total: counter("Those of them that did not have to come from the upstream for it.", "registry"),
  fetched_bytes_total: counter(
    "Bytes of bodies that came from upstreams, without those of token services.",
    "registry",
  ),
  pulls_total: counter("Manifests that clients asked for with GET and got.", "registry"),
  pulls_saved_total: counter("Those of them that the upstream was not asked to send.", "registry"),
  fills_total: counter("Transfers of blobs into the store that have ended.", "registry", "result"),
  evicted_images_total: counter("Images that were taken away to make room.", "registry"),
  evicted_bytes_total: counter("Bytes that came back by that.", "registry"),

  first_byte_seconds: histogram("Until the head of an answer was written.", "registry", "kind", "source"),
  response_seconds: histogram("Until an answer had gone out.", "registry", "kind", "source"),
  fills_running: gauge("Transfers of blobs into the store that are under way, or wait for a place."),
  fill_readers: gauge("Clients that follow them."),
  stored_readers: gauge("Clients that read stored blobs."),

  upstream_answers_total: counter("Answers of upstreams, and of hosts that they lead to.", "registry", "asked", "code"),
  upstream_failures_total: counter("Questions to upstreams that came to nothing.", "registry", "asked", "reason"),
  upstream_answer_seconds: histogram("Until the head of an upstream's answer.", "registry", "asked"),
  upstream_available: gauge("0 while an upstream is taken for broken and not asked.", "registry"),
  token_fetches_total: counter("Tokens that were asked for at token services.", "registry", "result"),
  quota_limit_pulls: gauge("Pulls that the upstream allows in its window, as it said last.", "registry"),
  quota_remaining_pulls: gauge("Pulls that the upstream had left for us when it said so last.", "registry"),

  held_bytes: gauge("Bytes held for a registry; what several have is counted for each.", "registry"),
  held_contents: gauge("Manifests, configurations and layers held for a registry.", "registry"),
  held_tags: gauge("Tags that are held.", "registry"),
  stored_bytes: gauge("Bytes held in all, each content once."),
  stored_contents: gauge("Contents held in all, each once."),
  budget_bytes: gauge("What may be held (max_size); left out where that has no bound.", "scope"),
  disk_free_bytes: gauge("Free bytes of the disk with the data folder."),
  disk_reserve_bytes: gauge("Free bytes that are left untouched (min_free_disk)."),
  partials: gauge("Transfers that ended early and can be gone on with."),
  partial_bytes: gauge("Bytes of the partials."),
  evictions_total: counter("Images that were taken away since the start.", "reason"),
  eviction_bytes_total: counter("Bytes that came back by that.", "reason"),

  certificate_not_before_timestamp_seconds: gauge("Since when the certificate shown to clients is good.", "name"),
  certificate_expiry_timestamp_seconds: gauge("When it expires.", "name"),
  events_total: counter("What happened that webhooks and the stream of events tell of.", "event"),
  webhook_events_total: counter("Events for a webhook, by its place in the configuration.", "webhook", "result"),
  webhook_waiting_events: gauge("Events that a webhook has not been told yet.", "webhook"),

  collector_failures_total: counter("Answers of /metrics that lack something, since it could not be found out."),
  process_cpu_seconds_total: counter("Time of processors used.", "process"),
  process_resident_memory_bytes: gauge("Memory used.", "process"),
  process_heap_bytes: gauge("Memory of JavaScript objects, used ones.", "process"),
  process_open_fds: gauge("Open descriptors: files and connections.", "process"),
  process_max_fds: gauge("How many of them there may be.", "process"),
  event_loop_lag_seconds: histogram("How late a timer was that is due four times a second.", "process"),
} as const satisfies Readonly<Record<string, Family>>;

export type FamilyName = keyof typeof FAMILIES;

/** The labels of a family, each with its value. */
export type Labels<Name extends FamilyName> = Readonly<Record<(typeof FAMILIES)[Name]["labels"][number], string>>;

function gauge<const Names extends readonly string[]>(help: string, ...labels: Names) {
  return { type: "gauge", help, labels } as const;
}

function counter<const Names extends readonly string[]>(help: string, ...labels: Names) {
  return { type: "counter", help, labels } as const;
}

function histogram<const Names extends readonly string[]>(help: string, ...labels: Names) {
  return { type: "histogram", help, labels } as const;
}
