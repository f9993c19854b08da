import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDigest } from "../oci/digest.ts";
import { parseRepositoryName, parseTag } from "../oci/reference.ts";
import { EventMetrics } from "./metrics/event-metrics.ts";
import { Samples } from "./metrics/samples.ts";
import { eventSources } from "./event-sources.ts";
import { Events } from "./events.ts";

const name = parseRepositoryName("library/nginx") ?? assert.fail();
const tag = parseTag("1.27") ?? assert.fail();
const digest = parseDigest(`sha256:${"a".repeat(64)}`) ?? assert.fail();
const repository = { registryId: "dockerhub", serves: "docker.io", name };

test("an eviction is told by the image's first tag, else by its digest, and counted by its reason", () => {
  const events = new Events();
  const metrics = new EventMetrics();
  events.subscribe(metrics.hear);
  const sources = eventSources(events);
  sources.onEvicted({ repository, digest, tags: [tag], bytes: 1_000, why: "budget" });
  sources.onEvicted({ repository, digest, tags: [], bytes: 200, why: "budget" });
  // No image's event: its bytes are in the counters alone.
  sources.onEvicted({ repository, digest: undefined, tags: [], bytes: 5, why: "budget" });
  assert.deepEqual(
    events.since(0).map(({ name: event, data }) => [event, data]),
    [
      ["image.evicted", { image: "docker.io/library/nginx:1.27", digest, bytes: 1_000, reason: "budget" }],
      ["image.evicted", { image: `docker.io/library/nginx@${digest}`, digest, bytes: 200, reason: "budget" }],
    ],
  );
  const samples = new Samples();
  metrics.collect(samples);
  assert.deepEqual(samples.of("evictions_total"), [{ labels: { reason: "budget" }, value: 2 }]);
  assert.deepEqual(samples.of("eviction_bytes_total"), [{ labels: { reason: "budget" }, value: 1_200 }]);
});

test("what becomes of a quota, of an upstream and of certificates has a name each", () => {
  const events = new Events();
  const sources = eventSources(events);
  for (const verdict of ["low", "spent", "plenty"] as const) {
    sources.onQuota("dockerhub", verdict, { limit: 100, remaining: 1, windowS: 21_600 });
  }
  sources.onUpstream("ghcr", "down", "it fails");
  sources.onUpstream("ghcr", "up", undefined);
  sources.onTrouble(["cache.test"], "no answer");
  assert.deepEqual(
    events.since(0).map(({ name: event, data }) => [event, data]),
    [
      ["quota.low", { registry: "dockerhub", limit: 100, remaining: 1 }],
      ["quota.spent", { registry: "dockerhub", limit: 100, remaining: 1 }],
      ["quota.restored", { registry: "dockerhub", limit: 100, remaining: 1 }],
      ["upstream.down", { registry: "ghcr", reason: "it fails" }],
      ["upstream.up", { registry: "ghcr" }],
      ["certificate.trouble", { names: ["cache.test"], reason: "no answer" }],
    ],
  );
});
