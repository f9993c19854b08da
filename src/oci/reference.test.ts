import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import { digestOf } from "./digest.ts";
import {
  parseReference,
  parseRepositoryName,
  parseTag,
  referenceText,
  REPOSITORY_NAME_LENGTH_MAX,
  repositoryPath,
} from "./reference.ts";

const word = fc.stringMatching(/^[a-z0-9]{1,6}$/);
const separator = fc.constantFrom(".", "_", "__", "-", "--", "-----");
const component = fc
  .tuple(word, fc.array(fc.tuple(separator, word), { maxLength: 3 }))
  .map(([first, rest]) => first + rest.flat().join(""));
const name = fc.array(component, { minLength: 1, maxLength: 5 }).map((parts) => parts.join("/"));
/** Any characters, controls and beyond ASCII included. */
const wild = fc.string({ unit: fc.nat(0x2fff).map((code) => String.fromCharCode(code)) });
/** Near enough to names and tags that many are, and many just are not. */
const nearly = fc.stringMatching(/^[a-zA-Z0-9._/:@%\\-]{0,20}$/);
const text = fc.oneof(fc.string(), wild, nearly, name);

/** The same rule again, read character by character instead of by an expression. */
function isComponent(part: string): boolean {
  const separators = part.split(/[a-z0-9]+/);
  const inner = separators.slice(1, -1);
  const ends = [separators[0], separators.at(-1)];
  const isInner = (one: string) => one === "." || one === "_" || one === "__" || /^-+$/.test(one);
  return separators.length > 1 && ends.every((one) => one === "") && inner.every(isInner);
}

suite("a repository name", () => {
  test("is accepted in every form of the specification", () => {
    prove(fc.property(name, (one) => assert.equal(parseRepositoryName(one), one)));
  });

  test("is what the specification says, and nothing else", () => {
    prove(
      fc.property(text, (one) => {
        const isName = one.length <= REPOSITORY_NAME_LENGTH_MAX && one.split("/").every(isComponent);
        assert.equal(parseRepositoryName(one), isName ? one : undefined);
      }),
      1000,
    );
  });

  test("can lead nowhere but to a folder of its own in the store", () => {
    prove(
      fc.property(text, (one) => {
        const parsed = parseRepositoryName(one);
        if (parsed === undefined) return;
        // `_manifests` and its like are the store's own folders.
        for (const part of parsed.split("/")) assert.match(part, /^[a-z0-9]/);
        assert.doesNotMatch(parsed, /\.\.|[\\\0%:]|\/\//);
        const path = repositoryPath({ registryId: "x", serves: "docker.io", name: parsed });
        assert.equal(path, `docker.io/${one}`);
      }),
    );
  });

  test("has a limit of its length, and refusing an absurd one takes no time", () => {
    assert.notEqual(parseRepositoryName("a".repeat(REPOSITORY_NAME_LENGTH_MAX)), undefined);
    assert.equal(parseRepositoryName("a".repeat(REPOSITORY_NAME_LENGTH_MAX + 1)), undefined);
    assert.equal(parseRepositoryName("a-".repeat(5_000_000)), undefined);
    assert.equal(parseRepositoryName(`${"a__".repeat(80)}!`), undefined);
  });

  test("is refused in the ways in which people and attackers get it wrong", () => {
    const wrong = [
      "",
      "/",
      "a/",
      "/a",
      "a//b",
      "A/b",
      "..",
      "a/../b",
      "a/./b",
      ".a",
      "a.",
      "_a",
      "a___b",
      "a..b",
      "-a",
    ];
    const encoded = ["a%2fb", "a\\b", "a b", "a\n", "a\0", "a:b", "a@b", "ä", "a/_manifests", "a.-b", "a/b?x"];
    for (const one of [...wrong, ...encoded]) assert.equal(parseRepositoryName(one), undefined, one);
  });
});

suite("a tag", () => {
  test("is what the specification says, and nothing else", () => {
    prove(
      fc.property(fc.oneof(text, fc.stringMatching(/^[\w.-]{0,130}$/)), (one) => {
        const isLetter = (letter: string, index: number) =>
          (letter >= "a" && letter <= "z") ||
          (letter >= "A" && letter <= "Z") ||
          (letter >= "0" && letter <= "9") ||
          letter === "_" ||
          (index > 0 && (letter === "." || letter === "-"));
        const isTag = one.length >= 1 && one.length <= 128 && one.split("").every(isLetter);
        assert.equal(parseTag(one), isTag ? one : undefined);
      }),
      1000,
    );
  });

  test("is refused in the ways in which people and attackers get it wrong", () => {
    const wrong = [
      "",
      ".",
      "..",
      ".INVALID_MANIFEST_NAME",
      "-a",
      "a/b",
      "a:b",
      "a b",
      "a\n",
      "é",
      "a%2f",
      "a".repeat(129),
    ];
    for (const one of wrong) assert.equal(parseTag(one), undefined, one);
  });
});

suite("a reference in a URL", () => {
  test("is a digest or a tag, and is written back as it was", () => {
    prove(
      fc.property(fc.uint8Array(), fc.stringMatching(/^\w[\w.-]{0,30}$/), (bytes, tag) => {
        const digest = digestOf(bytes);
        assert.deepEqual(parseReference(digest), { kind: "digest", digest });
        assert.deepEqual(parseReference(tag), { kind: "tag", tag });
      }),
    );
    prove(
      fc.property(text, (one) => {
        const reference = parseReference(one);
        if (typeof reference === "object") assert.equal(referenceText(reference), one);
        else assert.equal(reference, one.includes(":") ? "bad-digest" : "bad-tag");
      }),
    );
  });

  test("with a colon is never taken for a tag", () => {
    for (const one of ["sha256:abc", ":", "a:b", "sha256:"]) assert.equal(parseReference(one), "bad-digest", one);
  });
});
