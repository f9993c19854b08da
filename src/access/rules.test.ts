import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import type { AccessRule } from "../config/config.ts";
import { Rules, type Wanted } from "./rules.ts";

function rule(differs: Partial<AccessRule>): AccessRule {
  return { who: "*", registry: undefined, repository: "*", tag: "*", allow: true, minAgeMs: 0, ...differs };
}

function wanted(differs: Partial<Wanted> = {}): Wanted {
  return { registryId: "dockerhub", repository: "library/nginx", tags: ["1.27"], ...differs };
}

function mayPull(rules: readonly AccessRule[], who: string, what: Wanted): boolean {
  return new Rules(rules).verdict(who, what).isAllowed;
}

test("without a rule that matches, whoever is in may pull", () => {
  assert.deepEqual(new Rules([]).verdict("me", wanted()), { isAllowed: true, rule: undefined, minAgeMs: 0 });
  assert.ok(mayPull([rule({ who: "ci-*", allow: false })], "me", wanted()));
});

test("the first rule that matches decides, and is named", () => {
  const rules = new Rules([
    rule({ who: "ci-*", registry: "dockerhub", repository: "library/**" }),
    rule({ who: "ci-*", allow: false }),
  ]);
  assert.deepEqual(rules.verdict("ci-1", wanted()), { isAllowed: true, rule: 1, minAgeMs: 0 });
  assert.deepEqual(rules.verdict("ci-1", wanted({ registryId: "ghcr" })), { isAllowed: false, rule: 2, minAgeMs: 0 });
  assert.deepEqual(rules.verdict("ci-1", wanted({ repository: "evil/nginx" })), {
    isAllowed: false,
    rule: 2,
    minAgeMs: 0,
  });
  assert.deepEqual(rules.verdict("me", wanted({ repository: "evil/nginx" })), {
    isAllowed: true,
    rule: undefined,
    minAgeMs: 0,
  });
});

test("one star stays within a component of a repository's name, two do not, one alone is everything", () => {
  const denied = (repository: string, name: string) =>
    !mayPull([rule({ repository, allow: false })], "me", wanted({ repository: name }));
  assert.ok(denied("org/*", "org/app"));
  assert.ok(!denied("org/*", "org/team/app"));
  assert.ok(denied("org/**", "org/team/app"));
  assert.ok(denied("*", "org/team/app"));
  assert.ok(!denied("org/**", "organisation/app"));
});

test("a digest may be pulled where one of the tags that lead to it may be", () => {
  const rules = [rule({ tag: "v*" }), rule({ allow: false })];
  assert.ok(mayPull(rules, "me", wanted({ tags: ["edge", "v1"] })));
  assert.ok(!mayPull(rules, "me", wanted({ tags: ["edge", "nightly"] })));
});

test("a digest that no tag is known to lead to gets around no rule about tags", () => {
  assert.ok(!mayPull([rule({ tag: "v*" }), rule({ allow: false })], "me", wanted({ tags: [] })));
  assert.ok(!mayPull([rule({ tag: "nightly-*", allow: false })], "me", wanted({ tags: [] })));
  assert.ok(mayPull([rule({ tag: "nightly-*", allow: false })], "me", wanted({ tags: ["1.27"] })));
});

test("tags are asked for only where a rule is about them, in this repository", () => {
  const rules = new Rules([rule({ repository: "org/**", tag: "v*" }), rule({ allow: false })]);
  assert.ok(rules.askForTags({ registryId: "ghcr", repository: "org/app" }));
  assert.ok(!rules.askForTags({ registryId: "ghcr", repository: "library/app" }));
});

const NAME = fc.constantFrom("a", "b", "ci-1");
const RULE = fc.record({
  who: fc.constantFrom("*", "a", "ci-*"),
  registry: fc.constantFrom(undefined, "dockerhub", "ghcr"),
  repository: fc.constantFrom("*", "library/*", "org/**"),
  tag: fc.constantFrom("*", "v*", "1"),
  allow: fc.boolean(),
  minAgeMs: fc.constantFrom(0, 0, 10, 20),
});
const WANTED = fc.record({
  registryId: fc.constantFrom("dockerhub", "ghcr"),
  repository: fc.constantFrom("library/nginx", "org/team/app"),
  tags: fc.array(fc.constantFrom("v1", "1", "latest"), { maxLength: 3 }),
});

