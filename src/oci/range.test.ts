import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as fc from "fast-check";
import { nearly, prove } from "../../test/support/property.ts";
import { RANGES_MAX, type RangeRequest, type Span, contentRange, parseContentRange, parseRange } from "./range.ts";

const WHOLE: RangeRequest = { kind: "whole" };
const UNSATISFIABLE: RangeRequest = { kind: "unsatisfiable" };

/** Which bytes one well-formed range means, byte by byte, straight from RFC 9110, section 14.1.2. */
function meant({ first, last }: { first?: number; last?: number }, size: number): number[] {
  const all = Array.from({ length: size }, (_, index) => index);
  if (first === undefined) return last === undefined || last === 0 ? [] : all.slice(-last);
  return all.filter((index) => index >= first && (last === undefined || index <= last));
}

function spansOf(request: RangeRequest): readonly Span[] {
  return request.kind === "one" ? [request] : request.kind === "many" ? request.ranges : [];
}

const bytesOf = ({ start, end }: Span) => Array.from({ length: end - start + 1 }, (_, index) => start + index);

const position = fc.nat(40);
const spec = fc.oneof(
  fc.tuple(position, position).map(([a, b]) => ({ first: Math.min(a, b), last: Math.max(a, b) })),
  position.map((first) => ({ first })),
  position.map((last) => ({ last })),
);
const blank = fc.stringMatching(/^[ \t]{0,2}$/);
const unit = fc.mixedCase(fc.constant("bytes"));

suite("a Range header", () => {
  test("means the bytes that RFC 9110 says, whatever the blanks, empty elements and case", () => {
    prove(
      fc.property(
        fc.array(spec, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 30 }),
        blank,
        unit,
        (specs, size, gap, name) => {
          const texts = specs.map((one) => `${"first" in one ? one.first : ""}-${"last" in one ? one.last : ""}`);
          const expected = specs.map((one) => meant(one, size)).filter((bytes) => bytes.length > 0);
          const got = parseRange(`${gap}${name}=${gap},${texts.join(`${gap},${gap}`)}${gap},`, size);
          if (expected.length === 0) return assert.deepEqual(got, UNSATISFIABLE);
          if (expected.length > 1 && got.kind === "whole") {
            const shares = expected.filter((one) =>
              expected.some((other) => other !== one && other.some((byte) => one.includes(byte))),
            );
            return assert.ok(shares.length > 2, "ignored without a reason");
          }
          assert.equal(got.kind, expected.length === 1 ? "one" : "many");
          assert.deepEqual(spansOf(got).map(bytesOf), expected);
        },
      ),
    );
  });

  test("never throws and never leaves the representation, whatever it says", () => {
    const almost = nearly(["bytes=0-99", "bytes=5-, -7, 20-30", "bytes=9007199254740991-"]);
    const garbage = fc.oneof(fc.string(), fc.stringMatching(/^bytes=[-0-9, \tx]{0,40}$/), almost);
    prove(
      fc.property(garbage, fc.maxSafeNat(), (header, size) => {
        for (const { start, end } of spansOf(parseRange(header, size))) {
          assert.ok(Number.isSafeInteger(start) && start >= 0 && start <= end && end < size);
        }
      }),
    );
  });

  test("is ignored where it is malformed, of another unit, or absent", () => {
    const malformed = [
      "",
      "bytes",
      "bytes=",
      "bytes=,",
      "bytes=-",
      "bytes=5",
      "bytes=5-4",
      "bytes=a-b",
      "bytes=1-2-3",
      "bytes=+1-2",
    ];
    const others = [
      "bytes =0-1",
      "items=0-1",
      "bytes=0x1-2",
      "bytes=1.5-2",
      "bytes=0-1;x",
      "bytes=0-1, 9-8",
      "bytes=١-٢",
    ];
    for (const header of [undefined, ...malformed, ...others]) assert.deepEqual(parseRange(header, 100), WHOLE, header);
  });

  test("cannot be satisfied beyond the end, nor by a suffix of nothing", () => {
    for (const header of ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=100-,-0"]) {
      assert.deepEqual(parseRange(header, 100), UNSATISFIABLE, header);
    }
    assert.deepEqual(parseRange("bytes=0-", 0), UNSATISFIABLE);
    assert.deepEqual(parseRange("bytes=99-,100-", 100), { kind: "one", start: 99, end: 99 });
  });

  test("gets the whole of an empty representation for any suffix, since no 206 could say it", () => {
    assert.deepEqual(parseRange("bytes=-5", 0), WHOLE);
  });

  test("may have any number of digits", () => {
    const huge = "9".repeat(5000);
    assert.deepEqual(parseRange(`bytes=1-${huge}`, 100), { kind: "one", start: 1, end: 99 });
    assert.deepEqual(parseRange(`bytes=-${huge}`, 100), { kind: "one", start: 0, end: 99 });
    assert.deepEqual(parseRange(`bytes=${huge}-`, 100), UNSATISFIABLE);
    assert.deepEqual(parseRange("bytes=9007199254740993-9007199254740992", 100), WHOLE);
    assert.deepEqual(parseRange("bytes=0000000000000000000005-6", 100), { kind: "one", start: 5, end: 6 });
    assert.deepEqual(parseRange("bytes=6-0000000000000000000005", 100), WHOLE);
  });

  test("may name many ranges, in the order that was asked", () => {
    const got = parseRange("bytes=50-59, 0-9,-5", 100);
    const ranges = [
      { start: 50, end: 59 },
      { start: 0, end: 9 },
      { start: 95, end: 99 },
    ];
    assert.deepEqual(got, { kind: "many", ranges });
  });

  test("is ignored with too many ranges, or more than two that overlap", () => {
    const ranges = (count: number) =>
      Array.from({ length: count }, (_, index) => `${index * 2}-${index * 2}`).join(",");
    assert.equal(spansOf(parseRange(`bytes=${ranges(RANGES_MAX)}`, 1000)).length, RANGES_MAX);
    assert.deepEqual(parseRange(`bytes=${ranges(RANGES_MAX + 1)}`, 1000), WHOLE);
    assert.equal(parseRange("bytes=0-10,5-15", 100).kind, "many");
    assert.deepEqual(parseRange("bytes=0-10,5-15,10-20", 100), WHOLE);
    assert.deepEqual(parseRange("bytes=0-,0-,0-", 100), WHOLE);
  });
});

