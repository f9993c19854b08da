import assert from "node:assert/strict";
import { test } from "node:test";
import { lintFamily, parseExposition, valueOf } from "../../../test/support/exposition.ts";
import { exposition, formatFor } from "./exposition.ts";
import { FAMILIES, type Family, type FamilyName, PREFIX } from "./families.ts";
import { newHistogram, observe } from "../../lib/histogram.ts";
import { LAG_ENDS_S } from "../../lib/process-facts.ts";
import { Samples } from "./samples.ts";

const PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/** Every family with a sample. */
function everything(): Samples {
  const samples = new Samples();
  for (const [name, family] of Object.entries<Family>(FAMILIES)) {
    const labels = Object.fromEntries(family.labels.map((label) => [label, "one"]));
    const value = family.type === "histogram" ? newHistogram(LAG_ENDS_S) : 1;
    samples.put(name as FamilyName, labels as never, value as never);
  }
  return samples;
}

test("every family of the table has a name, a unit and a help as Prometheus wants them", async () => {
  const families = parseExposition(await exposition(everything(), PROMETHEUS));
  assert.equal(families.size, Object.keys(FAMILIES).length);
  assert.deepEqual([...families.values()].flatMap(lintFamily), []);
});

test("no label can have a value that a client, or whoever pushes images, makes up", () => {
  const labels = new Set(Object.values<Family>(FAMILIES).flatMap((family) => family.labels));
  const few = [
    "registry",
    "outcome",
    "kind",
    "source",
    "result",
    "asked",
    "code",
    "reason",
    "event",
    "process",
    "scope",
  ];
  // By the configuration, or by what runs.
  const configured = ["webhook", "name", "version", "node"];
  assert.deepEqual(
    [...labels].filter((label) => ![...few, ...configured].includes(label)),
    [],
  );
});

test("a histogram is told cumulatively, with what is above all of its buckets", async () => {
  const samples = new Samples();
  const lag = newHistogram(LAG_ENDS_S);
  for (const seconds of [0.001, 0.002, 0.3, 99]) observe(lag, seconds);
  samples.put("event_loop_lag_seconds", { process: "owner" }, lag);
  const families = parseExposition(await exposition(samples, PROMETHEUS));
  const name = `${PREFIX}event_loop_lag_seconds`;
  const below = (le: string) => valueOf(families, `${name}_bucket`, { process: "owner", le });
  assert.deepEqual(["0.001", "0.005", "0.25", "0.5", "2.5", "+Inf"].map(below), [1, 2, 2, 3, 3, 4]);
  assert.equal(valueOf(families, `${name}_count`), 4);
  assert.equal(valueOf(families, `${name}_sum`), 99.303);
});

test("OpenMetrics has the same, and its own end", async () => {
  const samples = everything();
  const open = await exposition(samples, OPEN_METRICS);
  assert.match(open, /# EOF\n$/);
  assert.match(
    open,
    /^# TYPE registry_cache_fetched_bytes counter\nregistry_cache_fetched_bytes_total\{registry="one"\} 1$/m,
  );
  const values = (text: string) =>
    text
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .toSorted();
  assert.deepEqual(values(open), values(await exposition(samples, PROMETHEUS)));
});

test("the text is the one that is asked for", () => {
  const prometheus =
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;q=0.3";
  assert.equal(formatFor(prometheus), OPEN_METRICS);
  assert.equal(formatFor("text/plain;version=0.0.4;q=0.9,application/openmetrics-text;q=0.1"), PROMETHEUS);
  for (const accept of [undefined, "*/*", "text/html", "nonsense;;,"]) assert.equal(formatFor(accept), PROMETHEUS);
});
