import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { parse } from "yaml";
import { EVENT_NAMES } from "../src/config/event-names.ts";
import { FAMILIES, type Family, PREFIX } from "../src/admin/metrics/families.ts";

const deploy = new URL("../deploy/", import.meta.url);
const read = async (name: string) => await readFile(new URL(name, deploy), "utf8");

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly h: number; readonly w: number; readonly x: number; readonly y: number };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

/** Names with those that a histogram has. */
const EXPOSED = new Map<string, Family>(
  Object.entries<Family>(FAMILIES).flatMap(([name, family]) => {
    const suffixes = family.type === "histogram" ? ["_bucket", "_sum", "_count"] : [""];
    return suffixes.map((suffix) => [`${PREFIX}${name}${suffix}`, family] as const);
  }),
);

async function panels(): Promise<readonly Panel[]> {
  return (JSON.parse(await read("grafana/registry-cache.json")) as { panels: Panel[] }).panels;
}

async function rules() {
  const { groups } = parse(await read("prometheus/registry-cache.rules.yml")) as {
    groups: { rules: { alert: string; expr: string; labels: object; annotations: Record<string, string> }[] }[];
  };
  return groups.flatMap((group) => group.rules);
}

/** Names of ours in an expression that nobody exposes, and labels that they do not have. */
function unknownIn(expr: string): string[] {
  const names = expr.match(/\bregistry_cache_\w+/g) ?? [];
  const unknown = names.filter((name) => !EXPOSED.has(name));
  const labels = new Set(names.flatMap((name) => EXPOSED.get(name)?.labels ?? []));
  const given = [...expr.matchAll(/[{,]\s*(\w+)\s*(?:=~|!~|!=|=)\s*"/g)].map(([, label = ""]) => label);
  const grouped = [...expr.matchAll(/\b(?:by|on|ignoring)\s*\(([^)]*)\)/g)].flatMap(([, list = ""]) =>
    list.split(/,\s*/),
  );
  const own = new Set(["instance", "job", "le"]);
  return [...unknown, ...[...given, ...grouped].filter((label) => !labels.has(label) && !own.has(label))];
}

test("the dashboard's expressions have names and labels that there are", async () => {
  const expressions = (await panels()).flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  assert.ok(expressions.length > 30);
  assert.deepEqual(expressions.flatMap(unknownIn), []);
  // All of them are those of the chosen caches alone.
  for (const expr of expressions) {
    const names = expr.match(/\bregistry_cache_\w+/g) ?? [];
    assert.equal(expr.match(/instance=~"\$instance"/g)?.length, names.length, expr);
  }
});

test("its legends name labels that the expression keeps", async () => {
  const wrong = (await panels()).flatMap(({ title, targets = [] }) =>
    targets.flatMap(({ expr, legendFormat }) => {
      const by = /\bby \(([^)]*)\)/.exec(expr)?.[1]?.split(", ");
      const names = expr.match(/\bregistry_cache_\w+/g) ?? [];
      const kept = by ?? (/\bsum\(/.test(expr) ? [] : names.flatMap((name) => EXPOSED.get(name)?.labels ?? []));
      const named = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label = ""]) => label);
      return named.filter((label) => !kept.includes(label)).map((label) => `${title}: ${label}`);
    }),
  );
  assert.deepEqual(wrong, []);
});

test("its panels have numbers of their own, and lie in no other's way", async () => {
  const all = await panels();
  assert.equal(new Set(all.map(({ id }) => id)).size, all.length);
  const taken = new Set<string>();
  for (const { title, gridPos } of all) {
    assert.ok(gridPos.x + gridPos.w <= 24, title);
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
        assert.ok(!taken.has(`${x} ${y}`), title);
        taken.add(`${x} ${y}`);
      }
    }
  }
});

test("the rules have names and labels that there are, and say what to do", async () => {
  const all = await rules();
  assert.deepEqual(
    all.flatMap(({ expr }) => unknownIn(expr)),
    [],
  );
  for (const { alert, labels, annotations } of all) {
    assert.match(alert, /^RegistryCache[A-Z][A-Za-z]+$/);
    assert.ok("severity" in labels, alert);
    assert.match(annotations["description"] ?? "", /\.$/, alert);
  }
});

test("every rule has a test of its own, for promtool", async () => {
  const { tests } = parse(await read("prometheus/registry-cache.rules.test.yml")) as {
    tests: { alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }[];
  };
  const all = tests.flatMap((one) => one.alert_rule_test);
  const firing = new Set(all.flatMap(({ alertname, exp_alerts: alerts }) => (alerts.length > 0 ? [alertname] : [])));
  assert.deepEqual(
    (await rules()).map(({ alert }) => alert).filter((alert) => !firing.has(alert)),
    [],
  );
});

test("docs/monitoring.md has every metric with its labels and its help, and every event", async () => {
  const page = await readFile(new URL("../docs/monitoring.md", import.meta.url), "utf8");
  const rows = [...page.matchAll(/^\| `(registry_cache_\w+)` \| (.*) \| (.*) \|$/gm)].map((row) => row.slice(1));
  const expected = Object.entries<Family>(FAMILIES).map(([name, { labels, help }]) => [
    PREFIX + name,
    labels.map((label) => `\`${label}\``).join(", ") || " ",
    help,
  ]);
  assert.deepEqual(rows, expected);
  const events = [...page.matchAll(/^\| (`[a-z.]+`(?:, `[a-z.]+`)*) \| /gm)].flatMap(([, names = ""]) =>
    [...names.matchAll(/`([a-z.]+)`/g)].map(([, name]) => name),
  );
  assert.deepEqual(events, [...EVENT_NAMES]);
});
