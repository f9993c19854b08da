import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { Rate } from "./rate.ts";

suite("a rate", () => {
  test("is that of the last seconds, whatever came before", () => {
    const rate = new Rate();
    assert.equal(rate.perSecond(0), 0);
    for (let ms = 0; ms < 10_000; ms += 100) rate.add(1_000, ms);
    assert.equal(rate.perSecond(9_999) > 9_000, true);
    for (let ms = 10_000; ms < 20_000; ms += 100) rate.add(10, ms);
    assert.ok(rate.perSecond(19_999) > 90 && rate.perSecond(19_999) < 110, String(rate.perSecond(19_999)));
  });

  test("falls to nothing when nothing comes any more", () => {
    const rate = new Rate();
    rate.add(1_000_000, 0);
    rate.add(1_000_000, 1_000);
    assert.equal(rate.perSecond(1_000), 2_000_000);
    for (let ms = 2_000; ms < 8_000; ms += 500) rate.perSecond(ms);
    assert.equal(rate.perSecond(8_000), 0);
  });

  test("is nothing where nobody has asked for it since the last came", () => {
    const rate = new Rate();
    for (let ms = 0; ms < 1_000; ms += 100) rate.add(1_000_000, ms);
    assert.equal(rate.perSecond(60_000), 0);
    rate.add(1_000, 61_000);
    assert.equal(rate.perSecond(62_000), 500);
  });
});
