import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import type { Outcome, StaleReason } from "../pull/outcome.ts";
import { cacheStatus, outcomeHeaders } from "./cache-status.ts";

/** RFC 9211, section 2: the parameters of a cache's entry, and the structured type of each. */
const PARAMETERS: Readonly<Record<string, RegExp>> = {
  hit: /^$/,
  fwd: /^=(?:bypass|method|uri-miss|vary-miss|miss|request|stale|partial)$/,
  "fwd-status": /^=\d{3}$/,
  ttl: /^=-?\d{1,15}$/,
  stored: /^$/,
  collapsed: /^$/,
  key: /^="[ -~]*"$/,
  detail: /^=(?:[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*|"[ !#-[\]-~]*")$/,
};
/** RFC 8941: a member is a token, its parameters follow after semicolons, keys in lower case, each once. */
const MEMBER = /^([A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*)((?:; *[a-z*][a-z0-9_.*-]*(?:=[^;]+)?)*)$/;

function assertValid(value: string): Map<string, string> {
  const [, cache, rest = ""] = MEMBER.exec(value) ?? [];
  assert.equal(cache, "registry-cache", value);
  const parameters = rest
    .split(";")
    .slice(1)
    .map((one) => one.trim());
  const read = new Map(
    parameters.map((one) => {
      const [, key = "", text = ""] = /^([^=]+)(.*)$/.exec(one) ?? [];
      assert.match(text, PARAMETERS[key] ?? /never/, `${key} in ${value}`);
      return [key, text];
    }),
  );
  assert.equal(read.size, parameters.length, "each parameter once");
  assert.notEqual(read.has("hit"), read.has("fwd"), `either hit or forwarded (RFC 9211, section 2.1): ${value}`);
  if (read.has("collapsed") || read.has("stored")) assert.ok(read.has("fwd"), value);
  return read;
}

const REASONS: readonly StaleReason[] = [
  "slow",
  "unreachable",
  "timeout",
  "server-error",
  "rate-limited",
  "unavailable",
  "quota",
  "not-found",
  "unauthorized",
  "forbidden",
  "untrusted",
  "protocol",
  "overloaded",
  "aborted",
];
const seconds = fc.nat({ max: 10 ** 9 });
const happened = fc.oneof(
  fc.record({ kind: fc.constant("hit" as const) }),
  fc.record({ kind: fc.constant("hit" as const), ageS: seconds, freshForS: fc.option(seconds, { nil: undefined }) }),
  fc.constantFrom(
    { kind: "revalidated" as const },
    { kind: "miss" as const },
    { kind: "joined" as const },
    { kind: "unkept" as const },
  ),
  fc.record({ kind: fc.constant("stale" as const), reason: fc.constantFrom(...REASONS), ageS: seconds }),
);

const outcomes: fc.Arbitrary<Outcome> = fc
  .tuple(happened, fc.constantFrom({}, { byHold: true as const }))
  .map(([outcome, byHold]) => ({ ...outcome, ...byHold }));

test("every outcome is a valid Cache-Status, and the other headers are valid too", () => {
  prove(
    fc.property(outcomes, (outcome) => {
      const headers = outcomeHeaders(outcome);
      assertValid(headers["Cache-Status"] ?? "");
      if (headers["Age"] !== undefined) assert.match(headers["Age"], /^\d+$/);
      // The specification of registries wants exactly this form.
      if (headers["Warning"] !== undefined) assert.match(headers["Warning"], /^299 - "[^"\\]+"$/);
      assert.equal(headers["Warning"] !== undefined, outcome.kind === "stale");
    }),
  );
});

test("each outcome says what happened", () => {
  const said = (outcome: Outcome) => Object.fromEntries(assertValid(cacheStatus(outcome)));
  assert.deepEqual(said({ kind: "hit" }), { hit: "" });
  assert.deepEqual(said({ kind: "hit", ageS: 3, freshForS: 57 }), { hit: "", ttl: "=57" });
  assert.deepEqual(said({ kind: "revalidated" }), { hit: "", detail: "=revalidated" });
  assert.deepEqual(said({ kind: "miss" }), { fwd: "=miss", stored: "" });
  assert.deepEqual(said({ kind: "joined" }), { fwd: "=miss", collapsed: "", stored: "" });
  assert.deepEqual(said({ kind: "unkept" }), { fwd: "=miss", detail: "=no-room" });
  assert.deepEqual(said({ kind: "hit", byHold: true }), { hit: "", detail: "=pinned" });
  assert.deepEqual(said({ kind: "miss", byHold: true }), { fwd: "=miss", stored: "", detail: "=pinned" });
  for (const reason of REASONS) {
    assert.deepEqual(said({ kind: "stale", reason, ageS: 9 }), { hit: "", detail: `=stale-${reason}` });
  }
});

test("stale content says its age and why it is stale, each reason in other words", () => {
  const warnings = REASONS.map((reason) => outcomeHeaders({ kind: "stale", reason, ageS: 9 }));
  for (const headers of warnings) {
    assert.equal(headers["Age"], "9");
    assert.match(headers["Warning"] ?? "", /confirmed 9 s ago/);
  }
  assert.equal(new Set(warnings.map((headers) => headers["Warning"])).size, REASONS.length);
});