suite("a Content-Range header", () => {
  const answer = fc
    .tuple(fc.maxSafeNat(), fc.maxSafeNat(), fc.maxSafeNat())
    .map((all) => all.toSorted((a, b) => a - b) as [number, number, number])
    .filter(([, end, size]) => end < size);

  test("is read back as it was written", () => {
    prove(
      fc.property(answer, ([start, end, size]) => {
        assert.deepEqual(parseContentRange(contentRange(start, end, size)), { start, end, size });
        assert.deepEqual(parseContentRange(`Bytes ${start}-${end}/*`), { start, end, size: undefined });
      }),
    );
  });

  test("is undefined, and no error, where it cannot be true", () => {
    const almost = nearly(["bytes 0-9/10", "bytes 5-9007199254740990/*", "bytes 100-199/200"]);
    const impossible = ["bytes 5-4/10", "bytes 0-10/10", "bytes 0-9/9007199254740993", "bytes 0-9007199254740993/*"];
    const other = [
      "",
      "bytes */10",
      "bytes 0-9",
      "bytes -9/10",
      "bytes 0-/10",
      "items 0-9/10",
      "bytes=0-9/10",
      "bytes 0-9/10/11",
    ];
    for (const header of [undefined, ...impossible, ...other])
      assert.equal(parseContentRange(header), undefined, header);
    prove(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^bytes [-0-9/* ]{0,20}$/), almost), (header) => {
        const got = parseContentRange(header);
        if (got === undefined) return;
        assert.ok(
          Number.isSafeInteger(got.start) && got.start >= 0 && got.start <= got.end && got.end < (got.size ?? Infinity),
        );
      }),
    );
  });
});
