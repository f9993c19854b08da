import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { suite, test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import { digestAlgorithm, digestHex, digestOf, finishDigest, hasherFor, parseDigest } from "./digest.ts";

const character = fc.nat(0x2fff).map((code) => String.fromCharCode(code));
const algorithm = fc.constantFrom("sha256" as const, "sha512" as const);
const bytes = fc.uint8Array({ maxLength: 2000 });

suite("a digest", () => {
  test("of any bytes is one that we accept, with its parts as they were", () => {
    prove(
      fc.property(bytes, algorithm, (content, name) => {
        const hex = createHash(name).update(content).digest("hex");
        const digest = digestOf(content, name);
        assert.equal(digest, `${name}:${hex}`);
        assert.equal(parseDigest(digest), digest);
        assert.equal(digestAlgorithm(digest), name);
        assert.equal(digestHex(digest), hex);
      }),
    );
  });

  test("is the same whether the bytes come whole or in pieces", () => {
    prove(
      fc.property(fc.array(bytes, { maxLength: 5 }), algorithm, (pieces, name) => {
        const whole = digestOf(Buffer.concat(pieces), name);
        const hash = hasherFor(whole);
        for (const piece of pieces) hash.update(piece);
        assert.equal(finishDigest(name, hash), whole);
      }),
    );
  });

  test("is refused as soon as one character is changed, added or missing", () => {
    const edit = fc.record({
      at: fc.nat(134),
      remove: fc.nat(2),
      insert: fc.string({ maxLength: 2, unit: character }),
    });
    prove(
      fc.property(bytes, algorithm, edit, (content, name, { at, remove, insert }) => {
        const digest: string = digestOf(content, name);
        const edited = digest.slice(0, at) + insert + digest.slice(at + remove);
        const isRight = /^sha256:[0-9a-f]{64}(?![^])|^sha512:[0-9a-f]{128}(?![^])/.test(edited);
        assert.equal(parseDigest(edited), isRight ? edited : undefined);
      }),
    );
  });

  test("is refused in capitals, of other algorithms, with the other's length, and around line ends", () => {
    const hex = "0123456789abcdef".repeat(4);
    const wrong = [
      "",
      "sha256",
      "sha256:",
      hex,
      `:${hex}`,
      `sha256:${hex.toUpperCase()}`,
      `SHA256:${hex}`,
      `sha256:${hex}${hex}`,
      `sha512:${hex}`,
      `sha384:${hex}${hex.slice(32)}`,
      `md5:${hex.slice(32)}`,
      `blake3:${hex}`,
      `sha256+b64:${hex}`,
      `sha256:${hex}\n`,
      ` sha256:${hex}`,
      `sha256:../${hex.slice(3)}`,
      `sha256:${hex.slice(1)}\u{ff10}`,
    ];
    for (const text of wrong) assert.equal(parseDigest(text), undefined, text);
  });
});
