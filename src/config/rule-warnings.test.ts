import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import { Rules } from "../access/rules.ts";
import type { AccessRule } from "./config.ts";
import { ruleWarnings } from "./rule-warnings.ts";

const RULE: AccessRule = { who: "*", registry: undefined, repository: "*", tag: "*", allow: true, minAgeMs: 0 };
const KNOWN = { names: ["ci-1", "me", "lab"], areAll: true };

function warned(...rules: Partial<AccessRule>[]): string[] {
  return ruleWarnings(
    rules.map((rule) => ({ ...RULE, ...rule })),
    KNOWN,
  );
}

test("a rule for nobody that there is", () => {
  assert.deepEqual(warned({ who: "ci-*" }, { who: "me", allow: false }, { who: "anon*", allow: false }), []);
  const [message, ...more] = warned({ who: "ops-*" });
  assert.match(message ?? "", /^rule 1 of access\.rules is for nobody: "ops-\*" is the name of no user/);
  assert.deepEqual(more, []);
  const others = { ...KNOWN, areAll: false };
  assert.deepEqual(ruleWarnings([{ ...RULE, who: "ops-*" }], others), []);
});

test("a rule that an earlier one leaves nothing to", () => {
  const never = (later: number, earlier: number) => [
    `rule ${later} of access.rules never decides: rule ${earlier} fits whatever it fits`,
  ];
  assert.deepEqual(warned({}, { who: "me" }), never(2, 1));
  assert.deepEqual(warned({ who: "ci-*" }, { who: "me" }, { who: "ci-1", repository: "a/*" }), never(3, 1));
  assert.deepEqual(warned({ registry: "ghcr" }, { registry: "ghcr", repository: "a/b" }), never(2, 1));
  assert.deepEqual(warned({ repository: "library/*" }, { repository: "library/nginx", tag: "1" }), never(2, 1));
  assert.deepEqual(warned({ tag: "v*" }, { tag: "v1" }), never(2, 1));
  assert.deepEqual(warned({ tag: "v*", allow: false }, { tag: "v1", allow: false }), never(2, 1));
});

test("no rule that has something left to decide", () => {
  assert.deepEqual(warned({ who: "me" }, {}), []);
  assert.deepEqual(warned({ who: "ci-*" }, { who: "*" }), []);
  assert.deepEqual(warned({ registry: "ghcr" }, {}), []);
  assert.deepEqual(warned({ registry: "ghcr" }, { registry: "dockerhub" }), []);
  assert.deepEqual(warned({ repository: "library/*" }, { repository: "library/**" }), []);
  assert.deepEqual(warned({ repository: "library/*" }, { repository: "library/a/b" }), []);
  assert.deepEqual(warned({ tag: "v*" }, {}), []);
  // It forbids digests that no tag leads to.
  assert.deepEqual(warned({ tag: "v*" }, { tag: "v1", allow: false }), []);
  assert.deepEqual(warned({ tag: "v*" }, { tag: "v1", minAgeMs: 1 }), []);
});

test("whatever the rules, without those that never decide every verdict is what it was", () => {
  const rule = fc.record({
    who: fc.constantFrom("*", "ci-*", "ci-1", "me", "{me,ci-1}"),
    registry: fc.constantFrom(undefined, "hub", "ghcr"),
    repository: fc.constantFrom("*", "a/*", "a/**", "a/b", "a/b/c"),
    tag: fc.constantFrom("*", "v*", "v1", "v[0-9]", "w"),
    allow: fc.boolean(),
    minAgeMs: fc.constantFrom(0, 1),
  });
  const wanted = fc.record({
    registryId: fc.constantFrom("hub", "ghcr"),
    repository: fc.constantFrom("a/b", "a/b/c", "x"),
    tags: fc.uniqueArray(fc.constantFrom("v1", "v2", "w"), { maxLength: 2 }),
  });
  prove(
    fc.property(fc.array(rule, { maxLength: 5 }), fc.constantFrom("ci-1", "me", "x"), wanted, (rules, who, what) => {
      const idle = new Set(
        ruleWarnings(rules, { names: [], areAll: false }).map((text) => Number(/^rule (\d+)/.exec(text)?.[1])),
      );
      const left = rules.filter((_, index) => !idle.has(index + 1));
      const verdictOf = (those: readonly AccessRule[]) => {
        const { isAllowed, minAgeMs } = new Rules(those).verdictWithTwins(who, what, ["hub", "ghcr"]);
        return { isAllowed, minAgeMs };
      };
      assert.deepEqual(verdictOf(left), verdictOf(rules));
    }),
  );
});
