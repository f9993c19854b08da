import assert from "node:assert/strict";
import { test } from "node:test";
import { Guesses, keysOf } from "./guesses.ts";

const V4 = "192.0.2.1";

function wrongs(guesses: Guesses, address: string, count: number, nowMs = 0): void {
  for (let time = 0; time < count; time++) guesses.wrong(address, "me", nowMs);
}

test("a few wrong passwords are a person's; then each costs twice the wait of the one before", () => {
  const guesses = new Guesses();
  wrongs(guesses, V4, 4);
  assert.equal(guesses.waitMs(V4, "me", 0), 0);
  wrongs(guesses, V4, 1);
  assert.equal(guesses.waitMs(V4, "me", 0), 1_000);
  assert.equal(guesses.waitMs(V4, "me", 400), 600);
  assert.equal(guesses.waitMs(V4, "me", 1_000), 0);
  wrongs(guesses, V4, 1, 1_000);
  assert.equal(guesses.waitMs(V4, "me", 1_000), 2_000);
  wrongs(guesses, V4, 40, 1_000);
  assert.equal(guesses.waitMs(V4, "me", 1_000), 300_000);
});

test("a right one, or a quarter of an hour, and all is forgotten", () => {
  const guesses = new Guesses();
  wrongs(guesses, V4, 9);
  assert.ok(guesses.waitMs(V4, "me", 1) > 0);
  guesses.right(V4, "me");
  assert.equal(guesses.waitMs(V4, "me", 1), 0);
  wrongs(guesses, V4, 9);
  assert.equal(guesses.waitMs(V4, "me", 15 * 60_000), 0);
});

test("others behind the same address are not locked out, until it has tried many users", () => {
  const guesses = new Guesses();
  wrongs(guesses, V4, 9);
  assert.ok(guesses.waitMs(V4, "me", 1) > 0);
  assert.equal(guesses.waitMs(V4, "you", 1), 0);
  for (let user = 0; user < 20; user++) guesses.wrong(V4, `user ${user}`, 0);
  assert.ok(guesses.waitMs(V4, "you", 1) > 0);
  // Who may come in says nothing of what is tried for others.
  guesses.right(V4, "you");
  assert.ok(guesses.waitMs(V4, "you", 1) > 0);
});

test("others are not made to wait, but everybody in one IPv6 network is", () => {
  const guesses = new Guesses();
  wrongs(guesses, "2001:db8:1:2::7", 9);
  assert.ok(guesses.waitMs("2001:db8:1:2:ffff::1", "me", 1) > 0);
  assert.equal(guesses.waitMs("2001:db8:1:3::7", "me", 1), 0);
  assert.equal(guesses.waitMs(V4, "me", 1), 0);
  wrongs(guesses, "::ffff:192.0.2.9", 9);
  assert.equal(guesses.waitMs("::ffff:192.0.2.10", "me", 1), 0);
});

test("what is remembered of a guess does not grow with the user's name", () => {
  const [short, long] = ["me", "m".repeat(6_000)].map((user) => keysOf(V4, user)[1].length);
  assert.equal(long, short);
  assert.notEqual(keysOf(V4, `${"m".repeat(6_000)}1`)[1], keysOf(V4, `${"m".repeat(6_000)}2`)[1]);
});
