import assert from "node:assert/strict";
import { test } from "node:test";
import { digest } from "../../../test/contracts/catalog/samples.ts";
import { groupOf, inOrder, type Weighed, worthOf } from "./choose.ts";

const HOUR_MS = 60 * 60_000;
const MIB = 1024 * 1024;

function weighed(differs: Partial<Weighed>): Weighed {
  return { idleMs: HOUR_MS, shareBytes: MIB, refetch: "easy", isUnderWay: false, ...differs };
}

test("the longer unused one goes first; bytes and the price of a pull decide among those of one age", () => {
  const old = weighed({ idleMs: 10 * HOUR_MS });
  const large = weighed({ shareBytes: 1_000 * MIB });
  const counted = weighed({ refetch: "counted" });
  assert.deepEqual(inOrder([counted, weighed({}), large, old]), [old, large, weighed({}), counted]);
  const oldCounted = weighed({ idleMs: 3 * HOUR_MS, refetch: "counted" });
  assert.deepEqual(inOrder([weighed({}), oldCounted]), [oldCounted, weighed({})]);
  assert.deepEqual(inOrder([large, old]), [old, large], "no size outweighs ten times the age");
});

test("what is under way, or cannot be had again, is of a later group whatever else is said of it", () => {
  assert.deepEqual(
    [
      weighed({}),
      weighed({ refetch: "counted" }),
      weighed({ refetch: "unreachable" }),
      weighed({ refetch: "gone" }),
    ].map(groupOf),
    ["ready", "ready", "unreachable", "gone"],
  );
  assert.equal(groupOf(weighed({ refetch: "gone", isUnderWay: true })), "under way");
});

test("bytes come back with the last who has them, and are shared out until then", () => {
  const own = { digest: digest("own"), size: 100, leaves: 1, links: 1, registryLinks: 1 };
  const both = { digest: digest("both"), size: 10, leaves: 2, links: 2, registryLinks: 2 };
  const shared = { digest: digest("shared"), size: 40, leaves: 1, links: 4, registryLinks: 1 };
  assert.deepEqual(worthOf([own, both, shared]), { bytes: 110, registryBytes: 150, shareBytes: 120 });
  const gone = () => ({ all: 3, registry: 0 });
  assert.deepEqual(worthOf([shared], gone), { bytes: 40, registryBytes: 40, shareBytes: 40 });
});
