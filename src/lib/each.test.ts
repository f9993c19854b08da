import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { suite, test } from "node:test";
import { eachOf } from "./each.ts";

suite("work on all of them", () => {
  test("is done in order, so many at once and no more", async () => {
    let [under, most] = [0, 0];
    const begun: number[] = [];
    await eachOf([1, 2, 3, 4, 5], 2, async (item) => {
      begun.push(item);
      under += 1;
      most = Math.max(most, under);
      await turn();
      under -= 1;
    });
    assert.deepEqual(begun, [1, 2, 3, 4, 5]);
    assert.equal(most, 2);
    await eachOf([], 3, async () => assert.fail());
  });

  test("ends with the first failure, when what was under way has ended", async () => {
    const ended: number[] = [];
    const failure = new Error("no");
    const working = eachOf([1, 2, 3, 4], 2, async (item) => {
      if (item === 1) throw failure;
      await turn();
      ended.push(item);
    });
    await assert.rejects(working, failure);
    assert.deepEqual(ended, [2]);
  });
});
