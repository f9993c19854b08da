import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import { humanDuration, humanSize } from "./human.ts";

for (const [bytes, text] of [
  [0, "0 B"],
  [1023, "1023 B"],
  [1024, "1.0 KiB"],
  [1536, "1.5 KiB"],
  [10 * 1024, "10 KiB"],
  [1023.6 * 1024, "1.0 MiB"],
  [3_565_158, "3.4 MiB"],
  [41 * 1024 ** 3, "41 GiB"],
  [5 * 1024 ** 6, "5120 PiB"],
] as const) {
  test(`${bytes} bytes are shown as ${text}`, () => assert.equal(humanSize(bytes), text));
}

for (const [ms, text] of [
  [0, "0 ms"],
  [999, "999 ms"],
  [999.6, "1.0 s"],
  [1_000, "1.0 s"],
  [9_949, "9.9 s"],
  [9_950, "10 s"],
  [25_000, "25 s"],
  [59_600, "1 min"],
  [60_000, "1 min"],
  [125_000, "2 min 5 s"],
  [3_600_000, "1 h"],
  [12_000_000, "3 h 20 min"],
] as const) {
  test(`${ms} milliseconds are shown as ${text}`, () => assert.equal(humanDuration(ms), text));
}

const UNIT_BYTES: Record<string, number> = {
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
  PiB: 1024 ** 5,
};

test("a shown size is short and never off by more than a twentieth", () => {
  prove(
    fc.property(fc.nat({ max: 1024 ** 5 }), (bytes) => {
      const [number = "", unit = ""] = humanSize(bytes).split(" ");
      assert.ok(number.length <= 4, number);
      const shown = Number(number) * (UNIT_BYTES[unit] ?? NaN);
      assert.ok(Math.abs(shown - bytes) <= bytes / 20, `${bytes} shown as ${number} ${unit}`);
    }),
  );
});
