import { type MetricObject, Registry, type RegistryContentType } from "@prometheus-io/client";
import { FAMILIES, type Family, type FamilyName, PREFIX } from "./families.ts";
import type { Histogram } from "../../lib/histogram.ts";
import type { Sample, Samples } from "./samples.ts";

const OPEN_METRICS = "application/openmetrics-text";

/** The text in which Prometheus is told, by what it says that it reads. */
export function formatFor(accept: string | undefined): RegistryContentType {
  const qualityOf = (type: string) =>
    Math.max(0, ...wishes(accept ?? "").map((one) => (one.type === type ? one.q : 0)));
  return qualityOf(OPEN_METRICS) > qualityOf("text/plain")
    ? Registry.OPENMETRICS_CONTENT_TYPE
    : Registry.PROMETHEUS_CONTENT_TYPE;
}

function wishes(accept: string): readonly { readonly type: string; readonly q: number }[] {
  return accept.split(",").map((one) => {
    const [type = "", ...parameters] = one.split(";").map((part) => part.trim().toLowerCase());
    const q = parameters.find((part) => part.startsWith("q="));
    return { type, q: q === undefined ? 1 : Number(q.slice(2)) || 0 };
  });
}

/** All families that have a sample, as text of that type. */
export async function exposition(samples: Samples, contentType: RegistryContentType): Promise<string> {
  const registry = new Registry(contentType);
  for (const [name, family] of Object.entries(FAMILIES)) {
    const found = samples.of(name as FamilyName);
    if (found.length > 0) registry.registerMetric(metricOf(`${PREFIX}${name}`, family, found) as never);
  }
  return await registry.metrics();
}

/** As the package's own metrics are to their registry. */
function metricOf(name: string, { type, help }: Family, samples: readonly Sample[]) {
  return {
    name,
    help,
    type,
    // Under its name of the moment: OpenMetrics has counters without their suffix.
    get(this: MetricObject) {
      return { name: this.name, help, type, values: samples.flatMap((sample) => linesOf(name, sample)) };
    },
  };
}

interface Line {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

function linesOf(name: string, { labels, value }: Sample): Line[] {
  return typeof value === "number" ? [{ labels, value }] : histogramLines(name, labels, value);
}

function histogramLines(
  name: string,
  labels: Readonly<Record<string, string>>,
  { ends, counts, sumS }: Histogram,
): Line[] {
  let count = 0;
  const buckets = counts.map((one, at): Line => {
    count += one;
    return { metricName: `${name}_bucket`, labels: { ...labels, le: leText(ends[at]) }, value: count };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: sumS },
    { metricName: `${name}_count`, labels, value: count },
  ];
}

function leText(end: number | undefined): string {
  return end === undefined ? "+Inf" : String(end);
}
