import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import { nearest } from "./nearest.ts";

const KEYS = ["username", "password", "upstream", "serves", "tags", "ca"];

test("the word that was mistyped is found", () => {
  assert.equal(nearest("usrname", KEYS), "username");
  assert.equal(nearest("upsteam", KEYS), "upstream");
  assert.equal(nearest("tag", KEYS), "tags");
  assert.equal(nearest("tgas", KEYS), "tags");
});

test("case does not make words differ", () => {
  assert.equal(nearest("UserName", KEYS), "username");
});

test("a word that resembles none is not explained", () => {
  assert.equal(nearest("colour", KEYS), undefined);
  assert.equal(nearest("", KEYS), undefined);
  assert.equal(nearest("x", []), undefined);
});

test("of several near words the nearest one is taken, and the first of equally near ones", () => {
  assert.equal(nearest("hosts", ["host", "hostsx", "hosts"]), "hosts");
  assert.equal(nearest("cat", ["bat", "hat"]), "bat");
});

test("an absurdly long word is not compared letter by letter", () => {
  assert.equal(nearest("u".repeat(1_000_000), KEYS), undefined);
});

test("every known word is its own nearest one", () => {
  const words = fc.uniqueArray(fc.stringMatching(/^[a-z_]{1,20}$/), { minLength: 1, maxLength: 10 });
  prove(
    fc.property(words, (known) => {
      for (const word of known) assert.equal(nearest(word, known), word);
    }),
  );
});
