import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import { DURATION_MS_MAX, formatDuration, formatSize, parseDuration, parseSize, shown } from "./units.ts";
import { ValueError } from "./value-error.ts";

/** What is said about a text that is refused. */
function refusal(read: () => unknown): { message: string; hint: string } {
  try {
    read();
  } catch (error) {
    if (error instanceof ValueError) return { message: error.message, hint: error.hint ?? "" };
    throw error;
  }
  assert.fail("the text was accepted");
}

describe("durations", () => {
  it("are a whole number with its unit", () => {
    const second = 1000;
    const cases: [string, number][] = [
      ["500ms", 500],
      ["0s", 0],
      ["60s", 60 * second],
      ["15m", 15 * 60 * second],
      ["24h", 24 * 3600 * second],
      ["30d", 30 * 24 * 3600 * second],
      ["2w", 14 * 24 * 3600 * second],
    ];
    for (const [text, expected] of cases) assert.equal(parseDuration(text), expected, text);
  });

  it("without a unit are refused with what may have been meant", () => {
    const { message, hint } = refusal(() => parseDuration("60"));
    assert.equal(message, '"60" has no unit');
    assert.equal(hint, "write 60s for seconds or 60m for minutes");
  });

  it("of other shapes are refused", () => {
    for (const text of ["", " 60s", "60 s", "1.5h", "-1s", "1e3s", "60S", "5y", "1h30m", "s", "٣s"]) {
      assert.throws(() => parseDuration(text), ValueError, JSON.stringify(text));
    }
  });

  it("end at a hundred years", () => {
    assert.equal(parseDuration("36500d"), DURATION_MS_MAX);
    assert.throws(() => parseDuration("36501d"), ValueError);
    assert.throws(() => parseDuration("999999999999999w"), ValueError);
  });

  it("are written so that they read back as the same", () => {
    prove(
      fc.property(fc.integer({ min: 0, max: DURATION_MS_MAX }), (durationMs) => {
        assert.equal(parseDuration(formatDuration(durationMs)), durationMs);
      }),
    );
  });

  it("are written in the largest unit that fits", () => {
    assert.equal(formatDuration(90_000), "90s");
    assert.equal(formatDuration(60_000), "1m");
    assert.equal(formatDuration(14 * 24 * 3_600_000), "14d");
    assert.equal(formatDuration(0), "0s");
    assert.equal(formatDuration(1), "1ms");
  });
});

describe("sizes", () => {
  it("distinguish powers of 1024 from powers of 1000", () => {
    const cases: [string, number][] = [
      ["1024B", 1024],
      ["1KiB", 1024],
      ["1kB", 1000],
      ["1KB", 1000],
      ["500MB", 500_000_000],
      ["200GiB", 200 * 1024 ** 3],
      ["2 TB", 2_000_000_000_000],
      ["1.5GiB", 1536 * 1024 ** 2],
      ["7PiB", 7 * 1024 ** 5],
    ];
    for (const [text, expected] of cases) assert.equal(parseSize(text), expected, text);
  });

  it("with half a unit are refused with both things that may have been meant", () => {
    for (const text of ["200G", "200g", "200gb", "200Gb", "200gib"]) {
      const { message, hint } = refusal(() => parseSize(text));
      assert.equal(message, `"${text}" is ambiguous`);
      assert.equal(hint, "write 200GiB (1024^3 bytes each) or 200GB (1000^3 bytes each)");
    }
    assert.match(refusal(() => parseSize("200")).hint, /200B .* 200GiB/);
  });

  it("of other shapes are refused", () => {
    for (const text of ["", "GiB", "-1GiB", "1,5GiB", "1.GiB", ".5GiB", "1e3B", "0x10B", "10XB", "1GiB free", "10%"]) {
      assert.throws(() => parseSize(text), ValueError, JSON.stringify(text));
    }
  });

  it("are whole bytes that a number holds exactly", () => {
    assert.match(refusal(() => parseSize("0.1B")).message, /not a whole number of bytes/);
    assert.match(refusal(() => parseSize("0.3KiB")).message, /not a whole number of bytes/);
    assert.match(refusal(() => parseSize("8PiB")).message, /too large/);
  });

  it("are written so that they read back as the same", () => {
    const any = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
    const round = fc
      .tuple(fc.integer({ min: 0, max: 4000 }), fc.constantFrom(1000, 1024), fc.integer({ min: 0, max: 4 }))
      .map(([count, base, power]) => count * base ** power);
    prove(
      fc.property(fc.oneof(any, round), (bytes) => {
        assert.equal(parseSize(formatSize(bytes)), bytes);
      }),
    );
  });

  it("are written as people write them", () => {
    assert.equal(formatSize(1024 ** 3), "1GiB");
    assert.equal(formatSize(500_000_000), "500MB");
    assert.equal(formatSize(1000), "1kB");
    assert.equal(formatSize(1023), "1023B");
    assert.equal(formatSize(0), "0B");
  });
});

it("whatever text comes, it is a value or a refusal with a hint", () => {
  const digits = fc.stringMatching(/^[0-9.]{1,6} ?[a-zA-Z]{0,3}$/);
  prove(
    fc.property(fc.oneof(fc.string(), digits), (text) => {
      for (const parse of [parseDuration, parseSize]) {
        let value: number;
        try {
          value = parse(text);
        } catch (error) {
          assert.ok(error instanceof ValueError && error.hint !== undefined);
          continue;
        }
        assert.ok(Number.isSafeInteger(value) && value >= 0);
      }
    }),
  );
});

it("what a person wrote is shown in quotes, and cut where it is long", () => {
  assert.equal(shown('a"b\n'), String.raw`"a\"b\n"`);
  assert.ok(shown("x".repeat(10_000)).length < 100);
});
