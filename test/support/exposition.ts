import assert from "node:assert/strict";

/** One line with a value. */
export interface ExposedSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface ExposedFamily {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: readonly ExposedSample[];
}

const COMMENT = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/;
/** Lines of a histogram are its own, and so is a counter's one in OpenMetrics. */
const SUFFIXES: Readonly<Record<string, readonly string[]>> = { histogram: ["_bucket", "_sum", "_count"] };

/** Reads the text of `GET /metrics` strictly: whatever Prometheus would pass over is an error. */
export function parseExposition(text: string): ReadonlyMap<string, ExposedFamily> {
  assert.ok(text.endsWith("\n"), "ends with a line feed");
  const families = new Map<string, { name: string; type: string; help: string; samples: ExposedSample[] }>();
  const seen = new Set<string>();
  let current: { name: string; type: string; help: string; samples: ExposedSample[] } | undefined;
  for (const line of text.split("\n").filter((one) => one !== "")) {
    const [, kind, name = "", rest = ""] = COMMENT.exec(line) ?? [];
    if (kind === "HELP") {
      assert.ok(!families.has(name), `${name} stands there once`);
      current = { name, type: "", help: rest, samples: [] };
      families.set(name, current);
    } else if (kind === "TYPE") {
      assert.equal(current?.name, name, line);
      (current as { type: string }).type = rest;
    } else {
      assert.ok(current !== undefined, line);
      const sample = sampleOf(line);
      const own = (SUFFIXES[current.type] ?? [""]).map((suffix) => `${current?.name}${suffix}`);
      assert.ok(own.includes(sample.name), `${line}, below ${current.name}`);
      const key = line.slice(0, line.lastIndexOf(" "));
      assert.ok(!seen.has(key), `${key} stands there once`);
      seen.add(key);
      current.samples.push(sample);
    }
  }
  return families;
}

function sampleOf(line: string): ExposedSample {
  const [, name, labelText = "", valueText = ""] = SAMPLE.exec(line) ?? [];
  assert.ok(name !== undefined, line);
  const labels: Record<string, string> = {};
  for (let rest = labelText; rest !== "";) {
    const [whole, label, value] = LABEL.exec(rest) ?? [];
    assert.ok(whole !== undefined && label !== undefined && value !== undefined, line);
    assert.ok(!(label in labels), line);
    labels[label] = value;
    rest = rest.slice(whole.length);
  }
  const value = Number(valueText);
  assert.ok(Number.isFinite(value), line);
  return { name, labels, value };
}

/** The value of the one sample with these labels; 0 where there is none. */
export function valueOf(
  families: ReadonlyMap<string, ExposedFamily>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const samples = [...families.values()].flatMap((family) => family.samples.filter((one) => one.name === name));
  const found = samples.filter((one) => Object.entries(labels).every(([label, value]) => one.labels[label] === value));
  return found.reduce((sum, one) => sum + one.value, 0);
}

/** What is wrong with it by the rules of Prometheus for names, and by ours. */
export function lintFamily({ name, type, help, samples }: ExposedFamily): string[] {
  const wrong: string[] = [];
  if (!/^registry_cache_[a-z0-9]+(?:_[a-z0-9]+)*$/.test(name)) wrong.push("its name");
  if (help.length < 10 || !help.endsWith(".")) wrong.push("its help is no sentence");
  if (!["counter", "gauge", "histogram"].includes(type)) wrong.push("its type");
  if ((type === "counter") !== name.endsWith("_total")) wrong.push("counters, and they alone, end in _total");
  if (type === "histogram" && !name.endsWith("_seconds")) wrong.push("its unit");
  if (/(?:milliseconds|_ms|_kb|_mb|minutes|hours|percent)(?:_|$)/.test(name))
    wrong.push("its unit is none of the base ones");
  if (samples.length === 0) wrong.push("it has no sample");
  return wrong.map((what) => `${name}: ${what}`);
}
