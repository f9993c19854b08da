import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as fc from "fast-check";
import { nearly, prove } from "../../../test/support/property.ts";
import { interpolate } from "./interpolate.ts";

const VARIABLES = { TAG: "1.27", EMPTY: "", REGISTRY: "ghcr.io" };

suite("Compose's variables", () => {
  test("get their values as Compose gives them", () => {
    const expected: Record<string, string> = {
      "nginx:$TAG": "nginx:1.27",
      "nginx:${TAG}": "nginx:1.27",
      "${REGISTRY}/app:${TAG}-alpine": "ghcr.io/app:1.27-alpine",
      "nginx:${NONE:-1.2}": "nginx:1.2",
      "nginx:${NONE-1.2}": "nginx:1.2",
      "nginx:${EMPTY:-1.2}": "nginx:1.2",
      "nginx:${EMPTY-1.2}": "nginx:",
      "nginx:${TAG:-1.2}": "nginx:1.27",
      "nginx:${NONE:-${TAG}}": "nginx:1.27",
      "nginx:${NONE:-${NONE:-${TAG}-x}}": "nginx:1.27-x",
      "nginx:${TAG:?must be set}": "nginx:1.27",
      "nginx${TAG:+:}${TAG}": "nginx:1.27",
      "nginx${NONE:+:x}": "nginx",
      "nginx${EMPTY+:x}": "nginx:x",
      cost$$TAG: "cost$TAG",
      a$: "a$",
      "a${": "a${",
      "a${TAG": "a${TAG",
      "a${1}": "a${1}",
      "a${TAG!x}": "a${TAG!x}",
      plain: "plain",
      "": "",
    };
    const actual = Object.keys(expected).map((text) => [text, interpolate(text, VARIABLES).text]);
    assert.deepEqual(Object.fromEntries(actual), expected);
  });

  test("without a value are named", () => {
    assert.deepEqual(interpolate("${A}:$B:${C:?no}:${TAG}:${D:-${E}}", VARIABLES).missing, ["A", "B", "C", "E"]);
    assert.deepEqual(interpolate("${toString}", {}).missing, ["toString"]);
  });

  test("in any text end, and add nothing to one without dollars", () => {
    prove(
      fc.property(nearly(["nginx:${TAG:-${NONE-1}}", "$$TAG${EMPTY:+x}", "${".repeat(30)]), (text) => {
        const { text: out } = interpolate(text, VARIABLES);
        if (!text.includes("$")) assert.equal(out, text);
      }),
    );
    // Deeper than anybody writes.
    assert.ok(interpolate(`${"${A:-".repeat(5_000)}x${"}".repeat(5_000)}`, {}).text.length < 100_000);
  });
});