test("what is allowed may have to be older, by the tag that wants the least", () => {
  const rules = new Rules([rule({ tag: "v*", minAgeMs: 10 }), rule({ tag: "1", minAgeMs: 20 }), rule({ who: "me" })]);
  const age = (tags: readonly string[]) => rules.verdict("ci-1", wanted({ tags })).minAgeMs;
  assert.deepEqual(
    [age(["v1"]), age(["1"]), age(["1", "v1"]), age(["v1", "1"]), age(["v1", "edge"])],
    [10, 20, 10, 10, 0],
  );
  // Nobody knows that it is none of those tags.
  assert.equal(age([]), 10);
});

test("a rule about age that names another way to the same upstream counts as well", () => {
  const rules = new Rules([rule({ registry: "ghcr", minAgeMs: 20 }), rule({ minAgeMs: 10 })]);
  const lscr = wanted({ registryId: "lscr" });
  assert.deepEqual(rules.verdictWithTwins("me", lscr, ["ghcr"]), { isAllowed: true, rule: 1, minAgeMs: 20 });
  assert.deepEqual(rules.verdictWithTwins("me", lscr, []), { isAllowed: true, rule: 2, minAgeMs: 10 });
});

test("a digest is never allowed where none of its tags is", () => {
  prove(
    fc.property(fc.array(RULE, { maxLength: 6 }), NAME, WANTED, (list, who, what) => {
      const rules = new Rules(list);
      const byTag = what.tags.map((tag) => rules.verdict(who, { ...what, tags: [tag] }).isAllowed);
      if (what.tags.length > 0) assert.equal(rules.verdict(who, what).isAllowed, byTag.includes(true));
      // Nor earlier than by one of its tags.
      const ages = what.tags
        .map((tag) => rules.verdict(who, { ...what, tags: [tag] }))
        .flatMap(({ isAllowed, minAgeMs }) => (isAllowed ? minAgeMs : []));
      if (ages.length > 0) assert.equal(rules.verdict(who, what).minAgeMs, Math.min(...ages));
      // Where all tags there can be are forbidden, an unknown one is.
      const all = ["v1", "1", "latest"].map((tag) => rules.verdict(who, { ...what, tags: [tag] }).isAllowed);
      if (what.tags.length === 0 && !all.includes(true)) assert.ok(!rules.verdict(who, what).isAllowed);
    }),
  );
});

test("what no tag of a repository may be pulled by is forbidden by its name, and nothing else", () => {
  const forbids = (...rules: readonly Partial<AccessRule>[]) => new Rules(rules.map(rule)).forbids("me", wanted());
  assert.equal(forbids(), undefined);
  assert.equal(forbids({ allow: false }), 1);
  assert.equal(forbids({ tag: "v*", allow: false }, { allow: false }), 2);
  assert.equal(forbids({ tag: "v*" }, { allow: false }), undefined);
  assert.equal(forbids({ tag: "v*", allow: false }), undefined);
  assert.equal(forbids({ who: "ci" }, { registry: "ghcr" }, { repository: "library/*", allow: false }), 3);
});

test("what is forbidden by a repository's name is so by each of its tags", () => {
  const rules = fc.array(
    fc.record({ who: fc.constantFrom("*", "me", "ci"), tag: fc.constantFrom("*", "v*", "1"), allow: fc.boolean() }),
    { maxLength: 5 },
  );
  prove(
    fc.property(rules, fc.subarray(["v1", "1", "edge"]), (some, tags) => {
      const its = new Rules(some.map(rule));
      if (its.forbids("me", wanted()) !== undefined) assert.ok(!its.verdict("me", wanted({ tags })).isAllowed);
    }),
  );
});
