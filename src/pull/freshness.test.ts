import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import type { Revalidate } from "../config/config.ts";
import type { UpstreamErrorKind } from "../upstream/upstream.ts";
import { afterFailure, freshForS, SPARING_FACTOR, sparing, TagPolicies, tagVerdict } from "./freshness.ts";

const NOW_MS = 1_000_000;
const AFTER: Revalidate = { kind: "after", ms: 60_000 };
const KINDS: readonly Revalidate[] = [AFTER, { kind: "always" }, { kind: "never" }, { kind: "offline" }];

test("a tag that is not held is fetched, except where upstream may not be asked", () => {
  for (const revalidate of KINDS) {
    assert.equal(tagVerdict(undefined, revalidate, NOW_MS), revalidate.kind === "offline" ? "refuse" : "fetch");
  }
});

test("a held tag is fresh for as long as its rule says, to the millisecond", () => {
  assert.equal(tagVerdict(NOW_MS, AFTER, NOW_MS), "fresh");
  assert.equal(tagVerdict(NOW_MS - 59_999, AFTER, NOW_MS), "fresh");
  assert.equal(tagVerdict(NOW_MS - 60_000, AFTER, NOW_MS), "revalidate");
  assert.equal(tagVerdict(NOW_MS, { kind: "always" }, NOW_MS), "revalidate");
  for (const kind of ["never", "offline"] as const) assert.equal(tagVerdict(1, { kind }, NOW_MS), "fresh");
  // Where nobody knows that upstream has ever said it.
  assert.equal(tagVerdict(0, { kind: "never" }, NOW_MS), "revalidate");
  assert.equal(tagVerdict(0, { kind: "offline" }, NOW_MS), "fresh");
});

test("a clock that was set back does not keep a tag fresh, and a revalidation time of 0 never does", () => {
  assert.equal(tagVerdict(NOW_MS + 1, AFTER, NOW_MS), "revalidate");
  assert.equal(tagVerdict(NOW_MS, { kind: "after", ms: 0 }, NOW_MS), "revalidate");
});

test("who wants a later confirmation has upstream asked, but never where it may not be", () => {
  for (const revalidate of [AFTER, { kind: "never" }] as const) {
    assert.equal(tagVerdict(NOW_MS - 10, revalidate, NOW_MS, NOW_MS - 10), "fresh");
    assert.equal(tagVerdict(NOW_MS - 11, revalidate, NOW_MS, NOW_MS - 10), "revalidate");
  }
  assert.equal(tagVerdict(0, { kind: "offline" }, NOW_MS, NOW_MS), "fresh");
});

test("how long an answer stays fresh agrees with the verdict, at any time", () => {
  prove(
    fc.property(fc.nat(1e9), fc.nat(1e6), fc.integer({ min: -1e6, max: 1e6 }), (confirmed, ms, age) => {
      const revalidate = { kind: "after", ms } as const;
      const left = freshForS(confirmed, revalidate, confirmed + age);
      assert.ok(left !== undefined && left >= 0 && Number.isInteger(left));
      if (tagVerdict(confirmed, revalidate, confirmed + age) === "fresh") assert.ok(left > 0);
      if (left > 0 && age >= 0) assert.equal(tagVerdict(confirmed, revalidate, confirmed + age), "fresh");
    }),
  );
  assert.equal(freshForS(0, { kind: "never" }, NOW_MS), undefined);
});

test("what was public is served whatever upstream says now; what was private needs upstream's leave; 404 obeys the policy", () => {
  const facts = { withCredentials: false, whenDeleted: "serve" } as const;
  const always: readonly UpstreamErrorKind[] = [
    "unreachable",
    "timeout",
    "server-error",
    "rate-limited",
    "unavailable",
    "quota",
    "untrusted",
    "protocol",
    "overloaded",
    "aborted",
  ];
  for (const kind of always)
    assert.equal(afterFailure(kind, { withCredentials: true, whenDeleted: "deny" }), "serve-stale");
  for (const kind of ["unauthorized", "forbidden"] as const) {
    assert.equal(afterFailure(kind, facts), "serve-stale");
    assert.equal(afterFailure(kind, { ...facts, withCredentials: true }), "pass-on");
  }
  assert.equal(afterFailure("not-found", facts), "serve-stale");
  assert.equal(afterFailure("not-found", { ...facts, whenDeleted: "deny" }), "pass-on");
});

test("the first rule that matches decides; without one upstream is always asked", () => {
  const rules = [
    { match: "v", revalidate: { kind: "never" } },
    { match: "", revalidate: AFTER },
  ] as const;
  const policies = new TagPolicies(rules, (glob) => (tag) => tag.startsWith(glob));
  assert.equal(policies.for("v1").kind, "never");
  assert.equal(policies.for("latest").kind, "after");
  assert.equal(new TagPolicies([], () => () => true).for("x").kind, "always");
});

test("a confirmation from the future does not do for whoever wants a late one, however the tag is kept", () => {
  assert.equal(tagVerdict(2_000, { kind: "never" }, 1_000, 500), "revalidate");
  assert.equal(tagVerdict(2_000, { kind: "never" }, 1_000), "fresh");
  assert.equal(tagVerdict(800, { kind: "never" }, 1_000, 500), "fresh");
});

test("few pulls left stretch the time after which a tag is asked about, and nothing else", () => {
  assert.deepEqual(sparing(AFTER, "low"), { kind: "after", ms: 60_000 * SPARING_FACTOR });
  for (const quota of ["plenty", "spent"] as const) assert.deepEqual(sparing(AFTER, quota), AFTER);
  for (const kind of ["always", "never", "offline"] as const) assert.deepEqual(sparing({ kind }, "low"), { kind });
});
